"""Resume a session by DC_AUTHENTICATE: the peer names it, and proves its key with the command's message.

client  60010 and an ad with the session ID       in clear
server  its answer, if the client waits for one   in clear
client  the command's message                     encrypted, which proves that the peer has the key

IDs are sent in clear, so nothing is executed, changed or authorized before that message.  A command without a message
proves nothing.  The answer to it is that the session is unknown; HTCondor's clients then drop the session and
authenticate at the next attempt (SecManStartCommand::authenticate_inner of condor_secman.cpp).  Normally they do not
even try: they resume a session only for its ValidCommands, which lists the commands with a message and those that do
nothing (condor_ping fails without them).  For one of the latter the connection ends without any effect.
"""

import base64
from functools import lru_cache

from annexd.cedar.commands import Command
from annexd.cedar.crypto import AES, IV_BYTES
from annexd.cedar.dialogue import Dialogue, Exchange, PeerLeft
from annexd.cedar.errors import UnknownSession, UnprovedSession
from annexd.cedar.handshake import (
    PLACEHOLDER,
    ClientAd,
    can_be_resumed_for,
    command_to_authorize,
    deny,
    encode_in_clear,
    fill,
    is_authorized,
    is_carrier,
    is_yes,
)
from annexd.cedar.message import MessageReader
from annexd.cedar.policy import MAX_CACHED, canonical_method
from annexd.cedar.session import SecuritySession

_NONCE_BYTES = 33  # 44 characters of base64


def names_session(client: ClientAd) -> bool:
    return is_yes(client.get("usesession"))


def resume(dialogue: Dialogue, client: ClientAd) -> Exchange[tuple[Command, MessageReader]]:
    """Return the authorized command and its message.  Raises PeerLeft for a command that does nothing."""
    command = command_to_authorize(dialogue, client)
    session = _find_session(dialogue, client)
    if is_carrier(client) or not can_be_resumed_for(command, session.cipher):
        _refuse_without_proof(dialogue, client, command)
    if _expects_answer(client):
        nonce = base64.b64encode(dialogue.context.random(_NONCE_BYTES))
        dialogue.channel.send(fill(_resumption_answer(dialogue.context.version), nonce))
    if command.does_nothing:
        raise PeerLeft
    payload = yield from _proof(dialogue, session)
    if not (yield from is_authorized(dialogue, command)):
        deny(dialogue, command)
    return command, payload


def _expects_answer(client: ClientAd) -> bool:
    return client.get("resumeresponse") is True


def _find_session(dialogue: Dialogue, client: ClientAd) -> SecuritySession:
    session = dialogue.context.sessions.find(str(client.get("sid")), dialogue.now_s)
    if session is None or canonical_method(str(client.get("cryptomethods", AES))) != session.cipher:
        _answer_unknown(dialogue, client)
        raise UnknownSession(
            what="unknown session",
            why="it has expired, has no key for the peer's cipher, or is of an earlier process of this daemon",
            next_step="none: the client negotiates a new one at its next attempt",
            tell_peer="unknown session",
        )
    return session


def _refuse_without_proof(dialogue: Dialogue, client: ClientAd, command: Command) -> None:
    _answer_unknown(dialogue, client)
    raise UnprovedSession(
        what=f"{command.name} in a resumed session",
        why=f"it cannot prove the session's key ({'no AES' if command.payload else 'no message'})",
        next_step="none for HTCondor's tools, which then authenticate; from other peers it may be an attack",
        tell_peer="unknown session",
    )


def _answer_unknown(dialogue: Dialogue, client: ClientAd) -> None:
    if _expects_answer(client):
        dialogue.send(dialogue.message().ad({"ReturnCode": "SID_NOT_FOUND"}))


@lru_cache(maxsize=MAX_CACHED)
def _resumption_answer(version: str) -> bytes:
    """Encode the answer for every peer, with a placeholder for the nonce."""
    return encode_in_clear({"ReturnCode": "AUTHORIZED", "RemoteVersion": version, "Nonce": PLACEHOLDER})


def _proof(dialogue: Dialogue, session: SecuritySession) -> Exchange[MessageReader]:
    """Return the peer's first message.  That it decrypts proves the key."""
    dialogue.expect_identity(session.identity)
    dialogue.channel.encrypt(session.key, dialogue.context.random(IV_BYTES))
    message = yield from dialogue.receive()
    dialogue.set_identity(session.identity)
    dialogue.session_id = session.id
    dialogue.context.sessions.renew(session, dialogue.now_s)
    return message
