"""Encrypt frames with AES-GCM, and derive its keys (condor_crypt_aesgcm.cpp, condor_secman.cpp).

Each direction has a random 16-byte IV, sent in its first frame, and a counter that is added to the first four bytes of
the IV.  The first frame of a direction also authenticates everything that was exchanged in clear.
"""

import base64
import binascii
import hashlib
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from annexd.cedar.errors import MalformedMessage, Tampered
from annexd.cedar.frame import HEADER
from annexd.cedar.secret import Secret

AES = "AES"
IV_BYTES = 16
TAG_BYTES = 16
AES_KEY_BYTES = 32
SALT = b"htcondor"
_WORD = struct.Struct(">I")
_LAST_COUNTER = 0xFFFFFFFF
_WAITING_BYTES = 4096
_NOTHING_SENT = bytes(32)  # not the SHA-256 of no bytes
_CURVE = ec.SECP256R1()


def hkdf(material: bytes, info: bytes, salt: bytes = SALT, length: int = AES_KEY_BYTES) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(material)


class Transcript:
    """SHA-256 over the frames that one direction carried in clear.  Hashes late, since few connections need it."""

    def __init__(self) -> None:
        self._waiting = b""
        self._hash: hashlib._Hash | None = None
        self.length = 0

    def add(self, frame: bytes) -> None:
        self._waiting += frame
        self.length += len(frame)
        if len(self._waiting) > _WAITING_BYTES:
            self._take()

    def digest(self) -> bytes:
        return self._take().digest() if self.length else _NOTHING_SENT

    def _take(self) -> "hashlib._Hash":
        self._hash = self._hash or hashlib.sha256()
        self._hash.update(self._waiting)
        self._waiting = b""
        return self._hash


class _Direction:
    """One direction.  transcripts: authenticated by the first frame only."""

    def __init__(self, key: Secret, *transcripts: Transcript) -> None:
        self._key = key
        self._transcripts = transcripts
        self._counter = 0
        self._kept: AESGCM | None = None

    @property
    def _cipher(self) -> AESGCM:
        """Return the cipher, made on first use: many connections never encrypt anything."""
        if self._kept is None:
            self._kept = AESGCM(self._key.reveal())
        return self._kept

    def _nonce(self, iv: bytes) -> bytes:
        if self._counter == _LAST_COUNTER:
            raise Tampered("too many frames under this key", "the counter is exhausted", "open another connection")
        word = (_WORD.unpack_from(iv)[0] + self._counter) & 0xFFFFFFFF
        self._counter += 1
        return _WORD.pack(word) + iv[_WORD.size :]

    def _authenticated(self, header: bytes) -> bytes:
        digests, self._transcripts = b"".join(transcript.digest() for transcript in self._transcripts), ()
        return digests + header


class Encryptor(_Direction):
    def __init__(self, key: Secret, iv: bytes, *transcripts: Transcript) -> None:
        super().__init__(key, *transcripts)
        self._iv = iv

    @property
    def overhead(self) -> int:
        """Return the bytes that the next frame's body has in addition to the text."""
        return TAG_BYTES if self._counter else IV_BYTES + TAG_BYTES

    def seal(self, flag: int, text: bytes) -> bytes:
        """Return one whole frame."""
        header = HEADER.pack(flag, len(text) + self.overhead)
        return header + self.encrypt(header, text)

    def encrypt(self, header: bytes, text: bytes) -> bytes:
        """Return the body for a header whose length includes the overhead."""
        start = b"" if self._counter else self._iv
        return start + self._cipher.encrypt(self._nonce(self._iv), text, self._authenticated(header))


class Decryptor(_Direction):
    header_bytes = HEADER.size

    def __init__(self, key: Secret, *transcripts: Transcript) -> None:
        super().__init__(key, *transcripts)
        self._iv = b""

    def open(self, header: bytes, body: bytes) -> bytes:
        if not self._iv:
            self._iv, body = body[:IV_BYTES], body[IV_BYTES:]
        if len(body) < TAG_BYTES:
            raise MalformedMessage("malformed encrypted frame", "shorter than its tag")
        try:
            return self._cipher.decrypt(self._nonce(self._iv), body, self._authenticated(header))
        except InvalidTag as error:
            raise Tampered(
                "an encrypted frame does not verify",
                "it was modified or replayed, or the peer uses a different key",
                "if it happens again, inspect the network between the two hosts",
            ) from error


class KeyExchange:
    """This daemon's half of one ECDH exchange on P-256.  private: a given key, for tests."""

    def __init__(self, private: ec.EllipticCurvePrivateKey | None = None) -> None:
        self._private = private or ec.generate_private_key(_CURVE)

    @property
    def public(self) -> str:
        point = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return base64.b64encode(point).decode()

    def session_key(self, peer: ec.EllipticCurvePublicKey, length: int = AES_KEY_BYTES) -> Secret:
        return Secret(hkdf(self._private.exchange(ec.ECDH(), peer), b"keygen", length=length))


def peer_public_key(text: object) -> ec.EllipticCurvePublicKey:
    """Decode the ECDHPublicKey of an ad: base64 of an uncompressed point.  Raises MalformedMessage."""
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, base64.b64decode(str(text), validate=True))
    except (ValueError, binascii.Error) as error:
        raise MalformedMessage(
            "no usable ECDHPublicKey",
            "it is missing or not a point of P-256",
            "use an HTCondor client of 9.0 or later",
        ) from error
