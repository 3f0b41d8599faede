"""Any bytes, split in any way, give events or PeerError."""

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from annexd.cedar.commands import CA_AUTH_CMD
from annexd.cedar.errors import PeerError
from annexd.cedar.events import CommandReceived, Event
from annexd.cedar.frame import HEADER
from annexd.cedar.identity import Identity
from annexd.cedar.levels import Level
from annexd.cedar.policy import SecurityPolicy
from annexd.cedar.secret import Secret
from annexd.cedar.session import SecuritySession, SessionCache
from test.cedar.conversation import Conversation, counting_random, server
from test.cedar.recording import CLIENT, Recording, kdf, load

RECORDINGS = (
    "srv_fs_bulk_25",
    "srv_fs_bulk_25_2",
    "srv_idtokens_bulk_25",
    "srv_ping_fs_23",
    "srv_claimtobe",
    "srv_anonymous",
    "srv_password",
    "srv_ping_idtokens_23",
    "srv_ping_noauth_25",
    "srv_configval_25",
)

METHODS = ("FS", "IDTOKENS", "PASSWORD", "CLAIMTOBE", "ANONYMOUS")  # SSL: see test_tls.py


@cache
def _recording(name: str) -> Recording:
    return load(name)


def _conversation(recording: Recording) -> Conversation:
    """Create a server that responds like the recorded one, with its random bytes."""
    sessions = SessionCache("vm:14367:1795360276", random_hex=lambda _size: "7")
    if "server_ecdh_priv" not in recording.facts:
        sessions.add(SecuritySession(recording.facts["sid"], recording.session_key, Identity("a@b", "FS")))
    policy = dict.fromkeys(Level, SecurityPolicy(methods=METHODS, crypto_methods=("AES", "BLOWFISH", "3DES")))
    random = recording.random().and_then(counting_random())
    context = server(random, sessions=sessions, policy=policy, pool_password=Secret(b"opensesame"))
    return Conversation.at(context, keys={"POOL": Secret(bytes.fromhex(kdf()["pool_secret_hex"]))})


def _outcome(conversation: Conversation, chunks: list[bytes]) -> tuple[list[Event | str], bytes]:
    error = ""
    for chunk in chunks:
        try:
            conversation.receive(chunk)
        except PeerError as refused:
            error = str(refused)
            break
    events = [_comparable(event) for event in conversation.questions + conversation.events]
    return [*events, error], conversation.sent


def _comparable(event: Event) -> Event | str:
    if not isinstance(event, CommandReceived):
        return event
    payload = event.payload.raw(event.payload.remaining) if event.payload else None
    return f"{event.command} {event.identity} {event.session_id} {payload!r}"


@st.composite
def _cut(draw: st.DrawFn) -> tuple[str, list[int]]:
    name = draw(st.sampled_from(RECORDINGS))
    length = len(_recording(name).sent_by(CLIENT))
    return name, sorted(draw(st.lists(st.integers(1, length - 1), max_size=8, unique=True)))


@given(_cut())
@settings(deadline=None)
def test_any_split_of_the_bytes_gives_the_same_events(cut: tuple[str, list[int]]) -> None:
    name, positions = cut
    recording = _recording(name)
    sent = recording.sent_by(CLIENT)
    ends = [*positions, len(sent)]
    chunks = [sent[start:end] for start, end in zip([0, *positions], ends, strict=True)]
    assert _outcome(_conversation(recording), chunks) == _outcome(_conversation(recording), [sent])


def test_single_bytes_give_the_same_events() -> None:
    recording = _recording("srv_idtokens_bulk_25")
    sent = recording.sent_by(CLIENT)
    singly = [sent[position : position + 1] for position in range(len(sent))]
    assert _outcome(_conversation(recording), singly) == _outcome(_conversation(recording), [sent])


@given(st.binary(max_size=300))
def test_any_bytes_give_events_or_a_peer_error(received: bytes) -> None:
    _outcome(Conversation.at(server()), [received, b""])


@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=6))
def test_any_messages_give_events_or_a_peer_error(messages: list[bytes]) -> None:
    framed = [HEADER.pack(1, len(message)) + message for message in messages]
    _outcome(Conversation.at(server()), [*framed, b""])


_CHANGES = st.tuples(
    st.floats(0, 0.9999),
    st.sampled_from(["flip", "drop", "insert", "copy"]),
    st.binary(min_size=1, max_size=4),
)


@given(st.sampled_from(RECORDINGS), st.lists(_CHANGES, min_size=1, max_size=4))
@settings(deadline=None, max_examples=400)
def test_modified_recordings_give_events_or_a_peer_error(name: str, changes: list[tuple[float, str, bytes]]) -> None:
    recording = _recording(name)
    sent = bytearray(recording.sent_by(CLIENT))
    for place, kind, value in changes:
        _change(sent, int(place * len(sent)), kind, value)
    conversation = _conversation(recording)
    _outcome(conversation, [bytes(sent), b""])
    for event in conversation.events:
        if isinstance(event, CommandReceived) and event.payload:
            _read_payload(event)


def _change(sent: bytearray, position: int, kind: str, value: bytes) -> None:
    match kind:
        case "flip" if sent:
            sent[position] ^= value[0] or 1
        case "drop":
            del sent[position : position + value[0] % 16]
        case "insert":
            sent[position:position] = value
        case "copy":
            sent[position:position] = sent[position : position + 40]


def _read_payload(event: CommandReceived) -> None:
    assert event.payload is not None
    try:
        if event.command.number == CA_AUTH_CMD:
            event.payload.ad()
        event.payload.string()
        event.payload.end()
    except PeerError:
        return
