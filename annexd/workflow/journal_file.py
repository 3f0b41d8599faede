"""The journal's file: private, in its place, and with free space on its disk.

A journal is lost, although it can be written, if its file was removed while it was open.  And it could accept an order
without the disk space to complete it.  Both are checked before an order is accepted.
"""

import os
from pathlib import Path
from typing import Final

from annexd.workflow.journal_health import JournalError

RESERVE_BYTES: Final = 8 * 2**20  # free space that accepted orders need to complete
READ_ONLY: Final = (
    "the file or its disk is read-only",
    "make it writable; unfinished requests then continue by themselves",
)


class JournalFile:
    """The file at `path`, created if needed with mode 600, since it holds user data.  SQLite copies the mode."""

    def __init__(self, path: Path) -> None:
        self._path = path
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            self._identity = _identity(os.fstat(descriptor))
        finally:
            os.close(descriptor)

    def check(self) -> None:
        """Raise JournalError or OSError if no order should be accepted."""
        if not self._exists():
            raise JournalError(
                f"the journal {self._path} is missing",
                "the file was moved, removed or replaced while annexd had it open",
                "move it back, or restart annexd, which then takes over what it finds in AWS",
            )
        disk = os.statvfs(self._path)
        if disk.f_flag & os.ST_RDONLY:
            raise JournalError(f"the journal {self._path} cannot be written", *READ_ONLY)
        if disk.f_bavail * disk.f_frsize < RESERVE_BYTES:
            raise JournalError(
                f"the journal {self._path} accepts no new requests",
                f"its disk has less than {RESERVE_BYTES // 2**20} MiB free, which unfinished requests need",
                "free some space; annexd then accepts requests again",
            )

    def _exists(self) -> bool:
        try:
            return _identity(os.stat(self._path, follow_symlinks=False)) == self._identity
        except OSError:
            return False


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def sync_directory(directory: Path) -> None:
    """Sync a directory, to make a new file's name durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
