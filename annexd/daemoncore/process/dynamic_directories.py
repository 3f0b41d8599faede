"""-dynamic: private LOG, SPOOL and EXECUTE directories of one process.

They are passed to HTCondor's configuration through the environment, as DaemonCore does (handle_dynamic_dirs).  So every
knob that refers to them follows, after a reconfig and in every child as well.
"""

import os
from collections.abc import MutableMapping
from pathlib import Path

from annexd.daemoncore.config.parameters import Parameters, param

DYNAMIC = ("LOG", "SPOOL", "EXECUTE")
# Set by condor_master -dynamic, whose children share its directories.
ALREADY_MADE = "ALREADY_CREATED_LOCAL_DYNAMIC_DIRECTORIES"


def make_dynamic(environment: MutableMapping[str, str]) -> None:
    """Make directories whose names end in .IP-PID, unless the parent has made some.  Raises OSError."""
    if Parameters().boolean(ALREADY_MADE, False):
        return
    suffix = f"{param('IP_ADDRESS') or '127.0.0.1'}-{os.getpid()}"
    for name in DYNAMIC:
        if configured := param(name):
            directory = Path(f"{configured}.{suffix}")
            directory.mkdir(exist_ok=True)
            environment[f"_condor_{name}"] = str(directory)
    environment[f"_condor_{ALREADY_MADE}"] = "TRUE"
