"""The key files of a requester, and an account that cannot be reached."""

from __future__ import annotations

from collections.abc import Mapping

from test.annex.orders import target_at

KEYS = {"/public": b"AKIAALICE\n", "/secret": b" alice's/secret+key \n"}


class Files:
    """The files that a requester can read, and a record of who read which."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.asked: list[tuple[str, str]] = []

    def __call__(self, owner: str, path: str) -> bytes:
        self.asked.append((owner, path))
        if path not in self.files:
            raise PermissionError(f"{path} is not owned by the requester")
        return self.files[path]


NOWHERE = target_at()
