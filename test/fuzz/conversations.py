"""Targets that are whole conversations: a server whose requests get fixed results, and the fuzzer as its peer.

The input is a byte of options, the number of a recording, and the bytes of the peer.  The server uses the random bytes
of the recorded one, so recorded proofs remain valid and the fuzzer gets past them.
"""

import struct
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from annexd.cedar.channel import Channel
from annexd.cedar.classad import Scalar
from annexd.cedar.context import ServerContext, Tls
from annexd.cedar.crypto import AES
from annexd.cedar.errors import PeerError
from annexd.cedar.events import CommandReceived
from annexd.cedar.frame import HEADER
from annexd.cedar.identity import Identity
from annexd.cedar.legacy import BLOWFISH, TRIPLE_DES
from annexd.cedar.levels import Level
from annexd.cedar.message import MessageReader, MessageWriter
from annexd.cedar.policy import CIPHERS, Requirement, SecurityPolicy
from annexd.cedar.secret import Secret
from annexd.cedar.session import SecuritySession, SessionCache
from test.cedar.certificates import Authority, server_context
from test.cedar.client import Client, established
from test.cedar.conversation import Conversation, counting_random, server
from test.cedar.recording import PLENTY, Recording, kdf, load

RECORDINGS = (
    "srv_fs_bulk_25",
    "srv_fs_bulk_25_2",
    "srv_idtokens_bulk_25",
    "srv_idtokens_bulk_25_2",
    "srv_ping_fs_23",
    "srv_ping_idtokens_23",
    "srv_claimtobe",
    "srv_anonymous",
    "srv_password",
    "srv_ping_ssl_25",
    "srv_ping_noauth_25",
    "srv_ping_denied_25",
    "srv_badtoken_fallback_25",
    "srv_configval_25",
    "srv_reconfig_25",
    "srv_3des_bulk_25",
    "srv_blowfish_bulk_25",
    "srv_zkm_blowfish_mac",
    "srv_zkm_blowfish_nomac",
)
METHODS = ("FS", "IDTOKENS", "PASSWORD", "SSL", "CLAIMTOBE", "ANONYMOUS")
IS_DENIED, HAS_NO_OWNER, HAS_NO_KEY, AUTHENTICATION_REQUIRED, NO_MAP = 1, 2, 4, 8, 16
IS_3DES, ENCRYPTION, INTEGRITY = 32, 64, 128
SESSION = "vm:14367:1795360276:7"
SESSION_KEY = Secret(bytes(range(32)))
REQUIREMENTS = {True: "REQUIRED", False: "NEVER"}
COMMANDS_IN_SESSION = (60020, 1000, 1200, 60007, 60013, 74, 60000, 457)
LENGTH = struct.Struct(">H")

MAX_ERROR_CHARACTERS = 1000  # an error is one log line
MAX_ANSWER_BYTES = 64 * 1024  # to an unauthenticated peer
MAX_EVENTS = 500


class InvariantBroken(AssertionError):
    """The core violated one of its guarantees."""


def raw_bytes(received: bytes) -> None:
    """Send the bytes unchanged."""
    if len(received) > 2:
        converse(make_conversation(received), [received[2:], b""])


def framed_messages(received: bytes) -> None:
    """Send messages, each preceded by two bytes of length, in valid frames."""
    if len(received) > 2:
        converse(make_conversation(received), [*map(frame, messages_of(received[2:])), b""])


def encrypted_messages(received: bytes) -> None:
    """Send messages in a resumed session."""
    if len(received) > 2:
        peer, conversation = Channel(PLENTY), make_conversation(received)
        _resume(peer, conversation, received[1])
        peer.encrypt(SESSION_KEY, bytes(16))
        _send_messages(peer, conversation, received[2:])


def legacy_messages(received: bytes) -> None:
    """Send messages after a handshake with a legacy cipher, with and without encryption and integrity."""
    if len(received) > 2:
        client = legacy_client(received)
        _send_messages(client.channel, client.conversation, received[2:])


def legacy_bytes(received: bytes) -> None:
    """Send the bytes unchanged after a handshake with a legacy cipher."""
    if len(received) > 2:
        converse(legacy_client(received).conversation, [received[2:], b""])


