"""BLOWFISH and 3DES with MD5; test_recordings.py has recorded bytes."""

import hashlib
from itertools import pairwise
from typing import Any

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher
from hypothesis import given
from hypothesis import strategies as st

from annexd.cedar import legacy
from annexd.cedar.channel import Channel
from annexd.cedar.commands import CA_AUTH_CMD, DC_AUTHENTICATE
from annexd.cedar.crypto import AES
from annexd.cedar.errors import PeerError, PolicyMismatch, Tampered, UnknownSession, UnprovedSession
from annexd.cedar.frame import HEADER, MAX_PLAIN_BYTES
from annexd.cedar.legacy import BLOWFISH, MAC_BYTES, TRIPLE_DES, Protection
from annexd.cedar.levels import Level
from annexd.cedar.policy import CIPHERS, SecurityPolicy
from annexd.cedar.secret import Secret
from annexd.cedar.session import SessionCache
from test.cedar.client import Client, established
from test.cedar.conversation import Conversation, server
from test.cedar.recording import PLENTY

KEY = Secret(bytes(range(24)))
PROTECTIONS = [
    Protection(cipher, KEY, encryption, integrity)
    for cipher in (BLOWFISH, TRIPLE_DES)
    for encryption in (True, False)
    for integrity in (True, False)
]
EVERY = pytest.mark.parametrize(
    "protection",
    PROTECTIONS,
    ids=lambda each: f"{each.cipher}{' encrypted' * each.encryption}{' signed' * each.integrity}",
)
BOTH = Protection(BLOWFISH, KEY, encryption=True, integrity=True)
REQUIREMENT = {True: "REQUIRED", False: "NEVER"}


def pair(protection: Protection) -> tuple[Channel, Channel]:
    ours, theirs = Channel(PLENTY), Channel(PLENTY)
    ours.protect(protection)
    theirs.protect(protection)
    return ours, theirs


def receive(channel: Channel, wire: bytes) -> bytes | None:
    channel.receive(wire)
    return channel.next_message()


@EVERY
def test_messages_of_any_size_arrive_in_order_and_in_both_directions(protection: Protection) -> None:
    ours, theirs = pair(protection)
    for text in (b"x", b"12345678" * 3, bytes(MAX_PLAIN_BYTES + 5), b"last"):
        for sender, receiver in ((ours, theirs), (theirs, ours)):
            sender.send(text)
            assert receive(receiver, sender.data_to_send()) == text


@given(st.binary(min_size=1, max_size=200), st.lists(st.integers(1, 50)), st.sampled_from(PROTECTIONS))
def test_a_message_is_read_from_frames_of_any_sizes(text: bytes, cuts: list[int], protection: Protection) -> None:
    sealer, (channel, _) = legacy.Sealer(protection), pair(protection)
    positions = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    pieces = [text[start:end] for start, end in pairwise(positions)]
    wire = b"".join(sealer.seal(number == len(pieces), piece) for number, piece in enumerate(pieces, 1))
    if len(pieces) <= 16:
        assert receive(channel, wire) == text


@pytest.mark.parametrize("cipher", [BLOWFISH, TRIPLE_DES])
def test_each_message_restarts_the_cipher_stream(cipher: str) -> None:
    """HTCondor does the same in both directions, so equal messages have equal ciphertexts."""
    channel, _ = pair(Protection(cipher, KEY, encryption=True, integrity=True))
    wires = []
    for _ in range(2):
        channel.send(b"the same text")
        wires.append(channel.data_to_send())
    assert wires[0] == wires[1]


@pytest.mark.parametrize("changed", range(HEADER.size, HEADER.size + MAC_BYTES + 4))
@pytest.mark.parametrize("encryption", [True, False])
def test_a_frame_with_one_bit_changed_does_not_verify(changed: int, encryption: bool) -> None:
    ours, theirs = pair(Protection(TRIPLE_DES, KEY, encryption, integrity=True))
    ours.send(b"text")
    wire = bytearray(ours.data_to_send())
    wire[changed] ^= 1
    with pytest.raises(Tampered):
        receive(theirs, bytes(wire))


def test_a_frame_of_another_key_does_not_verify() -> None:
    ours, _ = pair(Protection(BLOWFISH, Secret(bytes(24)), encryption=True, integrity=True))
    ours.send(b"text")
    with pytest.raises(Tampered):
        receive(pair(BOTH)[1], ours.data_to_send())


def test_the_mac_is_md5_of_the_key_and_the_bytes_on_the_wire() -> None:
    ours, _ = pair(BOTH)
    ours.send(b"text")
    wire = ours.data_to_send()
    header, mac, body = wire[:5], wire[5:21], wire[21:]
    assert header == HEADER.pack(1, 4)
    assert mac == hashlib.md5(KEY.reveal() + body, usedforsecurity=False).digest()


def test_a_short_key_is_repeated_for_3des() -> None:
    short = bytes(range(16))
    sealer = legacy.Sealer(Protection(TRIPLE_DES, Secret(short), encryption=True, integrity=False))
    stream = Cipher(TripleDES(short + short[:8]), CFB(bytes(8))).encryptor()
    assert sealer.seal(1, b"text")[HEADER.size :] == stream.update(b"text")


