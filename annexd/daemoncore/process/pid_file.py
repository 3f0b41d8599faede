"""-pidfile and -kill: the process ID in a file, for a daemon started by hand.

The file may be in a directory where other users write.  So a symbolic link is not followed, another user's file is not
written, and -kill trusts the file only if this process's user, HTCondor's user or root owns it.
"""

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

from annexd.daemoncore import log
from annexd.daemoncore.config.parameters import BadConfiguration, param
from annexd.daemoncore.privileges import ROOT, condor_ids, started_by_root
from annexd.daemoncore.regular_file import open_regular

MAX_BYTES = 32
WRITING = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW


class CannotStop(Exception):
    """The process whose ID the file holds could not be stopped."""


def below_log(path: Path) -> Path:
    """Return the path, relative to LOG, as in DaemonCore (drop_pid_file, do_kill)."""
    return path if path.is_absolute() else Path(param("LOG") or ".", path).absolute()


@contextlib.contextmanager
def pid_file(path: Path | None) -> Iterator[None]:
    """Keep the PID file while the process serves; an error is logged and not fatal.  daemonize keeps its own."""
    if path is not None:
        path = below_log(path)
        try:
            _write(path, f"{os.getpid()}\n")
        except OSError as error:
            log.error(f"Failed to write -pidfile {path}: {error.strerror}")
    try:
        yield
    finally:
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink()


def check(path: Path) -> None:
    """Create the file safely before daemonize writes it, which makes no such checks.  Raises OSError."""
    os.close(open_regular(path, WRITING, {os.geteuid()}))


def _write(path: Path, text: str) -> None:
    """Write the file.  Raises OSError."""
    with os.fdopen(open_regular(path, WRITING, {os.geteuid()}), "w") as file:
        file.truncate()
        file.write(text)


def _number_in(path: Path) -> int:
    """Read the process ID.  Raises OSError, ValueError or BadConfiguration."""
    trusted = {ROOT, os.geteuid()} | ({condor_ids().uid} if started_by_root() else set())
    with os.fdopen(open_regular(path, os.O_RDONLY | os.O_NOFOLLOW, trusted)) as file:
        return int(file.read(MAX_BYTES))


def stop_other(path: Path) -> None:
    """Send SIGTERM to the process whose ID the file holds, and wait until it has ended.  Raises CannotStop."""
    path = below_log(path)
    try:
        pid = _number_in(path)
        process = os.pidfd_open(pid)
    except (OSError, ValueError, OverflowError, BadConfiguration) as error:
        raise CannotStop(f"cannot stop the process in {path}: {error}") from error
    try:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        select.select([process], [], [])
    except OSError as error:
        raise CannotStop(f"cannot stop process {pid}: {error}") from error
    finally:
        os.close(process)
