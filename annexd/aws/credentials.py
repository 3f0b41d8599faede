"""AWS keys, which no log, error or journal may ever show."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

KEY: Final = re.compile(r"[\x21-\x7e]{1,512}")  # one word of ASCII; AWS's are 20 and 40 characters long


class SecretKey:
    """A secret access key: printed, formatted or raised, it is `<redacted>`."""

    __slots__ = ("_key",)

    def __init__(self, key: str) -> None:
        self._key = key

    def reveal(self) -> str:
        """The key itself, for whoever signs a request."""
        return self._key

    def fingerprint(self) -> str:
        """Tells two keys apart without holding either."""
        return hashlib.sha256(self._key.encode()).hexdigest()

    def __repr__(self) -> str:
        return "<redacted>"


@dataclass(frozen=True)
class Credentials:
    """One pair of long-lived AWS keys, as the contents of two files."""

    access_key_id: str
    secret_access_key: SecretKey

    @property
    def identity(self) -> tuple[str, str]:
        """Equal for equal keys; a rotated secret makes another identity."""
        return self.access_key_id, self.secret_access_key.fingerprint()


def key_in(content: bytes) -> str | None:
    """The one key that a file holds; None when it holds anything else."""
    try:
        key = content.decode("ascii").strip()
    except UnicodeDecodeError:
        return None
    return key if KEY.fullmatch(key) else None
