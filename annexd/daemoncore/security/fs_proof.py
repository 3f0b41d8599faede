"""The proof of FS authentication: a directory that a local user has created."""

import os
import pwd
import stat


def owner_of_proof(path: str) -> int | None:
    """Return the user ID of the proof's owner, or None if the path is not a valid proof."""
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return None
    is_proof = stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o700 and status.st_nlink <= 2
    return status.st_uid if is_proof else None


def login_name(uid: int) -> str | None:
    """Return a user's name, or None; may query a directory service."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
