"""The daemon's identity: one per process, like HTCondor's own subsystem."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Program:
    """Names of a daemon: subsystem ANNEXD, program condor_annexd, Annexd in `condor_status -subsystem`."""

    subsystem: str  # in DAEMON_LIST, and the prefix of its knobs: ANNEXD_LOG
    name: str  # of the executable
    version: str
    description: str  # one line or more for -help

    @property
    def my_type(self) -> str:
        """Return the collector's table that `condor_status -subsystem` queries (AdTypes of a generic ad)."""
        return self.subsystem.capitalize()


_running: list[Program] = []


def run_as(program: Program) -> None:
    """Set the daemon that this process runs."""
    _running[:] = [program]


def current() -> Program:
    """Return the daemon that this process runs.  Raises LookupError if it runs none."""
    if not _running:
        raise LookupError("this process is not an HTCondor daemon: run_as was not called")
    return _running[0]


def knob(name: str) -> str:
    """Return the daemon's own knob of this name: ANNEXD_LOG for LOG."""
    return f"{current().subsystem}_{name}"
