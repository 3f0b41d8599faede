"""Run a condor_master for as long as the parent process lives, and leave nothing behind however that ends.

    warden.py CONDOR_MASTER [DIRECTORY]      in the pool's environment

It ends when its standard input is closed, and then removes DIRECTORY.

HTCondor's daemons lead their own sessions, so no signal to a process group reaches them.  They are recognized by the
configuration file in their environment, which is unique to the pool.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

FAST_SHUTDOWN_S = 10
KILL_S = 10
POLL_S = 0.02


def main() -> None:
    master = subprocess.Popen([sys.argv[1], "-f"], stdin=subprocess.DEVNULL)
    ended = os.pidfd_open(master.pid)
    try:
        select.select([sys.stdin, ended], [], [])
    finally:
        stop(master)
        for directory in sys.argv[2:]:
            shutil.rmtree(directory, ignore_errors=True)
    sys.exit(master.returncode)


def stop(master: subprocess.Popen[bytes]) -> None:
    """Request a fast shutdown, then kill what remains of the pool."""
    master.send_signal(signal.SIGQUIT)
    try:
        master.wait(FAST_SHUTDOWN_S)
    except subprocess.TimeoutExpired:
        master.kill()
        master.wait()
    deadline = time.monotonic() + KILL_S
    while (left := members(os.environ["CONDOR_CONFIG"])) and time.monotonic() < deadline:
        for pid in left:
            _kill(pid)
        time.sleep(POLL_S)


def members(config: str) -> list[int]:
    """Return the other processes whose environment contains CONDOR_CONFIG=config."""
    wanted = f"CONDOR_CONFIG={config}".encode()
    return [pid for pid in _processes() if pid != os.getpid() and wanted in _environment(pid)]


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # another user's, or ended
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    main()
