"""Measure commands: the wall time until they end, and the CPU time of all processes that worked for them.

A command's helpers count as its own, even those that outlive it.  The time that the pool's daemons and the emulated AWS
spend meanwhile is read from /proc, before and after.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from test.bench.contenders import Contender, Run

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
SPOT_FLEET = re.compile(r"sfr-[0-9a-f-]{36}")
LATE_S, POLL_S = 10.0, 0.005


class NotMadeError(Exception):
    """A command created no annex; the text has its output."""


@dataclass(frozen=True)
class Made:
    """One annex, and when its command began and ended, by the clock of the cloud's audit."""

    fleet: str
    began_s: float
    ended_s: float

    @property
    def wall_s(self) -> float:
        return self.ended_s - self.began_s


@dataclass(frozen=True)
class Round:
    """Several annexes, created by one contender without a pause.  CPU times are of all of them together."""

    made: tuple[Made, ...]
    wall_s: float
    client_cpu_s: float
    daemons_cpu_s: float
    cloud_cpu_s: float
    strangers_cpu_s: float  # of all other processes on this machine

    @property
    def annexes_per_s(self) -> float:
        return len(self.made) / self.wall_s

    @property
    def strangers_share(self) -> float:
        """Return the share of other processes in the machine's CPU time."""
        return self.strangers_cpu_s / (self.wall_s * (os.cpu_count() or 1))


@dataclass(frozen=True)
class Bystanders:
    """The processes whose CPU time is counted in addition to the commands'."""

    daemons: tuple[int, ...]
    cloud: tuple[int, ...]


def adopt_orphans() -> None:
    """Make helpers that outlive their command children of this process, so that their time is counted."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def round_of(contender: Contender, numbers: Sequence[int], at_once: int, bystanders: Bystanders) -> Round:
    """Create an annex for each number, `at_once` at any time; raises NotMadeError."""
    runs = [contender.run(number) for number in numbers]
    began_s, before = time.perf_counter(), _used(bystanders)
    with ThreadPoolExecutor(at_once) as threads:
        made = tuple(threads.map(_make, runs))
    wall_s = time.perf_counter() - began_s
    _reap_orphans()
    client_s, daemons_s, cloud_s, own_s, machine_s = (
        now_s - then_s for now_s, then_s in zip(_used(bystanders), before, strict=True)
    )
    strangers_s = max(0.0, machine_s - client_s - daemons_s - cloud_s - own_s)
    return Round(made, wall_s, client_s, daemons_s, cloud_s, strangers_s)


def _used(bystanders: Bystanders) -> tuple[float, ...]:
    """Return the CPU time so far: of the commands, the daemons, the cloud, this process, and the whole machine."""
    own_s, machine_s = time.process_time(), _machine_cpu_s()
    return _children_cpu_s(), _cpu_s(bystanders.daemons), _cpu_s(bystanders.cloud), own_s, machine_s


def _make(run: Run) -> Made:
    with tempfile.TemporaryFile("w+") as said:
        began_s = time.time()
        status = subprocess.call(run.command, env=run.environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        ended_s = time.time()
        said.seek(0)
        message = said.read()
    fleet = SPOT_FLEET.search(message)
    if status != 0 or fleet is None:
        raise NotMadeError(f"{Path(run.command[0]).name} ended with status {status} and made no annex:\n{message}")
    return Made(fleet[0], began_s, ended_s)


def wall_s_of(run: Run) -> float:
    """Return the time of a command that creates no annex; raises CalledProcessError if it fails."""
    began_s = time.perf_counter()
    subprocess.run(run.command, env=run.environment, stdin=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began_s


def _children_cpu_s() -> float:
    """Return the CPU time of all children that have ended and were waited for, and of their children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _reap_orphans() -> None:
    """Wait until the helpers of ended commands have ended: the C++ tool's ec2_gahp."""
    deadline_s = time.monotonic() + LATE_S
    while (orphans := [pid for pid in children(os.getpid()) if _name(pid) == "ec2_gahp"]) and (
        time.monotonic() < deadline_s
    ):
        for pid in orphans:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(POLL_S)


def children(pid: int) -> list[int]:
    """Return the children of all threads of a process."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in _text(task).split()]


def _cpu_s(pids: Iterable[int]) -> float:
    """Return the CPU time of running processes and of the children they waited for; 0 for one that is gone."""
    fields = [_text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split() for pid in pids]
    return TICK_S * sum(int(ticks) for each in fields for ticks in each[11:15])


def _machine_cpu_s() -> float:
    """Return the time in which CPUs were neither idle nor waiting for a disk; see proc(5)."""
    user, nice, system, _idle, _iowait, interrupts, softirqs, steal, *_ = Path("/proc/stat").read_text().split()[1:11]
    return TICK_S * sum(int(ticks) for ticks in (user, nice, system, interrupts, softirqs, steal))


def _name(pid: int) -> str:
    return _text(Path(f"/proc/{pid}/comm")).strip()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
