"""Everything that annexes need to join a pool: the administrator's knobs, a signing key, a user's files."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from annexd.annex.request.defaults import Defaults
from annexd.cedar.issuing import issue
from annexd.cedar.signing_key import signing_secret
from annexd.workflow import Json

BUCKET = "htcondorannex-bucket"
KEY_FILE = bytes(range(100, 164))  # of the pool's signing key
DEFAULTS = Defaults(
    s3_bucket=BUCKET,
    collector_host="cm.example.org:9618?sock=collector",
    trust_domain="example.org",
    shortest_lease_s=1,
)


def defaults(**changes: Any) -> Defaults:
    return replace(DEFAULTS, **changes)


class BundleSources:
    """The sources on a host with a signing key and folders of files."""

    def __init__(self, folders: Mapping[str, Mapping[str, bytes]] | None = None) -> None:
        self.folders = dict(folders or {})
        self.key: bytes | None = KEY_FILE

    def sign(self, key_id: str, claims: Json, /) -> str:
        if self.key is None:
            raise PermissionError(f"there is no signing key {key_id}")
        return issue(claims, key_id, signing_secret(key_id, self.key))

    def read_folder(self, _owner: str, path: str, /) -> Mapping[str, bytes]:
        if path not in self.folders:
            raise PermissionError(f"{path} cannot be opened: No such file or directory")
        return self.folders[path]
