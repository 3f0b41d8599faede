"""The cost of counting very many idle jobs and free slots: seconds, CPU time, memory, and the pauses of the loop."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from annexd.daemoncore.program import run_as
from annexd.demand.pool_watch import PoolWorkers, QueueQuestion, QueueWatch, SlotWatch
from annexd.service.program import PROGRAM
from test.demand.ghosts import GhostPool
from test.pool import PoolError

T = TypeVar("T")
LIMITS = """
MAX_JOBS_PER_SUBMISSION = 1000000
MAX_JOBS_PER_OWNER = 1000000
MAX_JOBS_SUBMITTED = 1000000
"""
AT_ONCE = 20_000  # jobs per condor_submit; a condor_advertise has a tenth as many slots
SUBMIT_S = 300.0
TICK_S = 0.002
REPEATS = 3
TICKS = os.sysconf("SC_CLK_TCK")
PID = re.compile(r"\*\* PID = (\d+)")
MIB = 1024.0


@dataclass(frozen=True)
class Cost:
    """The cost of one query."""

    wall_s: float
    schedd_cpu_s: float
    loop_cpu_s: float
    longest_s: float  # CPU time of the loop without a pause; other programs do not count

    def __str__(self) -> str:
        return (
            f"{self.wall_s:6.2f} s; CPU time: schedd {self.schedd_cpu_s:.2f} s, annexd's own process "
            f"{self.loop_cpu_s:.2f} s, at most {1000 * self.longest_s:.0f} ms of it without a pause"
        )


def compare(jobs: int, kinds: int, slots: int) -> None:
    """Raises PoolError."""
    run_as(PROGRAM)
    print("", f"{jobs} idle jobs of {kinds} kinds in a schedd, and {slots} free slots", sep="\n")
    with GhostPool([], LIMITS) as pool:
        fill(pool, jobs, kinds, slots)
        before = memory_mib()
        asyncio.run(_ask(pool, jobs))
        own = memory_mib() - before
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / MIB
    print(f"memory: {own:.0f} MB more in annexd's process, at most {most:.0f} MB in a worker", flush=True)


def fill(pool: GhostPool, jobs: int, kinds: int, slots: int) -> None:
    """Submit the jobs, advertise the slots, and wait until a negotiator has requested the jobs.  Raises PoolError."""
    began_s = time.monotonic()
    _submit(pool, jobs, kinds)
    _advertise(pool, slots)
    pool.wait_for_cycles(1, "")
    print(f"(made in {time.monotonic() - began_s:.0f} s)", flush=True)


def memory_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / MIB / MIB


async def _ask(pool: GhostPool, jobs: int) -> None:
    workers = PoolWorkers(pool.env)
    queue = QueueWatch(workers, lambda: (pool.collector,), QueueQuestion(idle_age_s=0, interval_s=0.01))
    free = SlotWatch(workers, lambda: (pool.collector,), 0.01)
    schedd = int(PID.findall(pool.log("SCHEDD"))[-1])
    try:
        for _ in range(REPEATS):
            picture, cost = await _measured(queue.ask, schedd)
            counted = sum(group.count for group in picture.groups())
            if counted != jobs:
                raise PoolError(f"{counted} of {jobs} jobs were counted: {[each.fault for each in picture.schedds]}")
            print(f"jobs:  {cost}; {len(list(picture.groups()))} groups", flush=True)
        refers_to = picture.refers_to()
        for _ in range(REPEATS):
            found, cost = await _measured(lambda: free.ask(refers_to), schedd)
            slots = sum(each.count for each in found.slots)
            print(f"slots: {cost}; {slots} slots of {len(found.slots)} kinds{found.fault or ''}", flush=True)
    finally:
        await workers.close()


async def _measured(ask: Callable[[], Awaitable[T]], schedd: int) -> tuple[T, Cost]:
    ticker = asyncio.create_task(watch_loop())
    before, began_s, cpu_s = _cpu_s(schedd), time.monotonic(), time.process_time()
    found = await ask()
    wall_s, used_s = time.monotonic() - began_s, time.process_time() - cpu_s
    ticker.cancel()
    return found, Cost(wall_s, _cpu_s(schedd) - before, used_s, await ticker)


async def watch_loop() -> float:
    longest_s, last_s = 0.0, time.thread_time()
    try:
        while True:
            await asyncio.sleep(TICK_S)
            now_s = time.thread_time()
            longest_s, last_s = max(longest_s, now_s - last_s), now_s
    except asyncio.CancelledError:
        return max(longest_s, time.thread_time() - last_s)


def _cpu_s(pid: int) -> float:
    """Return the CPU time of a process and its ended children, such as those that serve queries."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(each) for each in fields[11:15]) / TICKS  # utime, stime, cutime, cstime: proc(5)


def _submit(pool: GhostPool, jobs: int, kinds: int) -> None:
    """Submit jobs that differ in memory, in several submissions with their own kinds."""
    parts = max(1, jobs // AT_ONCE)
    for part in range(parts):
        memory = "\n".join(str(1 + part + parts * n) for n in range(kinds // parts))
        text = (
            "executable = /bin/sleep\narguments = 600\ntransfer_executable = False\nrequest_cpus = 1\n"
            "request_disk = 1\nrequest_memory = $(M)\naccounting_group_user = alice\n"
            f"queue {jobs // kinds} M from (\n{memory}\n)\n"
        )
        done = pool.tool("condor_submit", "-terse", stdin=text, timeout_s=SUBMIT_S)
        if done.returncode != 0:
            raise PoolError(f"condor_submit: {done.stderr}")


def _advertise(pool: GhostPool, slots: int) -> None:
    """Advertise copies of the pool's own slot under other names and with disks of other sizes."""
    [own] = pool.wait_for(lambda: pool.tool("condor_status", "-long").stdout.strip().split("\n\n"), "the slot")
    host = re.search(r'^Machine = "(.*)"$', own, re.MULTILINE)
    assert host is not None
    for begin in range(0, slots, AT_ONCE // 10):
        texts = []
        for number in range(begin, min(begin + AT_ONCE // 10, slots)):
            ad = own.replace(f'"slot1@{host[1]}"', f'"slot1@m{number}"').replace(f'"{host[1]}"', f'"m{number}"')
            ad = ad.replace(f":{pool.port}?", f":{30_000 + number}?")
            texts.append(re.sub(r"^Disk = .*$", f"Disk = {76_000_000 + number}", ad, flags=re.MULTILINE))
        done = pool.tool("condor_advertise", "-multiple", "UPDATE_STARTD_AD", stdin="\n\n".join(texts) + "\n")
        if done.returncode != 0:
            raise PoolError(f"condor_advertise: {done.stderr}")
