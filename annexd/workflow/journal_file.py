"""The journal's file in its folder on its disk: private, still there, and with room.

A journal may be written and yet be lost: when its file was removed while it was open.  And it may take an order that
it has no room to carry to its end.  Both are looked at before an order is taken.
"""

import os
from pathlib import Path
from typing import Final

from annexd.workflow.journal_health import JournalError

RESERVE_BYTES: Final = 8 * 2**20  # free space under which nothing new is taken: what was taken needs it to end
READ_ONLY: Final = ("it, or its disk, is read-only", "make it writable; what is unfinished then goes on by itself")


class JournalFile:
    """The file at `path`, made if need be, readable by its owner only: it holds user data.  SQLite copies the mode."""

    def __init__(self, path: Path) -> None:
        self._path = path
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            self._identity = _identity(os.fstat(descriptor))
        finally:
            os.close(descriptor)

    def check(self) -> None:
        """Raises JournalError, or OSError, when no order should be taken."""
        if not self._is_there():
            raise JournalError(
                f"the journal {self._path} is not there any more",
                "the file was moved, removed or replaced while annexd had it open",
                "move it back, or restart annexd, which then takes over what it finds in AWS",
            )
        disk = os.statvfs(self._path)
        if disk.f_flag & os.ST_RDONLY:
            raise JournalError(f"the journal {self._path} cannot be written", *READ_ONLY)
        if disk.f_bavail * disk.f_frsize < RESERVE_BYTES:
            raise JournalError(
                f"the journal {self._path} takes no new requests",
                f"less than {RESERVE_BYTES // 2**20} MiB of its disk are free, and those that it has need them",
                "make room; requests are then taken again",
            )

    def _is_there(self) -> bool:
        try:
            return _identity(os.stat(self._path, follow_symlinks=False)) == self._identity
        except OSError:
            return False


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def sync_directory(directory: Path) -> None:
    """Make a new file's name durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
