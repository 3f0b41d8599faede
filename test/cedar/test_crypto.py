"""AES-GCM over frames, with known answers."""

import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from annexd.cedar.crypto import Decryptor, Encryptor, Transcript, peer_public_key
from annexd.cedar.errors import MalformedMessage, Tampered
from annexd.cedar.secret import Secret
from test.cedar.conversation import exchange_of
from test.cedar.recording import kdf, load, names

KEY = Secret(bytes(32))
IV = bytes(range(16))
HEADER = bytes.fromhex("0100000010")


def transcript_of(*frames: bytes) -> Transcript:
    transcript = Transcript()
    for frame in frames:
        transcript.add(frame)
    return transcript


def test_the_counter_is_added_to_the_first_four_bytes_of_the_iv() -> None:
    vector = kdf()["gcm"]
    encryptor = Encryptor(KEY, bytes.fromhex(vector["iv"]))
    for _ in range(5):
        encryptor.encrypt(HEADER, b"")
    expected = AESGCM(KEY.reveal()).encrypt(bytes.fromhex(vector["nonce_k5"]), b"", bytes.fromhex(vector["aad"]))
    assert encryptor.encrypt(HEADER, b"") == expected


def test_the_counter_wraps_around_within_the_four_bytes() -> None:
    iv = b"\xff\xff\xff\xff" + bytes(12)
    encryptor = Encryptor(KEY, iv)
    encryptor.encrypt(HEADER, b"")
    assert encryptor.encrypt(HEADER, b"x") == AESGCM(KEY.reveal()).encrypt(bytes(16), b"x", HEADER)


def test_only_the_first_frame_carries_the_iv_and_the_transcripts() -> None:
    encryptor, decryptor = Encryptor(KEY, IV, transcript_of(b"clear")), Decryptor(KEY, transcript_of(b"clear"))
    assert encryptor.overhead == 32
    first = encryptor.encrypt(HEADER, b"one")
    assert first.startswith(IV)
    assert encryptor.overhead == 16
    second = encryptor.encrypt(HEADER, b"two")
    assert [decryptor.open(HEADER, body) for body in (first, second)] == [b"one", b"two"]


@pytest.mark.parametrize(
    ("transcript", "header", "key"),
    [(b"other", HEADER, KEY), (b"clear", b"\0" + HEADER[1:], KEY), (b"clear", HEADER, Secret(b"k" * 32))],
)
def test_another_transcript_header_or_key_does_not_verify(transcript: bytes, header: bytes, key: Secret) -> None:
    body = Encryptor(KEY, IV, transcript_of(b"clear")).encrypt(HEADER, b"text")
    with pytest.raises(Tampered):
        Decryptor(key, transcript_of(transcript)).open(header, body)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 31])
def test_a_frame_shorter_than_iv_and_tag_is_refused(length: int) -> None:
    with pytest.raises(MalformedMessage):
        Decryptor(KEY).open(HEADER, bytes(length))


def test_the_digest_of_an_unused_direction_is_zeros() -> None:
    assert transcript_of().digest() == bytes(32)
    assert transcript_of(b"x").digest() != bytes(32)


def test_a_transcript_hashes_all_frames_whenever_it_is_read() -> None:
    transcript = transcript_of(b"a" * 4000, b"b" * 4000, b"c")
    assert transcript.digest() == hashlib.sha256(b"a" * 4000 + b"b" * 4000 + b"c").digest()
    transcript.add(b"d")
    assert transcript.digest() == hashlib.sha256(b"a" * 4000 + b"b" * 4000 + b"cd").digest()


@pytest.mark.parametrize("name", [name for name in names("srv_*") if "server_ecdh_priv" in load(name).facts])
def test_the_session_key_is_that_of_the_recorded_exchange(name: str) -> None:
    facts = load(name).facts
    exchange = exchange_of(load(name).random())
    assert exchange.public == facts["server_ad"]["ECDHPublicKey"]
    if "session_key" in facts:
        peer = peer_public_key(facts["client_ad"]["ECDHPublicKey"])
        recorded = bytes.fromhex(facts["session_key"])
        assert exchange.session_key(peer, len(recorded)) == Secret(recorded)


@pytest.mark.parametrize("text", ["", "!", "AA==", "BGsX0fLhLEJH", None, 5, "A" * 88, "BAAA" + "A" * 84, "é"])
def test_an_invalid_public_key_is_refused(text: object) -> None:
    with pytest.raises(MalformedMessage, match="no usable ECDHPublicKey"):
        peer_public_key(text)


def test_a_secret_is_shown_only_by_reveal() -> None:
    secret = Secret(b"hunter2")
    assert repr(secret) == str(secret) == f"{secret}" == "<redacted>"
    assert secret.reveal() == b"hunter2"
    assert secret == Secret(b"hunter2")
    assert secret != Secret(b"hunter3")
    assert secret != b"hunter2"
