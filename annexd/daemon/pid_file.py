"""-pidfile and -kill: a process's ID in a file, for those who started it by hand."""

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

from annexd.daemon import log
from annexd.daemon.parameters import param


class CannotEnd(Exception):
    """The process that the file names was not ended."""


def below_log(path: Path) -> Path:
    """As DaemonCore takes a name without a folder (drop_pid_file, do_kill)."""
    return path if path.is_absolute() else Path(param("LOG") or ".", path).absolute()


@contextlib.contextmanager
def pid_file(path: Path | None) -> Iterator[None]:
    """For as long as this process serves; daemonize keeps its own.  Without it annexd serves all the same."""
    if path is not None:
        path = below_log(path)
        try:
            path.write_text(f"{os.getpid()}\n")
        except OSError as error:
            log.error(f"cannot write -pidfile {path}: {error.strerror}")
    try:
        yield
    finally:
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink()


def end_other(path: Path) -> None:
    """SIGTERM to the process whose ID the file holds, and wait until it has gone.  Raises CannotEnd."""
    path = below_log(path)
    try:
        pid = int(path.read_text())
        process = os.pidfd_open(pid)
    except (OSError, ValueError, OverflowError) as error:
        raise CannotEnd(f"cannot end the process of {path}: {error}") from error
    try:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        select.select([process], [], [])
    except OSError as error:
        raise CannotEnd(f"cannot end process {pid}: {error}") from error
    finally:
        os.close(process)
