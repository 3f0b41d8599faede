"""Read and write the primitives of one CEDAR message (stream.cpp).

Strings are NUL-terminated, and preceded by their length on an encrypted channel; so reader and writer must know whether
theirs is.  On a channel that has a key but is not encrypted, `secrets` encrypts the secrets within a message.
"""

import struct
from collections.abc import Callable, Mapping
from itertools import starmap
from typing import Self

from cryptography.hazmat.primitives.ciphers import CipherContext

from annexd.cedar.classad import HANDSHAKE_AD, INTEGERS, AdLimits, AdReader, Scalar, Value, line_of, plain_ad
from annexd.cedar.errors import MalformedMessage, TooLarge

_INTEGER = struct.Struct(">q")
NULL_STRING = b"\xad"  # BIN_NULL_CHAR of stream.cpp: '\255', which is octal
SECRET_MARKER = "ZKM"  # noqa: S105 (classad_oldnew.cpp: the next string is a private attribute)
_PRIVATE = {"capability", "childclaimids", "claimid", "claimidlist", "claimids", "transferkey"}  # compat_classad.cpp
_PRIVATE_PREFIX = "_condor_priv"
TYPES = 2  # strings after an ad: formerly MyType and TargetType, which are attributes now
MAX_STRING_BYTES = 10_000_000  # stream.cpp: the limit of C++ readers


class MessageReader:
    """Reads one whole message.  Every method raises PeerError for bytes that do not fit."""

    def __init__(
        self, body: bytes, *, encrypted: bool, secrets: CipherContext | None = None, ad_limits: AdLimits | None = None
    ) -> None:
        self._body = body
        self._position = 0
        self._encrypted = encrypted
        self._secrets = secrets
        self._ad_limits = ad_limits or AdLimits()

    def integer(self) -> int:
        return _integer(self.raw(_INTEGER.size))

    def raw(self, length: int) -> bytes:
        start, end = self._position, self._position + length
        if not start <= end <= len(self._body):
            raise MalformedMessage("message too short", f"{length} bytes expected, {self.remaining} left")
        self._position = end
        return self._body[start:end]

    def string(self) -> str:
        return _text(_counted_string(self.raw) if self._encrypted else self._terminated_string())

    def secret(self) -> str:
        """Read a string that is always encrypted (Stream::get_secret)."""
        if self._secrets is None:
            return self.string()
        decrypt = self._secrets.update
        return _text(_counted_string(lambda length: decrypt(self.raw(length))))

    def nullable_string(self) -> str | None:
        null = _INTEGER.pack(1) + NULL_STRING if self._encrypted else NULL_STRING
        if self._body.startswith(null, self._position):
            self._position += len(null)
            return None
        return self.string()

    def ad(self) -> dict[str, Value]:
        """Read the next ClassAd."""
        return self._ad(self._ad_limits)

    def handshake_ad(self) -> dict[str, Value]:
        """Read the next ClassAd by lower-case names: at most 100 attributes, literals only."""
        start = self._position
        if not self._encrypted:  # fast path: each connection begins with such an ad
            count = self._count_of_lines(HANDSHAKE_AD)
            if len(ad := plain_ad(self._terminated_strings(count))) == count:
                self._terminated_strings(TYPES)
                return ad
            self._position = start
        return {name.lower(): value for name, value in self._ad(HANDSHAKE_AD).items()}

    def _ad(self, limits: AdLimits) -> dict[str, Value]:
        reader = AdReader(limits)
        for _ in range(self._count_of_lines(limits)):
            line = self.string()
            reader.line(self.secret() if line == SECRET_MARKER else line)
        for _ in range(TYPES):
            self.string()
        return reader.attributes

    def _terminated_strings(self, count: int) -> str:
        """Read the next strings in clear, with their NULs."""
        after = self._body[self._position :].split(b"\0", count)
        if len(after) <= count:
            raise MalformedMessage("malformed string", "it is not terminated")
        start, self._position = self._position, len(self._body) - len(after[count])
        return _text(self._body[start : self._position])

    def end(self) -> None:
        """Raise MalformedMessage if bytes are left over."""
        if self.remaining:
            raise MalformedMessage("message too long", f"{self.remaining} bytes are left over")

    @property
    def remaining(self) -> int:
        """Return the number of unread bytes."""
        return len(self._body) - self._position

    def _count_of_lines(self, limits: AdLimits) -> int:
        count = self.integer()
        if count < 0:
            raise MalformedMessage("malformed ClassAd", f"it announces {count} attributes")
        if count > limits.attributes:
            raise TooLarge("too many attributes in a ClassAd", f"{count}, at most {limits.attributes} are accepted")
        return count

    def _terminated_string(self) -> bytes:
        start, end = self._position, self._body.find(b"\0", self._position)
        if end < 0:
            raise MalformedMessage("malformed string", "it is not terminated")
        self._position = end + 1
        return self._body[start:end]


