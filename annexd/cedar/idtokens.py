"""IDTOKENS: both sides prove that they know a token's signature (condor_auth_passwd.cpp, version 2).

akep2_exchange.py has the messages.
"""

from annexd.cedar import akep2
from annexd.cedar.akep2_exchange import Opening, prove_and_check, receive_opening, refuse
from annexd.cedar.dialogue import Dialogue, Exchange
from annexd.cedar.events import NeedSigningKey
from annexd.cedar.identity import Identity
from annexd.cedar.method import MethodFailed
from annexd.cedar.secret import Secret
from annexd.cedar.token import Token, parse_token

METHOD = "IDTOKENS"
_MAX_SHOWN = 100  # characters of an unverified ID; an error is one log line


def authenticate(dialogue: Dialogue) -> Exchange[Identity]:
    opening = yield from receive_opening(dialogue, has_token=True)
    try:
        token = _accepted_token(opening, dialogue)
        key = yield from _shared_key(token)
    except MethodFailed:
        yield from refuse(dialogue)
        raise
    yield from prove_and_check(dialogue, opening, key)
    return Identity(token.facts.subject, METHOD, token.limits, token.facts)


def _accepted_token(opening: Opening, dialogue: Dialogue) -> Token:
    opening.check()
    token = parse_token(opening.token)
    if opening.name != token.facts.subject:
        raise MethodFailed("the peer's name is not the token's subject")
    token.check_age(dialogue.now_s, dialogue.context.max_token_age_s)
    if dialogue.context.is_revoked(token.claims):
        raise MethodFailed(f"the token {token.facts.token_id[:_MAX_SHOWN]!r} is revoked by SEC_TOKEN_REVOCATION_EXPR")
    return token


def _shared_key(token: Token) -> Exchange[Secret]:
    secret: Secret | None = yield NeedSigningKey(token.key_id)
    if secret is None:
        raise MethodFailed(f"this daemon has no signing key {token.key_id!r}")
    return akep2.shared_key(secret, token.algorithm, token.text)
