"""Sources of a config bundle on this host: tokens signed with the pool's key, and the requester's own files."""

from collections.abc import Callable, Mapping

from annexd.cedar.issuing import issue
from annexd.daemoncore.security.credentials import SigningKeys
from annexd.workflow import Json

ReadFolder = Callable[[str, str], Mapping[str, bytes]]


class HostBundleSources:
    """Signs tokens, each with the current content of the key, and reads requesters' folders."""

    def __init__(self, keys: SigningKeys, read_folder: ReadFolder) -> None:
        self._keys = keys
        self._read_folder = read_folder

    def reconfigure(self, keys: SigningKeys) -> None:
        self._keys = keys

    def sign(self, key_id: str, claims: Json) -> str:
        """Return a signed token.  Raises PermissionError."""
        secret = self._keys.secret(key_id)
        if secret is None:
            raise PermissionError(f"annexd has no usable signing key {key_id}")
        return issue(claims, key_id, secret)

    def read_folder(self, owner: str, path: str) -> Mapping[str, bytes]:
        """Return the files in a folder by name, read as `owner`.  Raises PermissionError."""
        return self._read_folder(owner, path)
