"""One message: the primitives of CEDAR (stream.cpp), read and written.

Strings are spelled in two ways: NUL-terminated in clear, and with a length before them on an encrypted channel; so
reader and writer know which channel they belong to.
"""

from collections.abc import Mapping
from typing import Self

from annexd.cedar.classad import AdLimits, Scalar, Value


class MessageReader:
    """Reads one whole message; every method raises PeerError for bytes that are not what it asks for."""

    def __init__(self, body: bytes, *, encrypted: bool, ad_limits: AdLimits | None = None) -> None: ...

    def integer(self) -> int: ...

    def raw(self, length: int) -> bytes: ...

    def string(self) -> str: ...

    def nullable_string(self) -> str | None: ...

    def ad(self, *, nested: bool = True) -> dict[str, Value]:
        """The next ClassAd; nested=False takes literals only, and at most 100 of them."""

    def end(self) -> None:
        """Refuse bytes that are left over."""

    @property
    def remaining(self) -> int:
        """How many bytes have not been read."""


class MessageWriter:
    """Builds one message; each method returns the writer."""

    def __init__(self, *, encrypted: bool) -> None: ...

    def integer(self, value: int) -> Self: ...

    def raw(self, value: bytes) -> Self: ...

    def string(self, value: str) -> Self: ...

    def nullable_string(self, value: str | None) -> Self: ...

    def ad(self, attributes: Mapping[str, Scalar]) -> Self:
        """A flat ad; None is UNDEFINED."""

    def body(self) -> bytes: ...