def legacy_client(received: bytes) -> Client:
    """Create a client with a legacy cipher and the options in the first two bytes."""
    policy = SecurityPolicy(methods=("FS",), crypto_methods=CIPHERS)
    conversation = Conversation.at(server(policy=dict.fromkeys(Level, policy)))
    cipher = TRIPLE_DES if received[0] & IS_3DES else BLOWFISH
    requirements = {
        "CryptoMethods": cipher,
        "Encryption": REQUIREMENTS[bool(received[0] & ENCRYPTION)],
        "Integrity": REQUIREMENTS[bool(received[0] & INTEGRITY)],
    }
    return established(conversation, COMMANDS_IN_SESSION[received[1] // 2 % 8], requirements)[0]


def _resume(peer: Channel, conversation: Conversation, choice: int) -> None:
    command = COMMANDS_IN_SESSION[choice // 2 % 8] if choice % 2 else 60010
    ad: dict[str, Scalar] = {"AuthCommand": 60020, "UseSession": "YES", "Sid": SESSION, "CryptoMethods": AES}
    peer.send(MessageWriter(encrypted=False).integer(60010).ad({**ad, "Command": command}).body())
    converse(conversation, [peer.data_to_send()])


def _send_messages(peer: Channel, conversation: Conversation, received: bytes) -> None:
    for message in messages_of(received):
        peer.send(message)
        if not converse(conversation, [peer.data_to_send()]):
            return


def messages_of(received: bytes) -> list[bytes]:
    found = []
    while len(received) > LENGTH.size:
        end = LENGTH.size + LENGTH.unpack_from(received)[0]
        found.append(received[LENGTH.size : end])
        received = received[end:]
    return [message for message in found if message]


def frame(message: bytes) -> bytes:
    return HEADER.pack(1, len(message)) + message


def make_conversation(received: bytes) -> Conversation:
    """Create a conversation with the options in the first two bytes."""
    options, recording = received[0], _recording(RECORDINGS[received[1] % len(RECORDINGS)])
    context = _context(recording, Requirement.REQUIRED if options & AUTHENTICATION_REQUIRED else Requirement.OPTIONAL)
    pool_key = {} if options & HAS_NO_KEY else {"POOL": _pool_key()}
    return Conversation.at(
        context, keys=pool_key, owner=None if options & HAS_NO_OWNER else "root", granted=not options & IS_DENIED
    )


def converse(conversation: Conversation, parts: list[bytes]) -> bool:
    """Send parts; return False when the conversation ends.  Raises InvariantBroken, and any exception but PeerError."""
    for part in parts:
        try:
            conversation.receive(part)
            _read_payloads(conversation)
        except PeerError as error:
            if len(str(error)) > MAX_ERROR_CHARACTERS:
                raise InvariantBroken(f"{len(str(error))} characters for the log: {str(error)[:200]}") from error
            return False
        finally:
            _check_bounds(conversation)
    return True


def _read_payloads(conversation: Conversation) -> None:
    """Read the payload of each command as its handler does, until the core needs more bytes."""
    while conversation.events and isinstance(command := conversation.events[-1], CommandReceived):
        if command.payload:
            read_payload(command.command.number, command.payload)
        _check_bounds(conversation)
        seen = len(conversation.events)
        conversation.advance()
        if len(conversation.events) == seen:
            return


def read_payload(number: int, payload: MessageReader) -> None:
    try:
        if number in {1000, 1200}:
            payload.ad()
        else:
            payload.nullable_string()
            payload.integer()
        payload.end()
    except PeerError as error:
        if len(str(error)) > MAX_ERROR_CHARACTERS:
            raise InvariantBroken(f"{len(str(error))} characters for the log: {str(error)[:200]}") from error


def _check_bounds(conversation: Conversation) -> None:
    if len(conversation.sent) > MAX_ANSWER_BYTES:
        raise InvariantBroken(f"{len(conversation.sent)} bytes of answers")
    if len(conversation.events) + len(conversation.questions) > MAX_EVENTS:
        raise InvariantBroken("too many events")


def _context(recording: Recording, authentication: Requirement) -> ServerContext:
    sessions = SessionCache("vm:14367:1795360276")
    sessions.add(SecuritySession(SESSION, SESSION_KEY, Identity("alice@annex.test", "FS")))
    if "server_ecdh_priv" not in recording.facts:
        sessions.add(SecuritySession(recording.facts["sid"], recording.session_key, Identity("a@b", "FS")))
    policy = SecurityPolicy(authentication=authentication, methods=METHODS, crypto_methods=CIPHERS)
    return server(
        recording.random().and_then(counting_random()),
        sessions=sessions,
        policy=dict.fromkeys(Level, policy),
        pool_password=Secret(b"opensesame"),
        tls=_tls(),
    )


@cache
def _recording(name: str) -> Recording:
    return load(name)


@cache
def _pool_key() -> Secret:
    return Secret(bytes.fromhex(kdf()["pool_secret_hex"]))


@cache
def _tls() -> Tls:
    with TemporaryDirectory() as directory:
        authority = Authority(Path(directory))
        return Tls(server_context(authority, authority.make("server", (), host="localhost")))
