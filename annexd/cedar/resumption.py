"""DC_AUTHENTICATE for a session that exists: the peer names it, and shows its key with the command's message.

client  60010 and an ad with the session's id     in clear
server  its answer, if the client waits for one   in clear
client  the command's message                     encrypted: only now is it known that the peer has the key

Ids are sent in clear, so nothing is done, changed or authorized before that message.  A command without a message
would show nothing.  Its peer is told that the session is unknown, whereupon HTCondor's clients drop the session and
authenticate when they are asked again (SecManStartCommand::authenticate_inner of condor_secman.cpp).  They do not even
try: they take up a session for the commands in its ValidCommands, which names those with a message, and those that do
nothing (condor_ping fails without them).  A peer that gives one of the latter is let go, and nothing is done.
"""

import base64
from functools import lru_cache

from annexd.cedar.commands import Command
from annexd.cedar.crypto import AES, IV_BYTES
from annexd.cedar.dialogue import Dialogue, Exchange, PeerLeft
from annexd.cedar.errors import UnknownSession, UnprovedSession
from annexd.cedar.handshake import (
    BLANK,
    ClientAd,
    can_be_resumed_for,
    deny,
    filled,
    find_wanted,
    in_clear,
    is_authorized,
    is_carrier,
    says_yes,
)
from annexd.cedar.message import MessageReader
from annexd.cedar.policy import KEPT, canonical_method
from annexd.cedar.session import SecuritySession

_NONCE_BYTES = 33  # 44 characters of base64


def names_session(client: ClientAd) -> bool:
    return says_yes(client.get("usesession"))


def resume(dialogue: Dialogue, client: ClientAd) -> Exchange[tuple[Command, MessageReader]]:
    """The authorized command, and its message."""
    command = find_wanted(dialogue, client)
    session = _find_session(dialogue, client)
    if is_carrier(client) or not can_be_resumed_for(command, session.cipher):
        _refuse_without_proof(dialogue, client, command)
    if _waits(client):
        nonce = base64.b64encode(dialogue.context.random(_NONCE_BYTES))
        dialogue.channel.send(filled(_resumed(dialogue.context.version), nonce))
    if command.does_nothing:
        raise PeerLeft
    payload = yield from _proof(dialogue, session)
    if not (yield from is_authorized(dialogue, command)):
        deny(dialogue, command)
    return command, payload


def _waits(client: ClientAd) -> bool:
    return client.get("resumeresponse") is True


def _find_session(dialogue: Dialogue, client: ClientAd) -> SecuritySession:
    session = dialogue.context.sessions.find(str(client.get("sid")), dialogue.now_s)
    if session is None or canonical_method(str(client.get("cryptomethods", AES))) != session.cipher:
        _answer_unknown(dialogue, client)
        raise UnknownSession(
            what="unknown session",
            why="it has expired, has no key for the peer's cipher, or was made by an earlier process of this daemon",
            next_step="none: the client makes a new one when it is asked again",
            tell_peer="unknown session",
        )
    return session


def _refuse_without_proof(dialogue: Dialogue, client: ClientAd, command: Command) -> None:
    _answer_unknown(dialogue, client)
    raise UnprovedSession(
        what=f"{command.name} in a resumed session",
        why=f"nothing in it would show the session's key ({'no AES' if command.payload else 'no message'})",
        next_step="none for HTCondor's tools, which authenticate for it; from other peers it may be an attack",
        tell_peer="unknown session",
    )


def _answer_unknown(dialogue: Dialogue, client: ClientAd) -> None:
    if _waits(client):
        dialogue.send(dialogue.message().ad({"ReturnCode": "SID_NOT_FOUND"}))


@lru_cache(maxsize=KEPT)
def _resumed(version: str) -> bytes:
    """For every peer: the nonce is left blank."""
    return in_clear({"ReturnCode": "AUTHORIZED", "RemoteVersion": version, "Nonce": BLANK})


def _proof(dialogue: Dialogue, session: SecuritySession) -> Exchange[MessageReader]:
    """The peer's first message; that it decrypts shows the key."""
    dialogue.expect(session.identity)
    dialogue.channel.encrypt(session.key, dialogue.context.random(IV_BYTES))
    message = yield from dialogue.receive()
    dialogue.identified(session.identity)
    dialogue.session_id = session.id
    dialogue.context.sessions.used(session, dialogue.now_s)
    return message
