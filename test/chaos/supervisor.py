"""Run condor_master forever, as systemd does: when it dies, kill its remaining daemons and start another one.

annexd is spared: it has to notice by itself that its parent is gone, and make room for the next annexd.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from test.chaos.processes import members

HTCONDORS_OWN = ("condor_collector", "condor_shared_po", "condor_schedd", "condor_procd")  # truncated by the kernel
PAUSE_S = 0.2


def main() -> None:
    while True:
        subprocess.run([os.environ["CHAOS_MASTER"], *sys.argv[1:]], stdin=subprocess.DEVNULL, check=False)
        for process in members(os.environ["CONDOR_CONFIG"]):
            if process.name in HTCONDORS_OWN:
                process.kill(signal.SIGKILL)
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
