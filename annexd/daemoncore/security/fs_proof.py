"""Who made the directory that FS asks for: what the host knows of a local user."""

import os
import pwd
import stat


def owner_of_proof(path: str) -> int | None:
    """The user ID of who made the directory that FS asks for, or None if it is not what FS asks for."""
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return None
    is_proof = stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o700 and status.st_nlink <= 2
    return status.st_uid if is_proof else None


def login_name(uid: int) -> str | None:
    """This may ask a directory service."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
