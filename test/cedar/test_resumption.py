"""Resumed sessions: nothing happens before the peer proves the key."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product

import pytest

from annexd.cedar.channel import Channel
from annexd.cedar.classad import Scalar
from annexd.cedar.commands import (
    CA_AUTH_CMD,
    COMMANDS,
    DC_AUTHENTICATE,
    DC_CONFIG_VAL,
    DC_NOP_READ,
    DC_OFF_FAST,
    DC_QUERY_INSTANCE,
    DC_RECONFIG,
    DC_SEC_QUERY,
    Command,
)
from annexd.cedar.context import ServerContext
from annexd.cedar.errors import AuthorizationDenied, PeerError, TooLarge, UnknownSession, UnprovedSession
from annexd.cedar.events import ConnectionClosed, NeedAuthorization
from annexd.cedar.identity import UNAUTHENTICATED, Identity, TokenFacts
from annexd.cedar.levels import Level
from annexd.cedar.secret import Secret
from annexd.cedar.session import SecuritySession, inherited_sessions
from test.cedar.client import CLIENT_IV, FS, Client, established
from test.cedar.conversation import NOW_S, Conversation, server
from test.cedar.recording import PLENTY

KEY = Secret(b"k" * 32)
ANOTHER_KEY = Secret(b"a" * 32)
INHERITED = (
    'SessionKey:parent:1#[Encryption="YES";CryptoMethodsList="AES.3DES";]00ff '
    'FamilySessionKey:family:1#[Encryption="YES";]00aa'
)
TOKEN = TokenFacts("alice@annex.test", "annex.test", "1", ("ADMINISTRATOR",), NOW_S + 500)
NEGOTIATED = {
    "by FS": Identity("alice@annex.test", "FS"),
    "by a token": Identity("alice@annex.test", "IDTOKENS", ("ADMINISTRATOR",), token=TOKEN),
    "unauthenticated": UNAUTHENTICATED,
}
OWNERS = [*NEGOTIATED, "of the parent", "of the family"]
EVERY_OWNER = pytest.mark.parametrize("owner", OWNERS)
EVERY_COMMAND = pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name)
# A peer without the key can send these instead of the message that proves the key.
FORGERIES: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "a message in clear": lambda: _written(None),
    "a message under another key": lambda: _written(ANOTHER_KEY),
    "an empty message": lambda: bytes.fromhex("0100000000"),
    "a tag of zeros": lambda: bytes.fromhex("0100000020") + bytes(32),
}


def _written(key: Secret | None) -> bytes:
    channel = Channel(PLENTY)
    if key:
        channel.encrypt(key, CLIENT_IV)
    channel.send(bytes(8))
    return channel.data_to_send()


def _context(owner: str) -> tuple[ServerContext, SecuritySession]:
    """Return a server and its session of this owner, which has others around it."""
    context = server()
    if owner in NEGOTIATED:
        mine = SecuritySession("mine", KEY, NEGOTIATED[owner], NOW_S + 100, lease_s=60, used_at_s=NOW_S - 50)
        for session in (replace(mine, id="older"), mine, replace(mine, id="newer")):
            context.sessions.add(session)
        return context, mine
    for session in inherited_sessions(INHERITED):
        context.sessions.inherit(session)
    found = context.sessions.find("parent:1" if owner == "of the parent" else "family:1", NOW_S)
    assert found is not None
    return context, found


def _state(context: ServerContext) -> list[list[tuple[str, SecuritySession]]]:
    """Return the state of all sessions, in the order of eviction."""
    return [[(key, replace(kept)) for key, kept in partition.items()] for partition in context.sessions._partitions]


@EVERY_COMMAND
@EVERY_OWNER
def test_a_session_id_alone_has_no_effect(command: Command, owner: str) -> None:
    """It causes no command, no authorization, no renewal, and no log line with the session's user."""
    requests = [
        {"Command": command.number},
        {"Command": DC_SEC_QUERY, "AuthCommand": command.number},
        {"Command": DC_AUTHENTICATE, "AuthCommand": command.number},
    ]
    for forge, numbers, wants_answer in product(FORGERIES.values(), requests, (True, False, None)):
        context, session = _context(owner)
        before, conversation = _state(context), Conversation.at(context, now_s=NOW_S + 10)
        fault = _attempt(conversation, session.id, {**numbers, "ResumeResponse": wants_answer}, forge())
        assert session.identity.user not in fault
        assert [event for event in conversation.events if not isinstance(event, ConnectionClosed)] == []
        assert conversation.questions == []
        assert _state(context) == before


def _attempt(conversation: Conversation, session_id: str, requirements: Mapping[str, Scalar], forgery: bytes) -> str:
    """Return the error logged for a peer that knows only the ID."""
    try:
        Client(conversation).name_session(session_id, requirements)
        conversation.receive(forgery)
        conversation.receive(b"")
    except PeerError as error:
        return str(error)
    return ""


@EVERY_COMMAND
@EVERY_OWNER
def test_with_the_key_a_command_with_a_message_runs_and_renews_the_session(command: Command, owner: str) -> None:
    context, session = _context(owner)
    conversation = Conversation.at(context, now_s=NOW_S + 10)
    client = Client(conversation)
    if command.does_nothing:
        client.name_session(session.id, {"Command": command.number})
        assert client.receive_ad()["ReturnCode"] == "AUTHORIZED"
        assert conversation.events == [ConnectionClosed()]
        return
    if not command.payload:
        with pytest.raises(UnprovedSession, match=f"{command.name} in a resumed session"):
            client.name_session(session.id, {"Command": command.number})
        return
    client.resume(session.id, session.key, command.number)
    client.send(client.message().string("LOG"))
    assert conversation.command().identity == session.identity
    assert conversation.command().session_id == session.id
    assert conversation.questions == [NeedAuthorization(command, session.identity)]
    assert session.used_at_s == NOW_S + 10
    assert [partition[-1][0] for partition in _state(context) if session.id in dict(partition)] == [session.id]


