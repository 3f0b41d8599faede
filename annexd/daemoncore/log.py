"""The daemon's log (ANNEXD_LOG), written by HTCondor's own dprintf: its format, its levels, its rotation.

An administrator reads this log beside those of the schedd and the collector.  A message is one line, whatever it
quotes: a peer's words must not be able to forge a second one.
"""

import htcondor2

from annexd.condor import bindings
from annexd.daemoncore.config.parameters import param
from annexd.daemoncore.program import knob

Level = htcondor2.LogLevel


def open_log(*, terminal: bool, suffix: str | None = None, silent: bool = False) -> None:
    """Start, or start anew after a reconfig, with the level and the file that are configured now."""
    if silent and not terminal:
        return
    file = knob("LOG")
    for name in (file, knob("DEBUG")):  # where dprintf looks, which knows no local name
        if text := param(name):
            bindings.set_param(name, f"{text}.{suffix}" if suffix and name == file else text)
    if terminal:
        htcondor2.enable_debug()
    else:
        htcondor2.enable_log()


def one_line(message: str) -> str:
    """The message with every control character shown as an escape."""
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
