"""The daemon's log (ANNEXD_LOG), written by HTCondor's own dprintf, with its format, levels and rotation.

An administrator reads this log beside those of the schedd and the collector.  A message is always one line, so that
text from a peer cannot forge a second one.
"""

import htcondor2

from annexd.condor import bindings
from annexd.daemoncore.config.parameters import param
from annexd.daemoncore.program import knob

Level = htcondor2.LogLevel


def open_log(*, terminal: bool, suffix: str | None = None, silent: bool = False) -> None:
    """Open the log, or reopen it after a reconfig, with the configured level and file."""
    if silent and not terminal:
        return
    file = knob("LOG")
    for name in (file, knob("DEBUG")):  # the knobs of dprintf, which knows no local name
        if text := param(name):
            bindings.set_param(name, f"{text}.{suffix}" if suffix and name == file else text)
    if terminal:
        htcondor2.enable_debug()
    else:
        htcondor2.enable_log()


def one_line(message: str) -> str:
    """Return the message with every control character escaped."""
    if message.isprintable():
        return message
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in message)


def always(message: str) -> None:
    bindings.log(Level.Always, one_line(message))


def error(message: str) -> None:
    bindings.log(Level.Error, "ERROR: " + one_line(message))


def security(message: str) -> None:
    bindings.log(Level.Security, one_line(message))


def full_debug(message: str) -> None:
    bindings.log(Level.FullDebug, one_line(message))
