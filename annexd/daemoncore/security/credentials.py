"""Credentials of this daemon: signing keys, the pool password, certificates."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from annexd.cedar.context import Tls
from annexd.cedar.secret import Secret
from annexd.cedar.signing_key import POOL, pool_password, signing_secret
from annexd.daemoncore.config.parameters import Parameters, param
from annexd.daemoncore.privileges import root_files
from annexd.daemoncore.security.certificates import read_tls

MAX_KEY_BYTES = 65536
WITHOUT_CREDENTIALS = frozenset({"FS", "CLAIMTOBE", "ANONYMOUS"})


@dataclass(frozen=True)
class SigningKeys:
    """Locations of the token signing keys; a key is read for each token, so that a new key works at once."""

    pool_file: Path | None
    directory: Path | None
    pool_is_password: bool

    @classmethod
    def read(cls, look_up: Parameters) -> "SigningKeys":
        return cls(
            _path("SEC_TOKEN_POOL_SIGNING_KEY_FILE"),
            _path("SEC_PASSWORD_DIRECTORY"),
            look_up.boolean("SEC_TOKEN_POOL_SIGNING_KEY_IS_PASSWORD", False),
        )

    def secret(self, key_id: str) -> Secret | None:
        """Return the secret that verifies tokens of this key ID, which the core has checked to be a file name."""
        path = self._path(key_id)
        with root_files():
            content = _content(path) if path else b""
        return signing_secret(key_id, content, pool_key_is_password=self.pool_is_password) if content else None

    def ids(self) -> tuple[str, ...]:
        """Return the IDs of the keys that are readable now, in the order sent to clients: the pool's first."""
        try:
            with root_files():
                names = sorted(path.name for path in self.directory.iterdir()) if self.directory else []
        except OSError:
            names = []
        candidates = (POOL, *(name for name in names if name != POOL and not name.startswith(".")))
        return tuple(key_id for key_id in candidates if self.secret(key_id) is not None)

    def _path(self, key_id: str) -> Path | None:
        if key_id == POOL:
            return self.pool_file
        return self.directory / key_id if self.directory else None


@dataclass(frozen=True)
class ServerCredentials:
    """The credentials of one configuration.

    `issuer_keys` holds the IDs of the signing keys.  `password` and `tls` are None if PASSWORD or SSL is not configured
    or cannot work.
    """

    signing_keys: SigningKeys
    issuer_keys: tuple[str, ...]
    password: Secret | None
    tls: Tls | None
    warnings: tuple[str, ...]

    @classmethod
    def read(cls, look_up: Parameters, configured: Collection[str]) -> "ServerCredentials":
        """Read the credentials of the configured authentication methods only."""
        keys = SigningKeys.read(look_up)
        file = _path("SEC_PASSWORD_FILE") if "PASSWORD" in configured else None
        with root_files():
            tls, warnings = read_tls(look_up) if "SSL" in configured else (None, ())
            password = pool_password(_content(file)) if file else None
            exposed = [_exposed(path) for path in {keys.pool_file, file} if path]
        return cls(keys, keys.ids(), password, tls, (*warnings, *filter(None, exposed)))

    @property
    def usable(self) -> frozenset[str]:
        """Return the authentication methods that have their credentials."""
        needs = {"IDTOKENS": self.issuer_keys, "PASSWORD": self.password, "SSL": self.tls}
        return WITHOUT_CREDENTIALS | {method for method, found in needs.items() if found}


def _path(knob: str) -> Path | None:
    path = param(knob)
    return Path(path) if path else None


def _content(path: Path) -> bytes:
    """Return the file's content; empty if it is unreadable or open to other users."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_KEY_BYTES) if _is_private(os.fstat(file.fileno())) else b""
    except (OSError, ValueError):
        return b""


def _is_private(status: os.stat_result) -> bool:
    """Return whether owner and mode are those that read_secure_file requires of a key (secure_file.cpp)."""
    return status.st_uid == os.getuid() and not status.st_mode & 0o077


def _exposed(path: Path) -> str | None:
    """Return a warning about a key that exists but must not be used, or None."""
    try:
        is_private = _is_private(path.stat())
    except (OSError, ValueError):
        return None
    return (
        None
        if is_private
        else (
            f"{path} is not used: a key must be owned by the user who starts this daemon (uid {os.getuid()}) "
            "and be inaccessible to all others; chmod 600 it"
        )
    )
