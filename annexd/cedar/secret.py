"""A type for secrets, so that no log line, traceback or error can show one by accident."""

import hmac


class Secret:
    """Bytes that print as <redacted>.  Equality takes constant time."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = bytes(value)

    def reveal(self) -> bytes:
        """Return the bytes, for a cipher; never for a message."""
        return self._value

    def __repr__(self) -> str:
        return "<redacted>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        raise TypeError("a Secret cannot be hashed")

    def __reduce__(self) -> str:
        raise TypeError("a Secret cannot be pickled")
