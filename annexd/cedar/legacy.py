"""Protect connections with BLOWFISH or 3DES, and MD5 for integrity, as HTCondor did before AES.

They are used only if configured.  CFB runs through the frames of one message and restarts, with the same IV, for the
next one, so equal messages have equal ciphertexts.  The MD5 in a frame's header covers only key and body, so frames can
be replayed during their session.  docs/security.md describes the consequences.
"""

import hashlib
import hmac
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import Blowfish, TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext

from annexd.cedar.errors import Tampered
from annexd.cedar.frame import HEADER
from annexd.cedar.secret import Secret

try:
    from cryptography.hazmat.decrepit.ciphers.modes import CFB
except ImportError:  # older versions of cryptography
    from cryptography.hazmat.primitives.ciphers.modes import CFB

BLOWFISH, TRIPLE_DES = "BLOWFISH", "3DES"  # SecMan::getCryptProtocolEnumToName
KEY_BYTES = 24  # SEC_SESSION_KEY_LENGTH_OLD, condor_secman.h
MAC_BYTES = 16  # MAC_SIZE of condor_md.h
_IV = bytes(8)  # Condor_Crypto_State::reset, condor_crypt.cpp


@dataclass(frozen=True)
class Protection:
    """How both sides use the key of a legacy cipher.  Secrets within messages are encrypted even without encryption."""

    cipher: str
    key: Secret
    encryption: bool
    integrity: bool


def is_usable(cipher: str) -> bool:
    """Return whether this OpenSSL supports the cipher: BLOWFISH requires the legacy provider."""
    try:
        _cipher(cipher, Secret(bytes(KEY_BYTES))).encryptor()
    except UnsupportedAlgorithm:
        return False
    return True


def secret_writer(protection: Protection) -> CipherContext:
    """Return the cipher for the secrets of one message that is not encrypted (Stream::put_secret)."""
    return _cipher(protection.cipher, protection.key).encryptor()


def secret_reader(protection: Protection) -> CipherContext:
    return _cipher(protection.cipher, protection.key).decryptor()


class Sealer:
    """Writes the frames of one direction."""

    def __init__(self, protection: Protection) -> None:
        self._protection = protection
        self._cipher = _cipher(protection.cipher, protection.key)
        self._stream = self._cipher.encryptor()

    def seal(self, flag: int, text: bytes) -> bytes:
        """Return one whole frame.  The cipher stream ends with its message."""
        body = self.seal_bare(text)
        if flag:
            self._stream = self._cipher.encryptor()
        mac = _mac(self._protection.key, body) if self._protection.integrity else b""
        return HEADER.pack(flag, len(body)) + mac + body

    def seal_bare(self, text: bytes) -> bytes:
        """Encrypt bytes outside of frames, without a MAC (ReliSock::put_bytes_nobuffer)."""
        return self._stream.update(text) if self._protection.encryption else text


class Opener:
    """Reads the frames of one direction."""

    def __init__(self, protection: Protection) -> None:
        self._protection = protection
        self._cipher = _cipher(protection.cipher, protection.key)
        self._stream = self._cipher.decryptor()
        self.header_bytes = HEADER.size + (MAC_BYTES if protection.integrity else 0)

    def open(self, header: bytes, body: bytes) -> bytes:
        if self._protection.integrity:
            self._verify(header[HEADER.size :], body)
        text = self._stream.update(body) if self._protection.encryption else body
        if header[0]:
            self._stream = self._cipher.decryptor()
        return text

    def _verify(self, mac: bytes, body: bytes) -> None:
        if not hmac.compare_digest(mac, _mac(self._protection.key, body)):
            raise Tampered(
                "a frame does not verify",
                "it was modified, or the peer uses a different key",
                "if it happens again, inspect the network between the two hosts",
            )


def _cipher(name: str, key: Secret) -> Cipher[CFB]:
    """Make a cipher.  3DES repeats a short key, such as an inherited session's (KeyInfo::getPaddedKeyData)."""
    if name == BLOWFISH:
        return Cipher(Blowfish(key.reveal()), CFB(_IV))
    return Cipher(TripleDES((key.reveal() * KEY_BYTES)[:KEY_BYTES]), CFB(_IV))


def _mac(key: Secret, body: bytes) -> bytes:
    """Compute Condor_MD_MAC (condor_md.cpp)."""
    return hashlib.md5(key.reveal() + body, usedforsecurity=False).digest()
