"""AWS keys, which must never appear in a log, an error or the journal."""

import hashlib
from dataclasses import dataclass
from typing import Final

TEMPORARY: Final = "ASIA"  # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html, unique IDs
LONG_LIVED: Final = "AKIA"  # the same page


class SecretKey:
    """A secret access key or a session token, shown as `<redacted>` if printed, formatted or raised."""

    __slots__ = ("_key",)

    def __init__(self, key: str) -> None:
        self._key = key

    def reveal(self) -> str:
        """Return the key itself, to sign a request."""
        return self._key

    def fingerprint(self) -> str:
        """Return a value that distinguishes keys without revealing them."""
        return hashlib.sha256(self._key.encode()).hexdigest()

    def __repr__(self) -> str:
        return "<redacted>"


@dataclass(frozen=True)
class Credentials:
    """AWS keys; with a session token when they are temporary.

    `expires_at_s` (seconds since the epoch) is set if their source has it.
    """

    access_key_id: str
    secret_access_key: SecretKey
    session_token: SecretKey | None = None
    expires_at_s: float | None = None

    @property
    def identity(self) -> tuple[str, str, str]:
        """Return a value equal for equal keys; a rotated secret or another session changes it."""
        token = self.session_token.fingerprint() if self.session_token else ""
        return self.access_key_id, self.secret_access_key.fingerprint(), token

    @property
    def parameters(self) -> dict[str, str | None]:
        """Return the arguments for botocore's create_client."""
        return {
            "aws_access_key_id": self.access_key_id,
            "aws_secret_access_key": self.secret_access_key.reveal(),
            "aws_session_token": self.session_token.reveal() if self.session_token else None,
        }
