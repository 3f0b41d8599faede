"""Conversations that are not recorded: raw commands, refusals and questions."""

import pytest

from annexd.cedar.commands import (
    CA_AUTH_CMD,
    CA_CMD,
    CONFIG_VAL,
    DC_AUTHENTICATE,
    DC_CONFIG_VAL,
    DC_FETCH_LOG,
    DC_NOP,
    DC_NOP_READ,
    DC_NOP_WRITE,
    DC_QUERY_INSTANCE,
    DC_SEC_QUERY,
    QUERY_ANY_ADS,
)
from annexd.cedar.errors import (
    AuthenticationFailed,
    AuthorizationDenied,
    MalformedMessage,
    PeerError,
    PolicyMismatch,
    UnknownCommand,
)
from annexd.cedar.events import NeedData
from annexd.cedar.identity import UNAUTHENTICATED
from annexd.cedar.levels import Level
from annexd.cedar.message import MessageWriter
from annexd.cedar.policy import Requirement, SecurityPolicy
from annexd.cedar.secret import Secret
from test.cedar.client import FS, Client, established
from test.cedar.conversation import NOW_S, Conversation, server

KEY = Secret(b"k" * 32)
REQUIRED = dict.fromkeys(
    Level, SecurityPolicy(Requirement.REQUIRED, Requirement.REQUIRED, Requirement.REQUIRED, Requirement.REQUIRED)
)
OPTIONAL_METHOD = {"Authentication": "OPTIONAL", "AuthenticationNew": "OPTIONAL"}


def _raw(number: int) -> MessageWriter:
    return MessageWriter(encrypted=False).integer(number)


# --- new sessions


def test_a_session_is_for_the_commands_of_its_level_and_below() -> None:
    _, verdict = established(Conversation.at(server()), DC_NOP_WRITE)
    valid = {int(number) for number in str(verdict["ValidCommands"]).split(",")}
    assert {QUERY_ANY_ADS, DC_CONFIG_VAL, CONFIG_VAL} <= valid
    assert not valid & {DC_FETCH_LOG, CA_CMD}


def test_a_session_is_kept_for_its_duration_and_the_slop() -> None:
    context = server()
    _, verdict = established(Conversation.at(context))
    sid = str(verdict["Sid"])
    assert context.sessions.find(sid, NOW_S + 79)
    assert not context.sessions.find(sid, NOW_S + 80)


def test_optional_authentication_that_fails_leaves_the_peer_unauthenticated() -> None:
    policy = dict.fromkeys(Level, SecurityPolicy(authentication=Requirement.PREFERRED))
    client = Client(Conversation.at(server(policy=policy), owner=None))
    client.start(OPTIONAL_METHOD)
    answer = client.receive_ad()
    assert answer["AuthRequired"] is False
    assert client.offer(FS) == FS
    assert client.pass_fs() == -1
    client.send(client.message().integer(0))
    assert client.receive().integer() == 0, "no method is left"
    client.encrypt(answer)
    verdict = client.receive_ad()
    assert verdict["User"] == UNAUTHENTICATED.user
    assert verdict["TriedAuthentication"] is True


def test_required_authentication_that_fails_ends_the_connection() -> None:
    client = Client(Conversation.at(server(), owner=None))
    client.start()
    client.receive_ad()
    assert client.offer(FS) == FS
    assert client.pass_fs() == -1
    message = r"is not a directory made by the peer .* or its owner has no account"
    with pytest.raises(AuthenticationFailed, match=message):
        client.offer(FS)
    assert client.conversation.sent.endswith(bytes(8)), "the server reports that no method is left"


@pytest.mark.parametrize(
    ("changes", "without", "error"),
    [
        ({"Command": 4711}, (), UnknownCommand),
        ({}, ("Command",), UnknownCommand),
        ({"Command": "60020"}, (), UnknownCommand),
        ({"Command": DC_SEC_QUERY}, (), UnknownCommand),
        ({"Command": DC_AUTHENTICATE, "AuthCommand": 1}, (), UnknownCommand),
        ({"Authentication": "NEVER", "AuthenticationNew": "NEVER"}, (), PolicyMismatch),
        ({}, ("Encryption",), PolicyMismatch),
        ({"CryptoMethods": "BLOWFISH,3DES"}, (), PolicyMismatch),
        ({}, ("CryptoMethods",), PolicyMismatch),
        ({}, ("ECDHPublicKey",), MalformedMessage),
        ({"ECDHPublicKey": "BA=="}, (), MalformedMessage),
        ({"ECDHPublicKey": 7}, (), MalformedMessage),
        ({}, ("Enact",), MalformedMessage),
        ({"Cookie": "let me in"}, (), MalformedMessage),
    ],
)
def test_an_unacceptable_handshake_ad_is_refused_without_an_answer(
    changes: dict[str, str | int], without: tuple[str, ...], error: type[PeerError]
) -> None:
    client = Client(Conversation.at(server(policy=REQUIRED)))
    with pytest.raises(error):
        client.start(changes, without)
    assert client.conversation.sent == b""


