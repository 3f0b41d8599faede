"""Open a file, or the files of a folder, that a request names with the rights of whoever sent it, and no others.

A request is data: its path could name annexd's own secrets, another user's keys, a FIFO that never answers, or a
link that is changed between a check and its use.  So the file is opened once, by the requester's own user ID, never
following a link at its end, and everything is asked of the open descriptor.

The child that does so belongs to the requester, who may stop it (kill(2)); and annexd, HTCondor's user then, may not
end it.  So it costs a bounded wait, and root's right to end it.
"""

import base64
import json
import os
import pwd
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

MAX_BYTES = 65536  # an AWS key is 20 or 40 characters
MAX_FILES = 100  # of a folder
MAX_FOLDER_BYTES = 1024 * 1024  # in all its files
READ_TIMEOUT_S = 20.0  # a hanging file server must not hold a worker for ever
END_TIMEOUT_S = 5.0  # for a child that is told to end: a dead file server may keep it for longer
SLOW_S = 2.0  # a child answers in 0.1 s
LOOK_S = 0.05  # between two looks for a place
MAX_SLOW = 2  # children of one user; the next of his requests is refused at once
MAX_AT_ONCE = 8  # children of one user; the next waits for SLOW_S, so that a burst takes no more places than these
ROOT = 0

BECOME = (  # run by a child that becomes the requester: this very file, without its package
    "import runpy, sys; m = runpy.run_path(sys.argv[1]); uid, *groups = map(int, sys.argv[3].split(',')); "
    "m['become'](uid, groups); "
)
READ_STANDALONE = BECOME + "sys.stdout.buffer.write(m['read_own_file'](sys.argv[2], uid))"
READ_FOLDER_STANDALONE = BECOME + "sys.stdout.buffer.write(m['packed_folder'](sys.argv[2]))"
END_AS_ROOT = f"import os, sys; os.seteuid({ROOT}); os.kill(int(sys.argv[1]), 9)"


@dataclass(eq=False)
class _Place:
    """Of a child that reads as this user; none is there before it is started."""

    uid: int
    since_s: float
    child: subprocess.Popen[bytes] | None = None


_lock = threading.Lock()
_places: set[_Place] = set()


class CannotRead(PermissionError):
    """The file cannot be used; the text says why, and names only what the requester already knows."""


def read_own_file(path: str, uid: int) -> bytes:
    """The content of a regular file at an absolute path, owned by `uid` and readable by nobody else.

    Opened with the rights of the calling process.  Raises CannotRead.
    """
    if not os.path.isabs(path):
        raise CannotRead(f"{path} is not an absolute path")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise CannotRead(f"{path} cannot be opened: {error.strerror}") from error
    except ValueError as error:
        raise CannotRead("the path holds a NUL character") from error
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
        raise CannotRead(f"{path} does not belong to the requester")
    if status.st_mode & 0o077:
        raise CannotRead(f"{path} can be read by others (mode {stat.S_IMODE(status.st_mode):04o}): chmod 600 it")


def read_folder(path: str) -> dict[str, bytes]:
    """The regular files in the folder at an absolute path, and nothing else may be in it.

    Opened with the rights of the calling process.  Raises CannotRead, which names every fault.
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
        raise CannotRead(f"{path} holds {len(names)} files, the most is {MAX_FILES}")
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
        raise CannotRead(f"makes all files together larger than {MAX_FOLDER_BYTES} bytes")
    return content


def packed_folder(path: str) -> bytes:
    """What a child tells of it."""
    read = read_folder(path)
    return json.dumps({name: base64.b64encode(content).decode() for name, content in read.items()}).encode()


def become(uid: int, groups: list[int]) -> None:
    """This user, in these groups, the first of which is his own, and never again another one."""
    os.seteuid(ROOT)  # annexd itself has HTCondor's effective user ID
    os.setgroups(groups)
    os.setresgid(groups[0], groups[0], groups[0])
    os.setresuid(uid, uid, uid)


class RequesterFiles:
    """Reads files for authenticated users (`user@domain`) of this host's account domain, UID_DOMAIN."""

    def __init__(self, uid_domain: str) -> None:
        self.uid_domain = uid_domain

    def read(self, owner: str, path: str) -> bytes:
        """The file's content, read as `owner`.  Raises CannotRead."""
        account = self._account(owner)
        if _is_self(account, path):
            return read_own_file(path, account.pw_uid)
        return _read_in_child(account, path, READ_STANDALONE)

    def read_folder(self, owner: str, path: str) -> dict[str, bytes]:
        """The files in a folder by name, read as `owner`.  Raises CannotRead."""
        account = self._account(owner)
        if _is_self(account, path):
            return read_folder(path)
        printed = json.loads(_read_in_child(account, path, READ_FOLDER_STANDALONE))
        return {name: base64.b64decode(content) for name, content in printed.items()}

    def _account(self, owner: str) -> pwd.struct_passwd:
        user, _, domain = owner.rpartition("@")
        if domain.lower() != self.uid_domain.lower():
            raise CannotRead(f"{owner} is no account of this host (UID_DOMAIN is {self.uid_domain}): "
                             f"key files cannot be opened for them")
        try:
            return pwd.getpwnam(user)
        except (KeyError, ValueError):  # ValueError: a name that no account can have
            raise CannotRead(f"{user!r} has no account on this host: key files cannot be opened for them") from None


