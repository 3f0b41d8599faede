"""DC_AUTHENTICATE for a new session (daemon_command.cpp); resumption.py has those that exist.

client  60010 and an ad                     in clear
server  its answer                          in clear
both    a method of authentication          in clear; then the server's "no key here, we use ECDH"
server  user, session, verdict              protected, as all that follows
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Never

from annexd.cedar import claimtobe
from annexd.cedar.authentication import authenticate
from annexd.cedar.classad import Scalar
from annexd.cedar.commands import DC_AUTHENTICATE, DC_SEC_QUERY, Command
from annexd.cedar.context import ServerContext
from annexd.cedar.crypto import AES, AES_KEY_BYTES, IV_BYTES, peer_public_key
from annexd.cedar.dialogue import Dialogue, Exchange
from annexd.cedar.errors import (
    AuthenticationFailed,
    AuthorizationDenied,
    MalformedMessage,
    UnknownCommand,
)
from annexd.cedar.events import NeedAuthorization
from annexd.cedar.identity import Identity
from annexd.cedar.legacy import KEY_BYTES, Protection
from annexd.cedar.levels import Level, implied
from annexd.cedar.message import MessageReader, MessageWriter
from annexd.cedar.policy import (
    KEPT,
    Agreement,
    SecurityPolicy,
    ServerPolicy,
    for_command,
    reconcile,
)
from annexd.cedar.secret import Secret
from annexd.cedar.session import SLOP_S, SecuritySession

ClientAd = Mapping[str, object]  # by lower-case names
_NO_KEY = 0  # exchangeKey of authentication.cpp: the key comes from ECDH
_NO_COMMANDS = str(DC_AUTHENTICATE)  # for ValidCommands, which must not be empty: a client of HTCondor's would fail
BLANK = "\1"  # to be filled in
_CARRIERS = frozenset((DC_AUTHENTICATE, DC_SEC_QUERY))


def server_policy(dialogue: Dialogue, command: Command) -> ServerPolicy:
    kept = dialogue.context.server_policies
    if command.number not in kept:
        kept[command.number] = for_command(dialogue.context.policy.get(command.level, SecurityPolicy()), command)
    return kept[command.number]


def is_authorized(dialogue: Dialogue, command: Command) -> Exchange[bool]:
    granted: bool = yield NeedAuthorization(command, dialogue.identity)
    return granted


def deny(dialogue: Dialogue, command: Command) -> Never:
    raise AuthorizationDenied(
        what=f"{dialogue.identity.user} may not give {command.name}",
        why=f"it needs the level {command.level}",
        next_step=f"see ALLOW_{command.level} and the limits of the peer's token",
        tell_peer=f"{command.name} needs the level {command.level}",
    )


def find_command(dialogue: Dialogue, number: object) -> Command:
    command = dialogue.context.commands.get(number) if isinstance(number, int) else None
    if command is None:
        raise UnknownCommand(
            what="unknown command",
            why=f"this daemon has no command {number if isinstance(number, int) else 'without a number'}",
            next_step="see whether the peer took this daemon for another one",
            tell_peer="unknown command",
        )
    return command


def read_client_ad(dialogue: Dialogue, message: MessageReader) -> ClientAd:
    client = message.handshake_ad()
    message.end()
    if "cookie" in client:
        raise MalformedMessage("a command with a cookie", "only a daemon itself has its cookie")
    dialogue.version_of_peer = client.get("remoteversion")
    return client


def says_yes(value: object) -> bool:
    return isinstance(value, str) and value.upper() == "YES"


def find_wanted(dialogue: Dialogue, client: ClientAd) -> Command:
    """The command to authorize, which stands behind one that only carries it."""
    return find_command(dialogue, client.get("authcommand" if is_carrier(client) else "command"))


def is_carrier(client: ClientAd) -> bool:
    """Whether the peer wants a session or an answer, and no command carried out."""
    return client.get("command") in _CARRIERS


def _token_facts(dialogue: Dialogue) -> dict[str, Scalar]:
    token = dialogue.identity.token
    if not token:
        return {}
    facts: dict[str, Scalar] = {
        "AuthTokenSubject": token.subject,
        "AuthTokenIssuer": token.issuer,
        "AuthTokenId": token.token_id,
    }
    return {**facts, "AuthTokenScopes": ",".join(token.scopes)} if token.scopes else facts


def establish(dialogue: Dialogue, client: ClientAd) -> Exchange[Command | None]:
    """The rest of DC_AUTHENTICATE.  The authorized command, or None if the peer wanted a session or an answer
    only.
    """
    command = find_wanted(dialogue, client)
    if str(client.get("enact", "")).upper() != "NO":
        raise MalformedMessage("the peer does not wait for an answer", 'Enact is not "NO" in its ad')
    agreement = _agreement(dialogue, client, command)
    peer = peer_public_key(client.get("ecdhpublickey"))
    context, exchange = dialogue.context, dialogue.context.new_exchange()
    answer = _answer(agreement, context.version, context.trust_domain, context.issuer_keys)
    dialogue.channel.send(filled(answer, exchange.public.encode()))
    if agreement.authentication:
        yield from _authenticate(dialogue, agreement, command)
    key = exchange.session_key(peer, AES_KEY_BYTES if agreement.cipher == AES else KEY_BYTES)
    session = _new_session(dialogue, agreement, key)
    _protect(dialogue, agreement, key)
    yield from _announce(dialogue, agreement, session, command)
    if client.get("command") == DC_SEC_QUERY:
        dialogue.send(dialogue.message().ad({"AuthorizationSucceeded": True, **_token_facts(dialogue)}))
    return None if is_carrier(client) else command


def _agreement(dialogue: Dialogue, client: ClientAd, command: Command) -> Agreement:
    """A session that only asks about a command must be listed as good for it, or condor_ping fails (print_info of
    ping.cpp); but it would not do for that command, so the client is told not to keep it.
    """
    agreement = reconcile(client, server_policy(dialogue, command))
    is_kept = can_be_resumed_for(command, agreement.cipher) or not is_carrier(client)
    return agreement if is_kept else replace(agreement, duration_s=0)


def can_be_resumed_for(command: Command, cipher: str) -> bool:
    """Whether a session serves for another connection with this command: its message shows the key, or it is all the
    same whether the peer has it.
    """
    return command.does_nothing or (command.payload and cipher == AES)


@lru_cache(maxsize=KEPT)
def _answer(agreement: Agreement, version: str, trust_domain: str, issuer_keys: tuple[str, ...]) -> bytes:
    """For many peers: our public key is left blank."""
    answer: dict[str, Scalar | None] = {
        "Authentication": _yes_or_no(agreement.authentication),
        "Encryption": _yes_or_no(agreement.encryption),
        "Integrity": _yes_or_no(agreement.integrity),
        "AuthMethodsList": ",".join(agreement.methods),
        "AuthMethods": agreement.methods[0] if agreement.methods else "",
        "CryptoMethods": agreement.cipher,
        "CryptoMethodsList": ",".join(agreement.ciphers),
        "SessionDuration": str(agreement.duration_s),
        "SessionLease": agreement.lease_s,
        "Enact": "YES",
        "TrustDomain": trust_domain or None,
        "IssuerKeys": ", ".join(issuer_keys) if agreement.takes_tokens else None,
        "NegotiatedSession": True,
        "RemoteVersion": version,
        "ECDHPublicKey": BLANK,
    }
    if agreement.authentication and not agreement.authentication_required:
        answer["AuthRequired"] = False
    return in_clear({name: value for name, value in answer.items() if value is not None})


def in_clear(ad: Mapping[str, Scalar]) -> bytes:
    return MessageWriter(encrypted=False).ad(ad).body()


def filled(form: bytes, value: bytes) -> bytes:
    return form.replace(BLANK.encode(), value)


def _yes_or_no(value: bool) -> str:
    return "YES" if value else "NO"


def _authenticate(dialogue: Dialogue, agreement: Agreement, command: Command) -> Exchange[None]:
    try:
        identity = yield from authenticate(dialogue, agreement.methods)
    except AuthenticationFailed:
        if agreement.authentication_required:
            raise
        return  # both sides go on without a name
    dialogue.identified(_limited(identity, command))
    dialogue.send(dialogue.message().integer(_NO_KEY))


def _limited(identity: Identity, command: Command) -> Identity:
    """A mere claim is good for what it was made for (DaemonCommandProtocol::AuthenticateFinish)."""
    return replace(identity, limits=implied(command.level)) if identity.method == claimtobe.METHOD else identity


def _new_session(dialogue: Dialogue, agreement: Agreement, key: Secret) -> SecuritySession:
    """The session ends with the token that proved its user; HTCondor's own daemons let it live on."""
    token = dialogue.identity.token
    agreed_end_s = dialogue.now_s + agreement.duration_s + SLOP_S
    return SecuritySession(
        id=dialogue.context.sessions.new_id(),
        key=key,
        cipher=agreement.cipher,
        identity=dialogue.identity,
        expires_at_s=min(agreed_end_s, token.expires_at_s) if token and token.expires_at_s else agreed_end_s,
        lease_s=agreement.lease_s or 0,
        used_at_s=dialogue.now_s,
    )


