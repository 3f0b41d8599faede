"""Whole conversations as targets: a server whose questions are answered, and a peer that is the fuzzer.

The input is an option byte, the number of a recording, and what the peer says.  The server draws the random bytes
that the recorded one drew, so that a recorded proof is still right, and the fuzzer gets behind it.
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
WISHES = {True: "REQUIRED", False: "NEVER"}
COMMANDS_IN_SESSION = (60020, 1000, 1200, 60007, 60013, 74, 60000, 457)
LENGTH = struct.Struct(">H")

MOST_WORDS = 1000  # of an error: it is one line of the log
MOST_ANSWER_BYTES = 64 * 1024  # to a peer that nobody knows
MOST_EVENTS = 500


class Broken(AssertionError):
    """The core did what no bytes may bring about."""


def raw_bytes(received: bytes) -> None:
    """The bytes as they are."""
    if len(received) > 2:
        converse(conversation(received), [received[2:], b""])


def framed_messages(received: bytes) -> None:
    """Messages, each with two bytes of length before it, in frames that are right."""
    if len(received) > 2:
        converse(conversation(received), [*map(frame, messages_of(received[2:])), b""])


def encrypted_messages(received: bytes) -> None:
    """The same, from a peer that has taken up a session again."""
    if len(received) > 2:
        peer, meeting = Channel(PLENTY), conversation(received)
        _take_up(peer, meeting, received[1])
        peer.encrypt(SESSION_KEY, bytes(16))
        _go_on(peer, meeting, received[2:])


def legacy_messages(received: bytes) -> None:
    """The same behind a handshake that agreed on a legacy cipher, with and without encryption and integrity."""
    if len(received) > 2:
        client = agreed(received)
        _go_on(client.channel, client.conversation, received[2:])


def legacy_bytes(received: bytes) -> None:
    """Bytes as they are, behind such a handshake."""
    if len(received) > 2:
        converse(agreed(received).conversation, [received[2:], b""])


def agreed(received: bytes) -> Client:
    """As the first two bytes say."""
    policy = SecurityPolicy(methods=("FS",), crypto_methods=CIPHERS)
    meeting = Conversation.at(server(policy=dict.fromkeys(Level, policy)))
    cipher = TRIPLE_DES if received[0] & IS_3DES else BLOWFISH
    wishes = {
        "CryptoMethods": cipher,
        "Encryption": WISHES[bool(received[0] & ENCRYPTION)],
        "Integrity": WISHES[bool(received[0] & INTEGRITY)],
    }
    return established(meeting, COMMANDS_IN_SESSION[received[1] // 2 % 8], wishes)[0]


def _take_up(peer: Channel, meeting: Conversation, choice: int) -> None:
    command = COMMANDS_IN_SESSION[choice // 2 % 8] if choice % 2 else 60010
    ad: dict[str, Scalar] = {"AuthCommand": 60020, "UseSession": "YES", "Sid": SESSION, "CryptoMethods": AES}
    peer.send(MessageWriter(encrypted=False).integer(60010).ad({**ad, "Command": command}).body())
    converse(meeting, [peer.data_to_send()])


def _go_on(peer: Channel, meeting: Conversation, received: bytes) -> None:
    for message in messages_of(received):
        peer.send(message)
        if not converse(meeting, [peer.data_to_send()]):
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


def conversation(received: bytes) -> Conversation:
    """As the first two bytes say."""
    options, recording = received[0], _recording(RECORDINGS[received[1] % len(RECORDINGS)])
    context = _context(recording, Requirement.REQUIRED if options & AUTHENTICATION_REQUIRED else Requirement.OPTIONAL)
    pool_key = {} if options & HAS_NO_KEY else {"POOL": _pool_key()}
    return Conversation.at(
        context, keys=pool_key, owner=None if options & HAS_NO_OWNER else "root", granted=not options & IS_DENIED
    )


def converse(meeting: Conversation, said: list[bytes]) -> bool:
    """False when the conversation is over.  Raises Broken, and whatever is no PeerError."""
    for part in said:
        try:
            meeting.hear(part)
            _read_payloads(meeting)
        except PeerError as error:
            if len(str(error)) > MOST_WORDS:
                raise Broken(f"{len(str(error))} characters for the log: {str(error)[:200]}") from error
            return False
        finally:
            _check_bounds(meeting)
    return True


def _read_payloads(meeting: Conversation) -> None:
    """As the handlers do, one after the other, until the core wants more bytes."""
    while meeting.events and isinstance(command := meeting.events[-1], CommandReceived):
        if command.payload:
            read_payload(command.command.number, command.payload)
        _check_bounds(meeting)
        seen = len(meeting.events)
        meeting.go_on()
        if len(meeting.events) == seen:
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
        if len(str(error)) > MOST_WORDS:
            raise Broken(f"{len(str(error))} characters for the log: {str(error)[:200]}") from error


def _check_bounds(meeting: Conversation) -> None:
    if len(meeting.sent) > MOST_ANSWER_BYTES:
        raise Broken(f"{len(meeting.sent)} bytes of answers")
    if len(meeting.events) + len(meeting.questions) > MOST_EVENTS:
        raise Broken("there is no end of events")


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
