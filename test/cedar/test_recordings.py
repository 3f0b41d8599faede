"""Recorded conversations of HTCondor are reproduced byte for byte."""

import base64
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from annexd.cedar.channel import Channel
from annexd.cedar.commands import COMMANDS as OURS
from annexd.cedar.commands import DC_RECONFIG_FULL, Command
from annexd.cedar.context import ServerContext
from annexd.cedar.crypto import IV_BYTES
from annexd.cedar.errors import AuthorizationDenied
from annexd.cedar.events import ConnectionClosed
from annexd.cedar.identity import Identity
from annexd.cedar.legacy import secret_reader, secret_writer
from annexd.cedar.levels import Level
from annexd.cedar.message import MessageReader, MessageWriter
from annexd.cedar.policy import CIPHERS, SecurityPolicy
from annexd.cedar.secret import Secret
from annexd.cedar.session import SecuritySession, SessionCache
from annexd.cedar.signing_key import pool_password
from test.cedar.conversation import Conversation, server
from test.cedar.recording import CLIENT, PLENTY, SERVER, Recorded, Recording, kdf, load, names

_DAEMON = (60002, 60003, 60026, 60017, 60000)
_ADMINISTRATOR = (60004, 60012, 60006, 60005, 60042, 60015, 60016, 60041, 60023, 60024, 60013, 60018)
_LEVELS: Mapping[Level, tuple[int, ...]] = {  # the command table of the recorded server, in its order
    Level.DAEMON: _DAEMON,
    Level.ADMINISTRATOR: _ADMINISTRATOR,
    Level.CONFIG: (60025,),
    Level.WRITE: (60021, 1200, 1000),
    Level.READ: (60007, 457, 60020, 60044, 74, 48),
}
_WITHOUT_PAYLOAD = {*_ADMINISTRATOR, *range(60020, 60030), 60044} - {60013, 60018}
COMMANDS = {
    number: Command(
        number,
        OURS[number].name if number in OURS else str(number),
        level,
        force_authentication=number == 1000,
        payload=number not in _WITHOUT_PAYLOAD,
    )
    for level, numbers in _LEVELS.items()
    for number in numbers
}
POLICY = SecurityPolicy(methods=("FS", "IDTOKENS", "SSL"), crypto_methods=("AES", "BLOWFISH", "3DES"))
ALL_METHODS = (
    *POLICY.methods,
    "PASSWORD",
    "CLAIMTOBE",
    "ANONYMOUS",
)  # of the server of the last two recordings in LEGACY
LEGACY = ["srv_3des_bulk_25", "srv_blowfish_bulk_25", "srv_zkm_blowfish_mac", "srv_zkm_blowfish_nomac"]
WITH_PAYLOAD = ["srv_fs_bulk_25", "srv_idtokens_bulk_25", "srv_configval_25", "srv_configval_undef_25", *LEGACY]
PINGS = [
    "srv_ping_fs_23",
    "srv_ping_fs_25",
    "srv_ping_idtokens_23",
    "srv_badtoken_fallback_25",
    "srv_ping_noauth_25",
    "srv_ping_nothing_25",
]
RESUMED = ["srv_fs_bulk_25_2", "srv_idtokens_bulk_25_2"]
ENCRYPTED = [name for name in names("srv_*") + names("cli_*") if "session_key" in load(name).facts]


def _replay(
    recording: Recording, random: Recorded, sessions: SessionCache, *, granted: bool = True, **changes: Any
) -> Conversation:
    facts: dict[str, Any] = {"policy": dict.fromkeys(Level, POLICY), **changes}
    context = server(random, commands=COMMANDS, sessions=sessions, **facts)
    _use_recorded_commands(context, recording)
    pool_key = Secret(bytes.fromhex(kdf()["pool_secret_hex"]))
    conversation = Conversation.at(context, keys={"POOL": pool_key}, granted=granted)
    conversation.receive(recording.sent_by(CLIENT))
    return conversation


def _use_recorded_commands(context: ServerContext, recording: Recording) -> None:
    """Use the recorded ValidCommands: unlike annexd's, it includes commands without a message, for every cipher."""
    if valid := recording.facts.get("post_ad", {}).get("ValidCommands"):
        context.valid_commands.update(dict.fromkeys(product(CIPHERS, Level, (True, False)), valid))