@pytest.mark.parametrize("number", [DC_QUERY_INSTANCE, DC_OFF_FAST, DC_RECONFIG])
def test_a_session_is_reported_unknown_for_a_command_without_a_message(number: int) -> None:
    """HTCondor's clients then drop it and authenticate at the next attempt; the server keeps the session."""
    context, session = _context("by FS")
    client = Client(Conversation.at(context))
    with pytest.raises(UnprovedSession):
        client.name_session(session.id, {"Command": number})
    assert b"SID_NOT_FOUND" in client.conversation.sent
    assert context.sessions.find(session.id, NOW_S) is session


@pytest.mark.parametrize("level", [level for level in Level if level is not Level.CLIENT])
def test_valid_commands_have_a_message_or_do_nothing(level: Level) -> None:
    """HTCondor's clients therefore authenticate for every other command."""
    first = next(command for command in COMMANDS.values() if command.level is level)
    _, verdict = established(Conversation.at(server()), first.number)
    valid = [COMMANDS[int(number)] for number in str(verdict["ValidCommands"]).split(",")]
    assert valid
    assert all(command.payload or command.does_nothing for command in valid)


@pytest.mark.parametrize("number", [DC_RECONFIG, DC_QUERY_INSTANCE])
def test_a_query_for_a_command_without_a_message_gets_a_session_that_is_not_kept(number: int) -> None:
    """condor_ping requires the command in ValidCommands, and a later command must not use the session."""
    client = Client(Conversation.at(server()))
    client.start({"Command": DC_SEC_QUERY, "AuthCommand": number})
    answer = client.receive_ad()
    client.offer(FS)
    client.pass_fs()
    client.receive()
    client.encrypt(answer)
    assert answer["SessionDuration"] == "0"
    assert str(number) in str(client.receive_ad()["ValidCommands"]).split(",")


def test_valid_commands_is_never_empty() -> None:
    """HTCondor's clients fail on an empty list."""
    context = server(commands={DC_RECONFIG: COMMANDS[DC_RECONFIG]})
    _, verdict = established(Conversation.at(context), DC_RECONFIG)
    assert verdict["ValidCommands"] == str(DC_AUTHENTICATE)


def test_after_the_proof_a_command_without_a_message_may_follow_on_the_same_connection() -> None:
    context, session = _context("by FS")
    client = Client(Conversation.at(context))
    client.resume(session.id, KEY, DC_CONFIG_VAL)
    client.send(client.message().string("LOG"))
    client.conversation.advance()
    client.send(client.message().integer(DC_RECONFIG))
    command = client.conversation.command()
    assert (command.command.number, command.identity, command.session_id) == (DC_RECONFIG, session.identity, "mine")


@pytest.mark.parametrize(
    "command", [command for command in COMMANDS.values() if not command.payload], ids=lambda command: command.name
)
def test_a_new_session_is_proof_enough_for_a_command_without_a_message(command: Command) -> None:
    client, _ = established(Conversation.at(server()), command.number)
    assert client.conversation.command().command is command


def test_without_resume_response_the_server_sends_nothing_before_the_reply() -> None:
    context, _ = _context("by FS")
    conversation = Conversation.at(context)
    client = Client(conversation)
    client.name_session("mine", {"Command": DC_CONFIG_VAL, "ResumeResponse": False})
    assert conversation.sent == b""
    client.channel.encrypt(KEY, CLIENT_IV)
    client.send(client.message().string("LOG"))
    conversation.reply(conversation.connection.message().string("/var/log").body())
    client.channel.receive(conversation.sent)
    assert client.receive().string() == "/var/log"


@pytest.mark.parametrize("wants_answer", [True, False])
@pytest.mark.parametrize("number", [CA_AUTH_CMD, DC_NOP_READ, DC_RECONFIG])
def test_an_unknown_session_is_answered_if_the_client_waits_for_an_answer(wants_answer: bool, number: int) -> None:
    conversation = Conversation.at(server())
    client = Client(conversation)
    with pytest.raises(UnknownSession):
        client.name_session("test:1:2:3", {"Command": number, "ResumeResponse": wants_answer})
    assert bool(conversation.sent) is wants_answer
    assert (b"SID_NOT_FOUND" in conversation.sent) is wants_answer


def test_a_session_is_authorized_again_for_every_command() -> None:
    context, session = _context("by FS")
    conversation = Conversation.at(context, granted=False)
    client = Client(conversation)
    client.resume(session.id, KEY, DC_CONFIG_VAL)
    with pytest.raises(AuthorizationDenied, match=r"alice@annex\.test is not authorized for DC_CONFIG_VAL"):
        client.send(client.message().string("LOG"))


@pytest.mark.parametrize("knows_key", [True, False])
def test_a_resumed_session_accepts_larger_messages_only_after_proof_of_the_key(knows_key: bool) -> None:
    context, session = _context("by FS")
    client = Client(Conversation.at(context))
    client.resume(session.id, KEY, CA_AUTH_CMD)
    order = client.message().ad({"UserData": "x" * 500_000}).body()
    sealer = client.channel._sealer
    assert sealer is not None
    pieces = [order[start : start + 4075] for start in range(0, len(order), 4075)]
    wire = b"".join(sealer.seal(number == len(pieces), piece) for number, piece in enumerate(pieces, 1))
    if knows_key:
        client.conversation.receive(wire)
        assert client.conversation.command().command.number == CA_AUTH_CMD
        return
    with pytest.raises(TooLarge):
        client.conversation.receive(bytes.fromhex("010007a120"))
