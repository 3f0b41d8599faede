"""-pidfile and -kill: a process's ID in a file, for those who started it by hand.

The file may be in a folder where others write: so no link is followed at its end, another user's file is not written,
and the number in it is believed only if it is ours, HTCondor's user's or root's.
"""

import contextlib
import os
import select
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

from annexd.daemoncore import log
from annexd.daemoncore.config.parameters import BadConfiguration, param
from annexd.daemoncore.privileges import ROOT, condor_ids, started_by_root

MAX_BYTES = 32


class CannotEnd(Exception):
    """The process that the file names was not ended."""


def below_log(path: Path) -> Path:
    """As DaemonCore takes a name without a folder (drop_pid_file, do_kill)."""
    return path if path.is_absolute() else Path(param("LOG") or ".", path).absolute()


@contextlib.contextmanager
def pid_file(path: Path | None) -> Iterator[None]:
    """For as long as this process serves; daemonize keeps its own.  Without it the daemon serves all the same."""
    if path is not None:
        path = below_log(path)
        try:
            _write(path, f"{os.getpid()}\n")
        except OSError as error:
            log.error(f"cannot write -pidfile {path}: {error.strerror}")
    try:
        yield
    finally:
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink()


def check(path: Path) -> None:
    """What daemonize does not ask of the file that it writes, which is there afterwards.  Raises OSError."""
    os.close(_opened(path, os.O_WRONLY | os.O_CREAT, {os.geteuid()}))


def _write(path: Path, text: str) -> None:
    """Raises OSError."""
    with os.fdopen(_opened(path, os.O_WRONLY | os.O_CREAT, {os.geteuid()}), "w") as file:
        file.truncate()
        file.write(text)


def _opened(path: Path, flags: int, owners: set[int]) -> int:
    """The descriptor of a regular file that one of these has.  Raises OSError."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, 0o644)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_uid in owners:
        return descriptor
    os.close(descriptor)
    raise PermissionError(1, "it is no regular file, or another user's", str(path))


def _number_in(path: Path) -> int:
    """Raises OSError, ValueError or BadConfiguration."""
    trusted = {ROOT, os.geteuid()} | ({condor_ids().uid} if started_by_root() else set())
    with os.fdopen(_opened(path, os.O_RDONLY, trusted)) as file:
        return int(file.read(MAX_BYTES))


def end_other(path: Path) -> None:
    """SIGTERM to the process whose ID the file holds, and wait until it has gone.  Raises CannotEnd."""
    path = below_log(path)
    try:
        pid = _number_in(path)
        process = os.pidfd_open(pid)
    except (OSError, ValueError, OverflowError, BadConfiguration) as error:
        raise CannotEnd(f"cannot end the process of {path}: {error}") from error
    try:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        select.select([process], [], [])
    except OSError as error:
        raise CannotEnd(f"cannot end process {pid}: {error}") from error
    finally:
        os.close(process)
