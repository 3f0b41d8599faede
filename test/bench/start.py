"""The time from exec to ready: as condor_master sees it, and of a daemon started by hand."""

from __future__ import annotations

import re
import subprocess
import time
from datetime import datetime
from pathlib import Path
from statistics import median

from test.bench.daemons import OURS, PEER, PROGRAMS, make_pool, pid_of
from test.pool import Pool

AIM_S = 0.5
POLL_S = 0.001
# The format of condor_master's log with D_SUB_SECOND; condor_master itself writes both messages.
LOG_TIME = "%m/%d/%y %H:%M:%S.%f"
CONFIG = "MASTER_DEBUG = D_SUB_SECOND\n"


def compare(starts: int) -> None:
    """Raises PoolError.  The schedd never reports that it is ready, so condor_master's figure is annexd's only."""
    print("", f"Start to ready, {starts} times (aim: under {AIM_S} s)", sep="\n")
    with make_pool(shared_port=True, config=CONFIG) as pool:
        for _ in range(starts):
            _restart(pool)
        _show("annexd, from condor_master's exec to its ready state", _ready_s(pool)[-starts:])
        _show("annexd, by hand, until its address is there", [_by_hand_s(pool, OURS) for _ in range(starts)])
        _show("schedd, by hand, until its address is there", [_by_hand_s(pool, PEER) for _ in range(starts)])


def _restart(pool: Pool) -> None:
    before = len(_ready_s(pool))
    off(pool, OURS)
    pool.tool("condor_on", "-daemon", OURS)  # condor_restart would double its delay each time
    pool.wait_for(lambda: len(_ready_s(pool)) > before, "annexd to be ready again")


def _ready_s(pool: Pool) -> list[float]:
    """Return the time of each start in condor_master's log: `Started DaemonCore process` to `Setting ready state`."""
    found, started = [], None
    for line in pool.log("MASTER").splitlines():
        at = re.match(r"\S+ \S+", line)
        if "Started DaemonCore process" in line and PROGRAMS[OURS] in line and at:
            started = datetime.strptime(at[0], LOG_TIME)
        elif "Setting ready state 'Ready' for ANNEXD" in line and at and started:
            found.append((datetime.strptime(at[0], LOG_TIME) - started).total_seconds())
            started = None
    return found


def _by_hand_s(pool: Pool, name: str) -> float:
    """Return the time of a start; the pool's own daemon is off meanwhile, since two would share files."""
    off(pool, name)
    program, file = pool.param(name.upper()), Path(pool.param(f"{name.upper()}_ADDRESS_FILE") or "")
    assert program, f"the configuration does not say where {name} is"
    begun_s = time.monotonic()
    with subprocess.Popen([program, "-f"], env=pool.env, stdin=subprocess.DEVNULL) as process:
        while not file.exists() and time.monotonic() < begun_s + 30:
            time.sleep(POLL_S)
        took_s = time.monotonic() - begun_s
        process.terminate()
    return took_s


def off(pool: Pool, name: str) -> None:
    process = Path(f"/proc/{pid_of(pool, name)}")
    if process.exists():
        pool.tool("condor_off", "-daemon", name)
        pool.wait_for(lambda: not process.exists(), f"{name} to end")
    Path(pool.param(f"{name.upper()}_ADDRESS_FILE") or "").unlink(missing_ok=True)


def _show(what: str, took_s: list[float]) -> None:
    print(f"{what:55}{median(took_s):7.3f} s ({min(took_s):.3f} to {max(took_s):.3f})", flush=True)
