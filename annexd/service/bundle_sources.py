"""What this host gives to an annex's machines: tokens signed with the pool's key, and the requester's own files."""

from collections.abc import Callable, Mapping

from annexd.cedar.issuing import issue
from annexd.daemoncore.security.credentials import SigningKeys
from annexd.workflow import Json

ReadFolder = Callable[[str, str], Mapping[str, bytes]]


class BundleSources:
    """`keys`: each token is signed with the key as it is then."""

    def __init__(self, keys: SigningKeys, read_folder: ReadFolder) -> None:
        self._keys = keys
        self._read_folder = read_folder

    def reconfigure(self, keys: SigningKeys) -> None:
        self._keys = keys

    def sign(self, key_id: str, claims: Json) -> str:
        """Raises PermissionError."""
        secret = self._keys.secret(key_id)
        if secret is None:
            raise PermissionError(f"there is no signing key {key_id} here that annexd may use")
        return issue(claims, key_id, secret)

    def read_folder(self, owner: str, path: str) -> Mapping[str, bytes]:
        """Raises PermissionError."""
        return self._read_folder(owner, path)
