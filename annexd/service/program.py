"""annexd's names and description."""

from annexd import __version__
from annexd.daemoncore.program import Program

PROGRAM = Program(
    "ANNEXD",
    "condor_annexd",
    __version__,
    "The HTCondor annex daemon, normally started by condor_master (see config.d/80annexd).",
)
