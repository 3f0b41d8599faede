"""Truncated, oversized, malformed and forged frames."""

import pytest

from annexd.cedar.commands import CA_CMD, DC_AUTHENTICATE, DC_NOP
from annexd.cedar.context import Limits
from annexd.cedar.errors import MalformedMessage, PeerError, Tampered, TooLarge
from annexd.cedar.events import ConnectionClosed
from test.cedar.client import Client, established
from test.cedar.conversation import Conversation, server


def test_closing_between_messages_is_not_an_error() -> None:
    conversation = Conversation.at(server())
    conversation.receive(b"")
    conversation.advance()
    assert conversation.events == [ConnectionClosed(), ConnectionClosed()]


def test_closing_within_a_message_is_a_permanent_error() -> None:
    conversation = Conversation.at(server())
    conversation.receive(b"\x01\0\0")
    for _ in range(2):
        with pytest.raises(MalformedMessage, match="in the middle of a message"):
            conversation.receive(b"")


@pytest.mark.parametrize(
    "received",
    [
        b"GET / HTTP/1.1\r\n",
        bytes.fromhex("160301020001000001"),  # a TLS hello
        bytes.fromhex("0b00000001"),
        bytes.fromhex("ff00000001"),
        bytes.fromhex("0100000000"),
        bytes.fromhex("0100100001"),
        bytes.fromhex("0180000000"),
        bytes.fromhex("01ffffffff"),
    ],
)
def test_a_malformed_frame_is_refused_by_its_header(received: bytes) -> None:
    with pytest.raises(MalformedMessage, match="malformed frame"):
        Conversation.at(server()).receive(received)


def test_an_unknown_peer_cannot_announce_a_large_message() -> None:
    with pytest.raises(TooLarge):
        Conversation.at(server()).receive(bytes.fromhex("0000100000"))


def test_an_unknown_peer_cannot_send_a_large_message_in_small_frames() -> None:
    conversation = Conversation.at(server(limits=Limits(handshake_message_bytes=1000)))
    frame = bytes.fromhex("0000000064") + bytes(100)
    conversation.receive(frame * 10)
    with pytest.raises(TooLarge):
        conversation.receive(frame)


def test_an_authenticated_peer_may_send_up_to_its_limit() -> None:
    conversation = Conversation.at(server(limits=Limits(command_message_bytes=3_000_000)))
    client, _ = established(conversation, CA_CMD)
    client.send(client.message().ad({"Payload": "x" * 2_900_000}))
    assert len(str(conversation.command().payload.ad()["Payload"])) == 2_900_000  # type: ignore[union-attr]
    client, _ = established(Conversation.at(server(limits=Limits(command_message_bytes=3_000_000))), CA_CMD)
    with pytest.raises(TooLarge):
        client.send(client.message().ad({"Payload": "x" * 3_000_000}))


@pytest.mark.parametrize("count", [101, 2**31, 2**63 - 1, -1, -(2**63)])
def test_a_handshake_ad_that_announces_too_many_attributes_is_refused(count: int) -> None:
    client = Client(Conversation.at(server()))
    with pytest.raises(PeerError, match="attributes"):
        client.send(client.message().integer(DC_AUTHENTICATE).integer(count))


def _frames(client: Client, count: int) -> list[bytes]:
    frames = []
    for _ in range(count):
        client.channel.send(client.message().integer(DC_NOP).body())
        frames.append(client.channel.data_to_send())
    return frames


def test_replayed_frames_are_refused() -> None:
    client, _ = established(Conversation.at(server()))
    first, second = _frames(client, 2)
    client.conversation.receive(first)
    client.conversation.receive(second)
    with pytest.raises(Tampered):
        client.conversation.receive(second)


def test_frames_out_of_order_are_refused() -> None:
    client, _ = established(Conversation.at(server()))
    first, second, third = _frames(client, 3)
    client.conversation.receive(first)
    with pytest.raises(Tampered):
        client.conversation.receive(third + second)


@pytest.mark.parametrize("position", [0, 5, 25, -1])
def test_modified_frames_are_refused(position: int) -> None:
    client, _ = established(Conversation.at(server()))
    frame = bytearray(_frames(client, 1)[0])
    frame[position] ^= 2
    with pytest.raises(PeerError):
        client.conversation.receive(bytes(frame))


def test_a_clear_or_short_frame_in_an_encrypted_session_is_refused() -> None:
    for body in (b"\0" * 8, b"x", b"y" * 100):
        client, _ = established(Conversation.at(server()))
        with pytest.raises(PeerError):
            client.conversation.receive(bytes([1]) + len(body).to_bytes(4, "big") + body)


def test_the_first_encrypted_frame_authenticates_the_bytes_in_clear() -> None:
    client = Client(Conversation.at(server()))
    client.start({"Authentication": "NEVER", "AuthenticationNew": "NEVER"})
    answer = client.receive_ad()
    client.channel.send(b"something that the server has not received")
    client.channel.data_to_send()
    client.encrypt(answer)
    client.channel.send(client.message().integer(DC_NOP).body())
    with pytest.raises(Tampered):
        client.conversation.receive(client.channel.data_to_send())


def test_a_reply_of_several_megabytes_is_sent_in_frames_of_at_most_one() -> None:
    conversation = Conversation.at(server())
    client, _ = established(conversation)
    reply = bytes(range(256)) * 4096 * 3
    sent = conversation.reply(reply)
    lengths = []
    position = 0
    while position < len(sent):
        length = int.from_bytes(sent[position + 1 : position + 5], "big")
        lengths.append(length)
        position += 5 + length
    assert max(lengths) <= 1024 * 1024
    client.channel.receive(sent)
    assert client.channel.next_message() == reply