def test_bytes_after_the_handshake_ad_are_refused() -> None:
    client = Client(Conversation.at(server()))
    with pytest.raises(MalformedMessage, match="left over"):
        client.send(client.message().integer(DC_AUTHENTICATE).ad({"Command": DC_NOP}).raw(b"x"))


def test_a_second_handshake_in_a_session_is_refused() -> None:
    client, _ = established(Conversation.at(server()))
    with pytest.raises(MalformedMessage, match="second DC_AUTHENTICATE"):
        client.start()


def test_a_query_for_a_denied_command_is_answered_only_by_the_method() -> None:
    client = Client(Conversation.at(server(), granted=False))
    client.start({"Command": DC_SEC_QUERY, "AuthCommand": DC_NOP_READ})
    answer = client.receive_ad()
    client.offer(FS)
    client.receive().string()
    so_far = len(client.conversation.sent)
    with pytest.raises(AuthorizationDenied, match="see ALLOW_READ"):
        client.send(client.message().integer(0))
    client.encrypt(answer)
    result, no_key = client.conversation.sent[so_far:][:13], client.conversation.sent[so_far:][13:26]
    assert result == no_key == bytes.fromhex("0100000008") + bytes(8)


def test_commands_that_need_authentication_are_not_offered_to_unauthenticated_peers() -> None:
    client = Client(Conversation.at(server()))
    never = {"Authentication": "NEVER", "AuthenticationNew": "NEVER"}
    client.start({"Command": CA_CMD, **never})
    client.encrypt(client.receive_ad())
    valid = str(client.receive_ad()["ValidCommands"]).split(",")
    assert str(CA_CMD) in valid
    assert str(CA_AUTH_CMD) not in valid


# --- several commands on a connection


def test_bare_commands_in_a_session_have_its_user() -> None:
    conversation = Conversation.at(server())
    client, _ = established(conversation)
    first = conversation.command()
    client.send(client.message().integer(DC_CONFIG_VAL).string("LOG"))
    second = conversation.command()
    assert second.identity == first.identity
    assert second.payload is not None
    assert second.payload.string() == "LOG"
    second.payload.end()


# --- raw commands


@pytest.mark.parametrize("number", [DC_NOP, DC_QUERY_INSTANCE])
def test_commands_open_to_everyone_need_no_session(number: int) -> None:
    conversation = Conversation.at(server(policy=REQUIRED))
    Client(conversation).send(_raw(number))
    assert conversation.command().identity == UNAUTHENTICATED
    assert conversation.command().session_id is None
    conversation.reply(b"0123456789abcdef")
    assert conversation.sent == bytes.fromhex("0100000010") + b"0123456789abcdef"


def test_a_raw_command_has_its_payload_in_the_same_message() -> None:
    conversation = Conversation.at(server())
    Client(conversation).send(_raw(DC_CONFIG_VAL).string("LOG"))
    payload = conversation.command().payload
    assert payload is not None
    assert payload.string() == "LOG"


@pytest.mark.parametrize("number", [DC_NOP_READ, DC_CONFIG_VAL, CA_CMD, CA_AUTH_CMD])
def test_raw_commands_are_refused_without_an_answer_if_sessions_are_required(number: int) -> None:
    conversation = Conversation.at(server(policy=REQUIRED))
    with pytest.raises(AuthorizationDenied, match="without a security session"):
        Client(conversation).send(_raw(number).string("x"))
    assert not conversation.questions
    assert conversation.sent == b""


def test_a_raw_command_that_needs_authentication_is_refused_under_every_policy() -> None:
    with pytest.raises(AuthorizationDenied):
        Client(Conversation.at(server())).send(_raw(CA_AUTH_CMD).ad({}))


def test_a_raw_command_with_too_many_bytes_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="left over"):
        Client(Conversation.at(server())).send(_raw(DC_NOP).raw(b"\0"))


# --- questions


def test_a_question_repeats_until_answered_and_accepts_no_other_answer() -> None:
    context = server()
    conversation = Conversation.at(context)
    connection = conversation.connection
    writer = Client(conversation)
    writer.channel.send(_raw(DC_NOP).body())
    connection.receive_data(writer.channel.data_to_send())
    assert connection.next_event(NOW_S) == connection.next_event(NOW_S)
    with pytest.raises(TypeError):
        connection.signing_key(None)
    connection.authorization(True)
    assert conversation.advance() == b""
    assert conversation.command().command.number == DC_NOP
    assert connection.next_event(NOW_S) == NeedData()