def test_a_recorded_claim_is_accepted_byte_for_byte_and_limited_to_its_command() -> None:
    recording = load("srv_claimtobe")
    sessions = _sessions(recording)
    conversation = _replay(recording, recording.random(), sessions, policy=_policy("CLAIMTOBE"))
    assert conversation.sent.hex() == recording.sent_by(SERVER).hex()
    session = sessions.find(recording.facts["sid"], conversation.now_s)
    assert session is not None
    assert session.identity == Identity("condor@annex.test", "CLAIMTOBE", ("DAEMON", "WRITE", "READ"))


@pytest.mark.parametrize("method", ["ANONYMOUS", "PASSWORD"])
def test_a_recorded_denial_of_another_method_is_answered_byte_for_byte(method: str) -> None:
    recording = load(f"srv_{method.lower()}")
    password = pool_password(bytes.fromhex(kdf()["pool_key_file_hex"]))
    facts = {"policy": _policy(method), "pool_password": password}
    context = server(recording.random(), commands=COMMANDS, sessions=_sessions(recording), **facts)
    _use_recorded_commands(context, recording)
    conversation = Conversation.at(context, granted=False)
    with pytest.raises(AuthorizationDenied) as caught:
        conversation.receive(recording.sent_by(CLIENT))
    assert conversation.sent.hex() == recording.sent_by(SERVER).hex()
    assert recording.facts["user"] in str(caught.value)


def _policy(*methods: str) -> dict[Level, SecurityPolicy]:
    """Return a policy that includes IDTOKENS, since the recorded daemon sends its issuer keys."""
    return dict.fromkeys(Level, replace(POLICY, methods=tuple(dict.fromkeys((*methods, "IDTOKENS")))))


def _sessions(recording: Recording) -> SessionCache:
    prefix, _, number = recording.facts["sid"].rpartition(":")
    return SessionCache(prefix, random_hex=lambda _size: number)


def _reply_as_recorded(conversation: Conversation, recording: Recording) -> None:
    """Send what the recorded command handler sent: all messages after the client's last one."""
    messages = recording.messages()
    last = max(position for position, (frame, _) in enumerate(messages) if frame.sender == CLIENT)
    for frame, text in messages[last + 1 :]:
        assert frame.sender == SERVER
        conversation.reply(text)


def _server_messages(recording: Recording) -> list[bytes]:
    return [text for frame, text in recording.messages() if frame.sender == SERVER]


@pytest.mark.parametrize("name", WITH_PAYLOAD)
def test_a_recorded_command_in_a_new_session_is_answered_byte_for_byte(name: str) -> None:
    recording = load(name)
    policy = _policy(*ALL_METHODS) if "zkm" in name else _policy(*POLICY.methods)
    conversation = _replay(recording, recording.random(), _sessions(recording), policy=policy)
    command = conversation.command()
    assert command.identity.user == recording.facts["user"]
    assert command.identity.method == recording.facts["method"]
    assert command.payload is not None
    _reply_as_recorded(conversation, recording)
    assert conversation.sent.hex() == recording.sent_by(SERVER).hex()


@pytest.mark.parametrize("name", LEGACY)
def test_a_recorded_order_under_a_legacy_cipher_is_read_with_its_private_attributes(name: str) -> None:
    recording = load(name)
    payload = _replay(recording, recording.random(), _sessions(recording)).command().payload
    assert payload is not None
    ad = payload.ad()
    payload.end()
    assert ad["Command"] == "CA_BULK_REQUEST"
    assert ad["Payload"] == 'he said "hi\\there" é'
    assert "ClaimId" in ad


@pytest.mark.parametrize("name", ["srv_zkm_blowfish_mac", "srv_zkm_blowfish_nomac"])
def test_a_private_attribute_is_written_as_htcondor_wrote_it(name: str) -> None:
    """HTCondor encrypts the attribute after its marker, in a message that is otherwise in clear."""
    recording = load(name)
    text = [text for frame, text in recording.messages() if frame.sender == CLIENT][-1]
    ad = MessageReader(text, encrypted=False, secrets=secret_reader(recording.protection)).ad()
    writer = MessageWriter(encrypted=False, secrets=secret_writer(recording.protection))
    assert writer.ad({name: str(value) for name, value in ad.items()}).body().hex() == text.hex()
    assert b"ClaimId" not in text
    assert set(ad) == {"ClaimId", "Command", "Payload"}


