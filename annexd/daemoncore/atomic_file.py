"""A file that others read, replaced in a folder where others may write."""

import os
from pathlib import Path


def replace_file(path: Path, text: str, *, suffix: str = ".new") -> None:
    """A reader never sees half of it, and no link is followed: what is in its place is replaced itself.  Raises
    OSError.
    """
    new = path.with_name(path.name + suffix)
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "w") as file:
        file.write(text)
    os.replace(new, path)