def test_file_parts_are_sent_between_messages_in_one_cipher_stream() -> None:
    """ReliSock::put_file without AES uses no frames, no MAC, and one cipher stream for all parts."""
    channel, _ = pair(BOTH)
    channel.send(b"announcement")
    channel.data_to_send()
    channel.send_part_of_file(b"first and ")
    channel.send_part_of_file(b"second")
    reader = legacy.secret_reader(Protection(BLOWFISH, KEY, encryption=False, integrity=False))
    assert reader.update(channel.data_to_send()) == b"first and second"


def test_a_cipher_that_openssl_lacks_is_not_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert legacy.is_usable(TRIPLE_DES)
    monkeypatch.setattr(legacy, "Blowfish", UnknownCipher)
    assert not legacy.is_usable(BLOWFISH)


class UnknownCipher(TripleDES):
    """A cipher that no OpenSSL has."""

    name = "unknown"
    block_size = 64


# --- whole conversations


def legacy_server(**changes: Any) -> Conversation:
    policy = dict.fromkeys(Level, SecurityPolicy(crypto_methods=CIPHERS))
    return Conversation.at(server(policy=policy, **changes))


def requirements(protection: Protection) -> dict[str, str | int | float | bool | None]:
    return {
        "CryptoMethods": protection.cipher,
        "Encryption": REQUIREMENT[protection.encryption],
        "Integrity": REQUIREMENT[protection.integrity],
    }


@EVERY
def test_an_order_in_a_new_session_is_read_and_answered(protection: Protection) -> None:
    client, _ = established(legacy_server(), CA_AUTH_CMD, requirements(protection))
    ad = {"ClaimId": "secret#1", "Text": "é", "_condor_priv1": "two"}
    client.send(client.message().ad(ad))
    _check_order(client, ad)


def _check_order(client: Client, ad: dict[str, str]) -> None:
    command = client.conversation.command()
    assert command.payload is not None
    assert command.payload.ad() == ad
    command.payload.end()
    client.channel.receive(client.conversation.reply(client.conversation.connection.message().ad(ad).body()))
    assert client.receive_ad() == ad


@EVERY
def test_another_command_on_the_same_connection_has_the_sessions_user(protection: Protection) -> None:
    client, _ = established(legacy_server(), requirements=requirements(protection))
    client.conversation.advance()
    client.send(client.message().integer(CA_AUTH_CMD).ad({"A": "b"}))
    command = client.conversation.command()
    assert command.command.number == CA_AUTH_CMD
    assert command.identity.user == "condor@annex.test"


@EVERY
def test_a_session_is_good_for_one_connection_only(protection: Protection) -> None:
    """Frames of these ciphers can be replayed and prove nothing, so each connection authenticates."""
    sessions = SessionCache("a:1:1")
    _, verdict = established(legacy_server(sessions=sessions), CA_AUTH_CMD, requirements(protection))
    assert verdict["ValidCommands"] == str(DC_AUTHENTICATE), "no command of HTCondor's clients has this number"
    thief = Client(legacy_server(sessions=sessions))
    with pytest.raises(UnprovedSession, match="no AES"):
        thief.name_session(verdict["Sid"], {"Command": CA_AUTH_CMD, "CryptoMethods": protection.cipher})
    assert b"SID_NOT_FOUND" in thief.conversation.sent


@pytest.mark.parametrize("cipher", [BLOWFISH, TRIPLE_DES])
def test_an_aes_session_is_not_resumed_with_another_cipher(cipher: str) -> None:
    sessions = SessionCache("a:1:1")
    _, verdict = established(legacy_server(sessions=sessions))
    thief = Client(legacy_server(sessions=sessions))
    with pytest.raises(UnknownSession, match="no key for the peer's cipher"):
        thief.name_session(verdict["Sid"], {"Command": CA_AUTH_CMD, "CryptoMethods": cipher})


@pytest.mark.parametrize("cipher", [BLOWFISH, TRIPLE_DES])
def test_legacy_ciphers_are_used_only_if_configured(cipher: str) -> None:
    client = Client(Conversation.at(server()))
    with pytest.raises(PolicyMismatch, match="no cipher in common"):
        client.start({"CryptoMethods": cipher})
    client = Client(legacy_server())
    client.start({"CryptoMethods": f"{cipher},AES"})
    assert client.receive_ad()["CryptoMethods"] == AES


@given(st.binary(min_size=1, max_size=300), st.sampled_from(PROTECTIONS))
def test_any_bytes_after_the_key_give_messages_or_a_peer_error(received: bytes, protection: Protection) -> None:
    client, _ = established(legacy_server(), CA_AUTH_CMD, requirements(protection))
    try:
        client.conversation.receive(received)
        if client.conversation.events:
            payload = client.conversation.command().payload
            assert payload is not None
            payload.ad()
    except PeerError:
        return