def _is_self(account: pwd.struct_passwd, path: str) -> bool:
    """Whether we are that user.  Raises CannotRead when we are not, and may not become it."""
    own_uid = os.geteuid()
    if account.pw_uid == ROOT:  # as HTCondor's daemons refuse to run anything as root (init_user_ids)
        raise CannotRead(f"{path} cannot be opened as {account.pw_name}: nobody's request gets root's rights; "
                         f"order as an ordinary user")
    if own_uid != account.pw_uid and os.getuid() != ROOT:
        raise CannotRead(f"{path} cannot be opened as {account.pw_name}: annexd runs as {_name_of(own_uid)}; only root "
                         f"can take another user's rights")
    return own_uid == account.pw_uid


def _name_of(uid: int) -> str:
    """A container may run annexd with a user ID that no account has."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user ID {uid}, which no account has"


def _read_in_child(account: pwd.struct_passwd, path: str, program: str) -> bytes:
    groups = [account.pw_gid, *os.getgrouplist(account.pw_name, account.pw_gid)]
    who = ",".join(map(str, (account.pw_uid, *groups)))
    with _a_place(account.pw_uid) as place:
        if place is None:
            raise CannotRead(f"{path} is not opened: processes that read files as {account.pw_name} do not answer; see "
                             "what keeps them, and order again")
        try:
            place.child = child = _python(program, __file__, path, who)
        except (OSError, ValueError) as error:
            raise CannotRead(f"annexd cannot become {account.pw_name} to open {path}: {error}") from error
        try:
            printed, said = child.communicate(timeout=READ_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            _end(child)
            raise CannotRead(f"{path} could not be read within {READ_TIMEOUT_S:g} s") from None
    if child.returncode != 0:
        raise CannotRead(_last_words(said) or f"{path} could not be read")
    return printed


def _python(program: str, *words: str) -> subprocess.Popen[bytes]:
    """Raises OSError or ValueError."""
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", program, *words], umask=0o077, cwd="/", env={},
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@contextmanager
def _a_place(uid: int) -> Iterator[_Place | None]:
    """One of this user's, until its child has ended, which may be long after nobody waits for it any more.

    None when some of the user's children have not answered for long, or a burst of them leaves no place in time.
    """
    place, end_s = _take_place(uid), time.monotonic() + SLOW_S
    while place is None and time.monotonic() < end_s and _slow_of(uid) < MAX_SLOW:
        time.sleep(LOOK_S)
        place = _take_place(uid)
    try:
        yield place
    finally:
        if place is not None and place.child is None:
            with _lock:
                _places.discard(place)


def _take_place(uid: int) -> _Place | None:
    """Those of children that have ended are free again."""
    with _lock:
        for place in [place for place in _places if place.child is not None and place.child.poll() is not None]:
            _places.discard(place)
        if sum(place.uid == uid for place in _places) >= MAX_AT_ONCE or _slow_of(uid) >= MAX_SLOW:
            return None
        place = _Place(uid, time.monotonic())
        _places.add(place)
        return place


def _slow_of(uid: int) -> int:
    """How many of this user's have not answered for long."""
    slow_since_s = time.monotonic() - SLOW_S
    return sum(place.uid == uid and place.since_s < slow_since_s for place in tuple(_places))


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill it, with root's rights where ours do not reach, and wait for no longer than END_TIMEOUT_S each."""
    for pipe in (child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()
    try:
        child.kill()
    except PermissionError:
        _end_as_root(child.pid)
    with suppress(subprocess.TimeoutExpired):
        child.wait(END_TIMEOUT_S)


def _end_as_root(pid: int) -> None:
    """By a child that never belongs to a requester.  The number is still the one's that is meant: it is not reaped."""
    with suppress(OSError, subprocess.TimeoutExpired):
        _python(END_AS_ROOT, str(pid)).communicate(timeout=END_TIMEOUT_S)


def _last_words(stderr: bytes) -> str:
    """The message of the exception that ended the child."""
    last = stderr.decode(errors="replace").strip().rpartition("\n")[2]
    return last.partition(": ")[2] or last
