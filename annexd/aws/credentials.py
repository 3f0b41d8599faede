"""AWS keys, which no log, error or journal may ever show."""

import hashlib
from dataclasses import dataclass
from typing import Final

TEMPORARY: Final = "ASIA"  # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html, unique IDs
LONG_LIVED: Final = "AKIA"  # the same page


class SecretKey:
    """A secret access key or a session token: printed, formatted or raised, it is `<redacted>`."""

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
    """AWS keys; with a session token when they are temporary.

    `expires_at_s` (seconds since the epoch) is known where whoever made them said so.
    """

    access_key_id: str
    secret_access_key: SecretKey
    session_token: SecretKey | None = None
    expires_at_s: float | None = None

    @property
    def identity(self) -> tuple[str, str, str]:
        """Equal for equal keys; a rotated secret or another session makes another identity."""
        token = self.session_token.fingerprint() if self.session_token else ""
        return self.access_key_id, self.secret_access_key.fingerprint(), token

    @property
    def parameters(self) -> dict[str, str | None]:
        """As botocore's create_client takes them."""
        return {
            "aws_access_key_id": self.access_key_id,
            "aws_secret_access_key": self.secret_access_key.reveal(),
            "aws_session_token": self.session_token.reveal() if self.session_token else None,
        }