@pytest.mark.parametrize("name", PINGS)
def test_a_recorded_ping_is_answered_byte_for_byte(name: str) -> None:
    recording = load(name)
    conversation = _replay(recording, recording.random(), _sessions(recording))
    assert conversation.events == [ConnectionClosed()], "a ping executes no command"
    assert conversation.sent.hex() == recording.sent_by(SERVER).hex()


def test_a_recorded_command_without_payload_is_received_without_waiting_for_one() -> None:
    recording = load("srv_reconfig_25")
    conversation = _replay(recording, recording.random(), _sessions(recording))
    assert conversation.command().command.number == DC_RECONFIG_FULL
    assert conversation.sent.hex() == recording.sent_by(SERVER).hex()


def test_a_recorded_denial_is_answered_byte_for_byte() -> None:
    recording = load("srv_ping_denied_25")
    context = server(
        recording.random(),
        commands=COMMANDS,
        policy=dict.fromkeys(Level, POLICY),
        sessions=_sessions(recording),
    )
    _use_recorded_commands(context, recording)
    conversation = Conversation.at(context, granted=False)
    with pytest.raises(AuthorizationDenied):
        conversation.receive(recording.sent_by(CLIENT))
    assert conversation.sent.hex() == recording.sent_by(SERVER).hex()
    assert len(context.sessions) == 0


@pytest.mark.parametrize("name", RESUMED)
def test_a_recorded_resumed_session_is_answered_byte_for_byte(name: str) -> None:
    recording = load(name)
    answer = MessageReader(_server_messages(recording)[0], encrypted=False).handshake_ad()
    random = recording.random()
    random.add(base64.b64decode(str(answer["nonce"])))
    sessions = SessionCache("unused")
    user = Identity(recording.facts["user"], recording.facts["method"])
    sessions.add(SecuritySession(recording.facts["sid"], recording.session_key, user))
    conversation = _replay(recording, random, sessions)
    command = conversation.command()
    assert command.identity == user
    assert command.session_id == recording.facts["sid"]
    assert command.payload is not None
    assert command.payload.ad()["Command"] == "CA_BULK_REQUEST"
    _reply_as_recorded(conversation, recording)
    assert conversation.sent.hex() == recording.sent_by(SERVER).hex()


def test_a_client_without_a_common_method_gets_an_empty_list_and_leaves() -> None:
    recording = load("srv_ping_claimtobe_25")
    conversation = _replay(recording, recording.random(), _sessions(recording))
    assert conversation.sent == recording.sent_by(SERVER)
    conversation.receive(b"")
    assert conversation.events == [ConnectionClosed()]


@pytest.mark.parametrize("name", ENCRYPTED)
@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_each_side_of_a_recorded_connection_writes_the_recorded_frames(name: str, side: str) -> None:
    recording = load(name)
    messages = recording.messages()
    encrypted = [frame for frame, text in messages if frame.body != text]
    own_iv = next((frame.body[:IV_BYTES] for frame in encrypted if frame.sender == side), bytes(IV_BYTES))
    channel = Channel(PLENTY)
    for frame, text in messages:
        if encrypted and frame is encrypted[0]:
            recording.use_key(channel, own_iv)
        if frame.sender == side:
            channel.send(text)
            assert channel.data_to_send().hex() == frame.raw.hex()
        else:
            channel.receive(frame.raw)
            assert channel.next_message() == text


@pytest.mark.parametrize("name", names("srv_*") + names("cli_*"))
def test_the_ads_of_a_recorded_handshake_are_reproduced_exactly(name: str) -> None:
    recording = load(name)
    opening = recording.frames[0].body[8:]
    _check_ad(opening, recording.facts["client_ad"], encrypted=False)
    if "server_ad" in recording.facts:
        answer = next(frame.body for frame in recording.frames if frame.sender == SERVER)
        _check_ad(answer, recording.facts["server_ad"], encrypted=False)
    if "post_ad" in recording.facts:
        verdict = next(text for text in _server_messages(recording) if b"ValidCommands" in text)
        _check_ad(verdict, recording.facts["post_ad"], encrypted=recording.is_encrypted)


def _check_ad(text: bytes, expected: dict[str, Any], *, encrypted: bool) -> None:
    reader, strict = (MessageReader(text, encrypted=encrypted) for _ in range(2))
    assert reader.ad() == expected
    assert strict.handshake_ad() == {name.lower(): value for name, value in expected.items()}
    assert reader.remaining == strict.remaining == 0
    assert MessageWriter(encrypted=encrypted).ad(expected).body() == text