def _integer(encoded: bytes) -> int:
    value: int = _INTEGER.unpack(encoded)[0]
    return value


def _counted_string(raw: Callable[[int], bytes]) -> bytes:
    length = _integer(raw(_INTEGER.size))
    if not 1 <= length <= MAX_STRING_BYTES:
        raise MalformedMessage("malformed string", f"its length is {length}")
    encoded = raw(length)
    if encoded.find(b"\0") != length - 1:
        raise MalformedMessage("malformed string", "its terminator does not match its length")
    return encoded[:-1]


def _text(encoded: bytes) -> str:
    try:
        return encoded.decode()
    except UnicodeDecodeError as error:
        raise MalformedMessage("malformed string", "it is not UTF-8") from error


class MessageWriter:
    """Builds one message; each method returns the writer."""

    def __init__(self, *, encrypted: bool, secrets: CipherContext | None = None) -> None:
        self._parts: list[bytes] = []
        self._encrypted = encrypted
        self._secrets = secrets

    def integer(self, value: int) -> Self:
        if value not in INTEGERS:
            raise ValueError(f"{value} does not fit into 64 bits")
        return self.raw(_INTEGER.pack(value))

    def raw(self, value: bytes) -> Self:
        self._parts.append(value)
        return self

    def string(self, value: str) -> Self:
        encoded = _terminated(value)
        self._parts.append(_INTEGER.pack(len(encoded)) + encoded if self._encrypted else encoded)
        return self

    def secret(self, value: str) -> Self:
        """Write a string that is always encrypted (Stream::put_secret)."""
        if self._secrets is None:
            return self.string(value)
        encoded = _terminated(value)
        return self.raw(self._secrets.update(_INTEGER.pack(len(encoded)) + encoded))

    def nullable_string(self, value: str | None) -> Self:
        if value is not None:
            return self.string(value)
        return self.raw(_INTEGER.pack(1) + NULL_STRING if self._encrypted else NULL_STRING)

    def ad(self, attributes: Mapping[str, Scalar]) -> Self:
        """Write a flat ad; None is UNDEFINED."""
        self.integer(len(attributes))
        if not self._secrets:
            return self._strings([*starmap(line_of, attributes.items()), "", ""])
        for name, value in attributes.items():
            if is_private(name):
                self.string(SECRET_MARKER).secret(line_of(name, value))
            else:
                self.string(line_of(name, value))
        return self._strings(["", ""])

    def _strings(self, values: list[str]) -> Self:
        """Write strings without NUL."""
        if not self._encrypted:
            return self.raw("\0".join([*values, ""]).encode(errors="replace"))
        encoded = (value.encode(errors="replace") for value in values)
        return self.raw(b"".join(_INTEGER.pack(len(each) + 1) + each + b"\0" for each in encoded))

    def body(self) -> bytes:
        return b"".join(self._parts)


def is_private(name: str) -> bool:
    """Return whether an attribute must be encrypted if there is a key."""
    return name.lower() in _PRIVATE or name.lower().startswith(_PRIVATE_PREFIX)


def _terminated(value: str) -> bytes:
    encoded = value.encode(errors="replace")
    if b"\0" in encoded or len(encoded) >= MAX_STRING_BYTES:
        raise ValueError("a string must not contain NUL and have at most 10 MB")
    return encoded + b"\0"
