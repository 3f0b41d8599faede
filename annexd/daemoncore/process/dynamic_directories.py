"""-dynamic: folders of this process's own as LOG, SPOOL and EXECUTE.

They are told to HTCondor's configuration through the environment, as DaemonCore does (handle_dynamic_dirs): so every
knob that is made of them follows, at each reconfig again, and in every child.
"""

import os
from collections.abc import MutableMapping
from pathlib import Path

from annexd.daemoncore.config.parameters import Parameters, param

DYNAMIC = ("LOG", "SPOOL", "EXECUTE")
MADE = "ALREADY_CREATED_LOCAL_DYNAMIC_DIRECTORIES"  # by condor_master -dynamic, whose children share its folders


def make_dynamic(environment: MutableMapping[str, str]) -> None:
    """Folders whose names end in .IP-PID, unless whoever started us has made some for us.  Raises OSError."""
    if Parameters().boolean(MADE, False):
        return
    suffix = f"{param('IP_ADDRESS') or '127.0.0.1'}-{os.getpid()}"
    for name in DYNAMIC:
        if configured := param(name):
            directory = Path(f"{configured}.{suffix}")
            directory.mkdir(exist_ok=True)
            environment[f"_condor_{name}"] = str(directory)
    environment[f"_condor_{MADE}"] = "TRUE"
