"""Become the requester in a child process, and read files with the requester's rights.

This file runs stand-alone, without its package and site-packages, so it imports the standard library only.
"""

import base64
import json
import os
import stat

MAX_BYTES = 65536  # an AWS key is 20 or 40 characters
MAX_FILES = 100  # of a folder
MAX_FOLDER_BYTES = 1024 * 1024  # in all its files
ROOT = 0


class CannotRead(PermissionError):
    """The file cannot be used; the text says why and reveals nothing that the requester does not know."""


def read_own_file(path: str, uid: int) -> bytes:
    """Read a regular file at an absolute path that is owned by `uid` and closed to all others.

    The file is opened with the rights of the calling process.  Raises CannotRead.
    """
    if not os.path.isabs(path):
        raise CannotRead(f"{path} is not an absolute path")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise CannotRead(f"{path} cannot be opened: {error.strerror}") from error
    except ValueError as error:
        raise CannotRead("the path contains a NUL character") from error
    try:
        _check(os.fstat(descriptor), path, uid)
        content = os.read(descriptor, MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > MAX_BYTES:
        raise CannotRead(f"{path} is larger than {MAX_BYTES} bytes")
    return content


def _check(status: os.stat_result, path: str, uid: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise CannotRead(f"{path} is not a regular file")
    if status.st_uid != uid:
        raise CannotRead(f"{path} is not owned by the requester")
    if status.st_mode & 0o077:
        raise CannotRead(f"{path} is accessible to others (mode {stat.S_IMODE(status.st_mode):04o}): chmod 600 it")


def read_folder(path: str) -> dict[str, bytes]:
    """Read the files in the folder at an absolute path, which may hold regular files only.

    They are opened with the rights of the calling process.  Raises CannotRead, which names every fault.
    """
    if not os.path.isabs(path) or "\0" in path:
        raise CannotRead(f"{path!r} is not an absolute path")
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise CannotRead(f"{path} cannot be opened: {error.strerror}") from error
    try:
        return _read_all(folder, path)
    finally:
        os.close(folder)


def _read_all(folder: int, path: str) -> dict[str, bytes]:
    names = sorted(os.listdir(folder))
    if len(names) > MAX_FILES:
        raise CannotRead(f"{path} holds {len(names)} files; the limit is {MAX_FILES}")
    files: dict[str, bytes] = {}
    faults = []
    for name in names:
        try:
            files[name] = _read_below(folder, name, MAX_FOLDER_BYTES - sum(map(len, files.values())))
        except OSError as error:
            faults.append(f"{name!r}: {error.strerror or error}")
    if faults:
        raise CannotRead(f"in {path}, {'; '.join(faults)}")
    return files


def _read_below(folder: int, name: str, most: int) -> bytes:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise CannotRead("is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(most + 1)
    finally:
        os.close(descriptor)
    if len(content) > most:
        raise CannotRead(f"exceeds the limit of {MAX_FOLDER_BYTES} bytes for all files together")
    return content


def packed_folder(path: str) -> bytes:
    """Return the files in a folder as JSON, for the parent process."""
    read = read_folder(path)
    return json.dumps({name: base64.b64encode(content).decode() for name, content in read.items()}).encode()


def become(uid: int, groups: list[int]) -> None:
    """Switch irrevocably to this user and these groups, of which the first is the primary one."""
    os.seteuid(ROOT)  # annexd itself has HTCondor's effective user ID
    os.setgroups(groups)
    os.setresgid(groups[0], groups[0], groups[0])
    os.setresuid(uid, uid, uid)