def _protect(dialogue: Dialogue, agreement: Agreement, key: Secret) -> None:
    if agreement.cipher == AES:
        dialogue.channel.encrypt(key, dialogue.context.random(IV_BYTES))
    else:
        dialogue.channel.protect(Protection(agreement.cipher, key, agreement.encryption, agreement.integrity))


def _announce(dialogue: Dialogue, agreement: Agreement, session: SecuritySession, command: Command) -> Exchange[None]:
    """Tell the peer who it is and whether it may; keep the session only if it may."""
    granted = yield from is_authorized(dialogue, command)
    verdict: dict[str, Scalar] = {"User": dialogue.identity.user}
    if agreement.authentication:
        verdict["TriedAuthentication"] = True
    verdict["Sid"] = session.id
    valid_commands = _valid_commands(dialogue, agreement, command)
    verdict["ValidCommands"] = valid_commands if agreement.duration_s else f"{valid_commands},{command.number}"
    verdict["ReturnCode"] = "AUTHORIZED" if granted else "DENIED"
    dialogue.send(dialogue.message().ad(verdict))
    if not granted:
        deny(dialogue, command)
    dialogue.session_id = session.id
    dialogue.context.sessions.add(session)


def _valid_commands(dialogue: Dialogue, agreement: Agreement, command: Command) -> str:
    """What the peer may take up this session for: each is authorized anew."""
    kept, question = dialogue.context.valid_commands, (agreement.cipher, command.level, dialogue.identity.mapped)
    if question not in kept:
        kept[question] = ",".join(_valid_at(dialogue.context, *question))
    return kept[question] or _NO_COMMANDS


def _valid_at(context: ServerContext, cipher: str, level: Level, is_mapped: bool) -> Iterable[str]:
    return dict.fromkeys(
        str(known.number)
        for each in implied(level)
        for known in context.commands.values()
        if can_be_resumed_for(known, cipher)
        and each in {known.level, *known.alternate_levels}
        and (is_mapped or not known.force_authentication)
    )
