"""Atomic replacement of a file that other processes read, in a directory where other users may write."""

import os
from pathlib import Path


def replace_file(path: Path, text: str, *, suffix: str = ".new") -> None:
    """Replace the file atomically; a symbolic link in its place is replaced, never followed.  Raises OSError."""
    new = path.with_name(path.name + suffix)
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "w") as file:
        file.write(text)
    os.replace(new, path)
