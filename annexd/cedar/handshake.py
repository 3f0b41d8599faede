"""Negotiate a new session by DC_AUTHENTICATE (daemon_command.cpp); see resumption.py for existing ones.

client  60010 and an ad                     in clear
server  its answer                          in clear
both    an authentication method            in clear; then the server's "no key: ECDH is used"
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
    MAX_CACHED,
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
_NO_COMMANDS = str(DC_AUTHENTICATE)  # for ValidCommands: HTCondor's clients fail if it is empty
PLACEHOLDER = "\1"  # see fill()
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
        what=f"{dialogue.identity.user} is not authorized for {command.name}",
        why=f"the command requires {command.level}",
        next_step=f"see ALLOW_{command.level} and the limits of the peer's token",
        tell_peer=f"{command.name} requires {command.level}",
    )


def find_command(dialogue: Dialogue, number: object) -> Command:
    command = dialogue.context.commands.get(number) if isinstance(number, int) else None
    if command is None:
        raise UnknownCommand(
            what="unknown command",
            why=f"this daemon has no command {number if isinstance(number, int) else 'without a number'}",
            next_step="check whether the peer meant to contact another daemon",
            tell_peer="unknown command",
        )
    return command


def read_client_ad(dialogue: Dialogue, message: MessageReader) -> ClientAd:
    client = message.handshake_ad()
    message.end()
    if "cookie" in client:
        raise MalformedMessage("a command with a cookie", "only the daemon itself knows its cookie")
    dialogue.version_of_peer = client.get("remoteversion")
    return client


def is_yes(value: object) -> bool:
    return isinstance(value, str) and value.upper() == "YES"


def command_to_authorize(dialogue: Dialogue, client: ClientAd) -> Command:
    """Return the command to authorize: AuthCommand if the command itself only negotiates."""
    return find_command(dialogue, client.get("authcommand" if is_carrier(client) else "command"))


def is_carrier(client: ClientAd) -> bool:
    """Return whether the peer requests only a session or an answer, and no command."""
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
    """Complete DC_AUTHENTICATE; return the authorized command, or None if the peer requested none (is_carrier).

    Raises PeerError.
    """
    command = command_to_authorize(dialogue, client)
    if str(client.get("enact", "")).upper() != "NO":
        raise MalformedMessage("the peer does not wait for an answer", 'Enact is not "NO"')
    agreement = _agreement(dialogue, client, command)
    peer = peer_public_key(client.get("ecdhpublickey"))
    context, exchange = dialogue.context, dialogue.context.new_exchange()
    answer = _answer(agreement, context.version, context.trust_domain, context.issuer_keys)
    dialogue.channel.send(fill(answer, exchange.public.encode()))
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
    """Reconcile both policies; give a session that must not be kept a duration of 0.

    condor_ping requires its session to list the command in question (print_info of ping.cpp), even if the session
    cannot be resumed for it.
    """
    agreement = reconcile(client, server_policy(dialogue, command))
    is_kept = can_be_resumed_for(command, agreement.cipher) or not is_carrier(client)
    return agreement if is_kept else replace(agreement, duration_s=0)


def can_be_resumed_for(command: Command, cipher: str) -> bool:
    """Return whether a session can be resumed for this command: its message proves the key, or it has no effect."""
    return command.does_nothing or (command.payload and cipher == AES)


@lru_cache(maxsize=MAX_CACHED)
def _answer(agreement: Agreement, version: str, trust_domain: str, issuer_keys: tuple[str, ...]) -> bytes:
    """Encode the answer, with a placeholder for this daemon's public key, for many peers."""
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
        "IssuerKeys": ", ".join(issuer_keys) if agreement.accepts_tokens else None,
        "NegotiatedSession": True,
        "RemoteVersion": version,
        "ECDHPublicKey": PLACEHOLDER,
    }
    if agreement.authentication and not agreement.authentication_required:
        answer["AuthRequired"] = False
    return encode_in_clear({name: value for name, value in answer.items() if value is not None})


def encode_in_clear(ad: Mapping[str, Scalar]) -> bytes:
    return MessageWriter(encrypted=False).ad(ad).body()


def fill(form: bytes, value: bytes) -> bytes:
    return form.replace(PLACEHOLDER.encode(), value)


def _yes_or_no(value: bool) -> str:
    return "YES" if value else "NO"


def _authenticate(dialogue: Dialogue, agreement: Agreement, command: Command) -> Exchange[None]:
    try:
        identity = yield from authenticate(dialogue, agreement.methods)
    except AuthenticationFailed:
        if agreement.authentication_required:
            raise
        return  # both sides continue unauthenticated
    dialogue.set_identity(_limited(identity, command))
    dialogue.send(dialogue.message().integer(_NO_KEY))


def _limited(identity: Identity, command: Command) -> Identity:
    """Limit a claimed identity to the level of its command (DaemonCommandProtocol::AuthenticateFinish)."""
    return replace(identity, limits=implied(command.level)) if identity.method == claimtobe.METHOD else identity


def _new_session(dialogue: Dialogue, agreement: Agreement, key: Secret) -> SecuritySession:
    """Make a session that ends no later than the token that proved its user.  HTCondor's sessions outlive it."""
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
    """Send the peer its identity and the verdict; keep the session only if authorized."""
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
    """List the commands for which the peer may resume this session.  Each is authorized again."""
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
