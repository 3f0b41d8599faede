"""IDTOKENS: both sides prove that they know a token's signature (condor_auth_passwd.cpp, version 2).

    client  status, len(A), A, token, 256, rA
    server  status, len(A), A, len(B), B, 256, rA, 256, rB, 20, proof
    client  status, len(A), A, 256, rB, 20, proof

The third message is never answered.
"""

import hmac
from dataclasses import dataclass

from annexd.cedar import akep2
from annexd.cedar.dialogue import Dialogue, Steps
from annexd.cedar.events import NeedSigningKey
from annexd.cedar.identity import Identity
from annexd.cedar.message import MessageReader
from annexd.cedar.method import MethodFailed
from annexd.cedar.secret import Secret
from annexd.cedar.token import Token, parse_token

METHOD = "IDTOKENS"
_OK, _ERROR, _ABORT = 0, -1, 1
_CONDOR_PASSWORD_SINCE = (23, 9, 0)


@dataclass(frozen=True)
class _Opening:
    status: int
    name: str
    token: str
    nonce: bytes

    @classmethod
    def read(cls, message: MessageReader) -> "_Opening":
        status = message.integer()
        message.integer()  # of the name, which is a string and has its own end
        opening = cls(status, message.string(), message.string(), message.raw(message.integer()))
        message.end()
        return opening


@dataclass(frozen=True)
class _Closing:
    status: int
    name: str
    nonce: bytes
    proof: bytes

    @classmethod
    def read(cls, message: MessageReader) -> "_Closing":
        status = message.integer()
        message.integer()
        name, nonce = message.string(), message.raw(message.integer())
        closing = cls(status, name, nonce, message.raw(message.integer()))
        message.end()
        return closing


def authenticate(dialogue: Dialogue) -> Steps[Identity]:
    opening = _Opening.read((yield from dialogue.receive()))
    if opening.status == _ABORT:
        raise MethodFailed("the peer gave up")
    try:
        token = _accepted_token(opening, dialogue)
        key = yield from _shared_key(token)
    except MethodFailed:
        _refuse(dialogue)
        yield from dialogue.receive()
        raise
    server_nonce = dialogue.context.random(akep2.NONCE_BYTES)
    _prove(dialogue, opening, key, server_nonce)
    _check(_Closing.read((yield from dialogue.receive())), opening, key, server_nonce)
    return Identity(token.facts.subject, METHOD, token.limits, token.facts)


def _accepted_token(opening: _Opening, dialogue: Dialogue) -> Token:
    if opening.status != _OK:
        raise MethodFailed("the peer has no token for this daemon")
    if len(opening.nonce) != akep2.NONCE_BYTES:
        raise MethodFailed(f"the peer's nonce has {len(opening.nonce)} bytes")
    token = parse_token(opening.token)
    if opening.name != token.facts.subject:
        raise MethodFailed("the peer's name is not the token's subject")
    token.check_age(dialogue.now_s, dialogue.context.max_token_age_s)
    return token


def _shared_key(token: Token) -> Steps[Secret]:
    secret: Secret | None = yield NeedSigningKey(token.key_id)
    if secret is None:
        raise MethodFailed(f"there is no signing key {token.key_id!r}")
    return akep2.shared_key(secret, token.algorithm, token.text)


def _refuse(dialogue: Dialogue) -> None:
    message = dialogue.message().integer(_ERROR).integer(0).string("").integer(0).string("")
    dialogue.send(message.integer(0).integer(0).integer(0))


def _prove(dialogue: Dialogue, opening: _Opening, key: Secret, server_nonce: bytes) -> None:
    server = _own_name(dialogue)
    proof = akep2.server_proof(key, opening.name, server, opening.nonce, server_nonce)
    message = dialogue.message().integer(_OK)
    for name in (opening.name, server):
        message.integer(len(name.encode())).string(name)
    for value in (opening.nonce, server_nonce, proof):
        message.integer(len(value)).raw(value)
    dialogue.send(message)


def _own_name(dialogue: Dialogue) -> str:
    if dialogue.peer_version >= _CONDOR_PASSWORD_SINCE:
        return "condor@password"
    return f"condor_pool@{dialogue.context.uid_domain}"


def _check(closing: _Closing, opening: _Opening, key: Secret, server_nonce: bytes) -> None:
    if closing.status != _OK:
        raise MethodFailed("the peer found that this daemon's signing key is not the one of its token")
    expected = akep2.client_proof(key, opening.name, server_nonce)
    is_proved = hmac.compare_digest(closing.proof, expected)
    if not (is_proved and closing.name == opening.name and hmac.compare_digest(closing.nonce, server_nonce)):
        raise MethodFailed("the peer does not know the token's signature")
