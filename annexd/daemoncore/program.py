"""Which daemon this process is: one for the life of a process, as HTCondor's own subsystem is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Program:
    """What the daemon is called: subsystem ANNEXD, program condor_annexd, Annexd in `condor_status -subsystem`."""

    subsystem: str  # in DAEMON_LIST, and the beginning of its knobs: ANNEXD_LOG
    name: str  # of the executable
    version: str
    description: str  # one line or more for -help

    @property
    def my_type(self) -> str:
        """Name the table of the collector that `condor_status -subsystem` reads (AdTypes of a generic ad)."""
        return self.subsystem.capitalize()


_running: list[Program] = []


def run_as(program: Program) -> None:
    """Be this daemon from now on."""
    _running[:] = [program]


def current() -> Program:
    """Return the daemon that this process is.  Raises LookupError in a process that is none."""
    if not _running:
        raise LookupError("this process is no HTCondor daemon: run_as was not called")
    return _running[0]


def knob(name: str) -> str:
    """Return the daemon's own knob of this name: ANNEXD_LOG for LOG."""
    return f"{current().subsystem}_{name}"
