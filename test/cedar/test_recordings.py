"""What HTCondor said and heard, said and heard again: byte for byte."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from annexd.cedar.channel import Channel
from annexd.cedar.commands import Command
from annexd.cedar.context import Endpoint
from annexd.cedar.crypto import AES
from annexd.cedar.errors import AuthorizationDenied
from annexd.cedar.events import CommandReceived, ConnectionClosed
from annexd.cedar.identity import Identity
from annexd.cedar.levels import Level
from annexd.cedar.message import MessageReader, MessageWriter
from annexd.cedar.policy import SecurityPolicy
from annexd.cedar.secret import Secret
from annexd.cedar.session import Session, SessionCache
from test.cedar.conversation import Conversation, server
from test.cedar.recording import CLIENT, PLENTY, SERVER, VECTORS, Recorded, Recording, load, names

_ADMINISTRATOR = (60004, 60012, 60006, 60005, 60042, 60015, 60016, 60041, 60023, 60024, 60013, 60018)
_LEVELS: Mapping[Level, tuple[int, ...]] = {  # the recorded server's table, in its order
    Level.ADMINISTRATOR: _ADMINISTRATOR,
    Level.CONFIG: (60025,),
    Level.WRITE: (60021, 1200, 1000),
    Level.READ: (60007, 457, 60020, 60044, 74, 48),
}
_WITHOUT_PAYLOAD = {*_ADMINISTRATOR, *range(60020, 60030), 60044} - {60013, 60018}
COMMANDS = {
    number: Command(
        number, str(number), level, force_authentication=number == 1000, payload=number not in _WITHOUT_PAYLOAD
    )
    for level, numbers in _LEVELS.items()
    for number in numbers
}
POLICY = SecurityPolicy(methods=("FS", "IDTOKENS", "SSL"), crypto_methods=("AES", "BLOWFISH", "3DES"))
OTHER_METHODS = {"srv_ping_ssl_25", "srv_password", "srv_claimtobe", "srv_anonymous"}
NEW = [name for name in names("srv_*") if not name.endswith("_2") and name not in OTHER_METHODS]
RESUMED = names("srv_*_2")
ENCRYPTED = [name for name in names("srv_*") + names("cli_*") if "session_key" in load(name).facts]


def _replay(recording: Recording, random: Recorded, sessions: SessionCache, **answers: Any) -> Conversation:
    context = server(random, commands=COMMANDS, policy=dict.fromkeys(Level, POLICY), sessions=sessions)
    conversation = Conversation.at(context, Endpoint("127.0.0.1", 19700), **answers)
    conversation.hear(recording.sent_by(CLIENT))
    return conversation


def _sessions(recording: Recording) -> SessionCache:
    prefix, _, number = recording.facts["sid"].rpartition(":")
    return SessionCache(prefix, first_number=int(number))


def _handlers_replies(recording: Recording) -> Iterator[bytes]:
    """What the recorded command handler said: the server's messages after the client's last, but for a ping's."""
    messages = recording.messages()
    last = max(position for position, (frame, _) in enumerate(messages) if frame.sender == CLIENT)
    for frame, text in messages[last + 1 :]:
        assert frame.sender == SERVER
        yield text


@pytest.mark.parametrize("name", NEW)
def test_a_recorded_new_session_is_answered_byte_for_byte(name: str) -> None:
    recording = load(name)
    pool_key = Secret(bytes.fromhex(_kdf()["pool_secret_hex"]))
    is_denied = recording.facts.get("post_ad", {}).get("ReturnCode") == "DENIED"
    conversation = Conversation.at(
        server(
            recording.random(),
            commands=COMMANDS,
            policy=dict.fromkeys(Level, POLICY),
            sessions=_sessions(recording),
        ),
        keys={"POOL": pool_key},
        granted=not is_denied,
    )
    if is_denied:
        with pytest.raises(AuthorizationDenied):
            conversation.hear(recording.sent_by(CLIENT))
    else:
        conversation.hear(recording.sent_by(CLIENT))
    if conversation.events and isinstance(conversation.events[-1], CommandReceived):
        for reply in _handlers_replies(recording):
            if conversation.command().payload:
                conversation.reply(reply)
    assert conversation.sent.hex() == recording.sent_by(SERVER).hex()
    assert not conversation.hear(b"") if not is_denied else True


@pytest.mark.parametrize("name", NEW)
def test_a_recorded_new_session_ends_with_the_recorded_user(name: str) -> None:
    recording = load(name)
    if "post_ad" not in recording.facts:
        return
    user = recording.facts["post_ad"]["User"]
    assert recording.facts["user"] in {user, None}


@pytest.mark.parametrize("name", RESUMED)
def test_a_recorded_resumed_session_is_answered_byte_for_byte(name: str) -> None:
    recording = load(name)
    random = recording.random()
    random.draws(_nonce(recording))
    sessions = SessionCache("unused")
    user = Identity(recording.facts["user"], recording.facts["method"])
    sessions.add(Session(recording.facts["sid"], {AES: recording.session_key}, user))
    conversation = _replay(recording, random, sessions)
    command = conversation.command()
    assert command.identity == user
    assert command.session_id == recording.facts["sid"]
    assert command.payload is not None
    assert command.payload.ad()["Command"] == "CA_BULK_REQUEST"
    for reply in _handlers_replies(recording):
        conversation.reply(reply)
    assert conversation.sent.hex() == recording.sent_by(SERVER).hex()


@pytest.mark.parametrize("name", ENCRYPTED)
@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_each_side_of_a_recorded_connection_writes_the_recorded_frames(name: str, side: str) -> None:
    recording = load(name)
    messages = recording.messages()
    clear = next(number for number, (frame, text) in enumerate(messages) if frame.body != text)
    encrypted = [frame for frame, text in messages if frame.sender == side and frame.body != text]
    channel = Channel(PLENTY)
    for number, (frame, text) in enumerate(messages):
        if number == clear:
            channel.encrypt(recording.session_key, encrypted[0].body[:16] if encrypted else bytes(16))
        if frame.sender == side:
            channel.send(text)
            assert channel.data_to_send().hex() == frame.raw.hex()
        else:
            channel.receive(frame.raw)
            assert channel.next_message() == text


@pytest.mark.parametrize("name", ENCRYPTED)
def test_a_recorded_ad_is_read_and_written_the_same(name: str) -> None:
    for frame, text in load(name).messages():
        for start in (0, 8):
            _check_ad(text[start:], encrypted=frame.body != text)


def _check_ad(text: bytes, *, encrypted: bool) -> None:
    if b" = " not in text or not text.startswith(bytes(7)):
        return
    reader = MessageReader(text, encrypted=encrypted)
    try:
        ad = reader.ad(nested=False)
        reader.end()
    except Exception:  # noqa: BLE001 (this start of the text is no ad)
        return
    assert MessageWriter(encrypted=encrypted).ad(ad).body() == text  # type: ignore[arg-type]


def test_a_client_without_a_common_method_gets_an_empty_list_and_leaves() -> None:
    recording = load("srv_ping_claimtobe_25")
    conversation = _replay(recording, recording.random(), _sessions(recording))
    assert conversation.sent == recording.sent_by(SERVER)
    conversation.hear(b"")
    assert conversation.events == [ConnectionClosed()]


def _nonce(recording: Recording) -> bytes:
    import base64

    answer = next(text for frame, text in recording.messages() if frame.sender == SERVER)
    nonce = MessageReader(answer, encrypted=False).ad(nested=False)["Nonce"]
    return base64.b64decode(str(nonce))


def _kdf() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VECTORS / "kdf.json").read_text())
    return found
