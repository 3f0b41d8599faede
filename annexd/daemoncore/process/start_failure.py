"""Why a daemon could not start, where an administrator looks for it.

condor_master opens /dev/null as its children's standard error, and says of one that ends at once only its exit status.
Before the log is open by HTCondor's dprintf, the cause is appended to the same file by hand; where that file is not
known, or cannot be written, it goes to the system's log.
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
    except Exception as error:  # noqa: BLE001 - whatever is wrong, the bindings included: this is the last resort
        syslog.openlog(current().name, syslog.LOG_PID, syslog.LOG_DAEMON)
        syslog.syslog(syslog.LOG_ERR, f"cannot start: {line} (and its log cannot be written: {error})")


def _log_file() -> Path:
    """Raises ImportError without the bindings, BadConfiguration, or LookupError where no knob names the file."""
    from annexd.daemoncore.config.parameters import param

    if name := param(knob("LOG")):
        return Path(name)
    raise LookupError(f"{knob('LOG')} is not set")


def _append(path: Path, line: str) -> None:
    """Raises OSError.  A file that root makes here becomes its folder's owner's, who will write it from now on."""
    is_new = not path.exists()
    descriptor = open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW)
    try:
        if is_new and os.geteuid() == 0:
            folder = path.parent.stat()
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
        os.write(descriptor, line.encode(errors="replace"))
    finally:
        os.close(descriptor)
