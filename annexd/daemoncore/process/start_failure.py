"""Record why a daemon could not start, where an administrator looks for it.

condor_master opens /dev/null as its children's standard error, and reports only the exit status of a child that ends at
once.  Before HTCondor's dprintf has opened the log, the cause is appended directly to the same file; if that file is
unknown or cannot be written, it goes to the system's log.
"""

import os
import syslog
import time
from pathlib import Path

from annexd.daemoncore.program import current, knob
from annexd.daemoncore.regular_file import open_regular

TIME_FORMAT = "%m/%d/%y %H:%M:%S"  # as dprintf writes it by default


def record(message: str) -> None:
    """Append one line to the daemon's log, or else to the system's."""
    line = " ".join(message.split())
    try:
        _append(_log_file(), f"{time.strftime(TIME_FORMAT)} ERROR: {current().name} cannot start: {line}\n")
    except Exception as error:  # noqa: BLE001 - any error, also of the bindings: this is the last resort
        syslog.openlog(current().name, syslog.LOG_PID, syslog.LOG_DAEMON)
        syslog.syslog(syslog.LOG_ERR, f"cannot start: {line} (and its log cannot be written: {error})")


def _log_file() -> Path:
    """Return the log's path.  Raises ImportError without the bindings, BadConfiguration, or LookupError if no knob
    names it.
    """
    from annexd.daemoncore.config.parameters import param

    if name := param(knob("LOG")):
        return Path(name)
    raise LookupError(f"{knob('LOG')} is not set")


def _append(path: Path, line: str) -> None:
    """Append a line to the log.  A file that root creates here is given to its folder's owner, who will write it later.
    Raises OSError.
    """
    is_new = not path.exists()
    descriptor = open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW)
    try:
        if is_new and os.geteuid() == 0:
            folder = path.parent.stat()
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
        os.write(descriptor, line.encode(errors="replace"))
    finally:
        os.close(descriptor)
