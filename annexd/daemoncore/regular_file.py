"""Open a file safely by a name that may refer to anything, in a folder where others may write."""

import os
import stat
from collections.abc import Collection
from pathlib import Path


def open_regular(path: Path, flags: int, owners: Collection[int] | None = None) -> int:
    """Open a regular file, owned by one of these users; return its descriptor.  Raises OSError.  Never blocks."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, 0o644)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and (owners is None or status.st_uid in owners):
        return descriptor
    os.close(descriptor)
    raise PermissionError(1, "it is not a regular file, or another user owns it", str(path))
