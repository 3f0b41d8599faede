"""What annexd is called."""

from annexd import __version__
from annexd.daemoncore.program import Program

PROGRAM = Program(
    "ANNEXD",
    "condor_annexd",
    __version__,
    "The HTCondor annex daemon.  condor_master starts it (see config.d/80annexd); by hand it runs as well.",
)
