"""The cost of comparing many kinds of idle jobs with the offers' machines, and how long annexd's loop is blocked."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from annexd.demand.matching import Matcher, Matches
from test.bench.measure import children
from test.demand.ads import gpu_machine, job, machine

PROBE_S, LOOK_S = 0.002, 0.05


@dataclass(frozen=True)
class Taken:
    """The cost of one call of Matcher.match."""

    wall_s: float
    own_cpu_s: float
    worker_cpu_s: float
    lag_s: float  # the longest time for which the event loop did not run
    growth_kb: int  # of this process
    worker_kb: int  # the largest process that evaluated


def compare(groups: int, offers: int) -> None:
    """Measure the first call, with an empty cache, and the next two.

    The bench's own modules are frozen for the garbage collector, which would pause the process while it scans them.
    """
    gc.collect()
    gc.freeze()
    jobs, machines = jobs_of(groups), machines_of(offers)
    print("", f"{groups} kinds of jobs beside {offers} offers", sep="\n")
    for name, taken in asyncio.run(_measure(jobs, machines)).items():
        print(
            f"{name:12}{taken.wall_s:8.2f} s; CPU: annexd {taken.own_cpu_s:.2f} s, worker {taken.worker_cpu_s:.2f} s; "
            f"the loop was blocked for at most {1000 * taken.lag_s:.0f} ms; memory: annexd grew by "
            f"{taken.growth_kb / 1024:.1f} MB, worker {taken.worker_kb / 1024:.0f} MB",
            flush=True,
        )


def jobs_of(groups: int) -> dict[str, str]:
    """Return different jobs, each of which matches some of the offers."""
    return {
        f"schedd#{n}#user{n % 7}@test": job(
            RequestCpus=1 << n % 5, RequestMemory=500 + n, WantAnnex=str(n % 3 > 0).lower(), AutoClusterId=n
        )
        for n in range(groups)
    }


def machines_of(offers: int) -> dict[str, str]:
    starts = ("true", "TARGET.WantAnnex =?= true", "TARGET.WantAnnex =?= true && TARGET.RequestCpus > 2")
    return {
        f"offer{n}": gpu_machine(8.0 + n, start="TARGET.RequestGPUs > 0")
        if n % 5 == 0
        else machine(starts[n % 3], Cpus=2 << n % 4, Memory=4000 << n % 4)
        for n in range(offers)
    }


async def _measure(jobs: dict[str, str], machines: dict[str, str]) -> dict[str, Taken]:
    matcher = Matcher()
    cold, first = await _timed(matcher, jobs, machines)
    warm, second = await _timed(matcher, jobs, machines)
    changed = {**machines, "offer0": machine("TARGET.RequestMemory > 1000")}
    one_offer, _third = await _timed(matcher, jobs, changed)
    assert first == second, "what is cached differs from what was found"
    assert not first.faults, "an ordinary job was left out"
    return {"cold": cold, "warm": warm, "one changed": one_offer}


async def _timed(matcher: Matcher, jobs: dict[str, str], machines: dict[str, str]) -> tuple[Taken, Matches]:
    lags, workers_kb = [0.0], [0]
    probes = [asyncio.create_task(_probe_loop(lags)), asyncio.create_task(_probe_workers(workers_kb))]
    begin_s, own_s, worker_s = time.monotonic(), time.process_time(), _children_s()
    own_kb = _memory_kb(os.getpid(), "VmRSS")
    matches = await matcher.match(jobs, machines)
    taken = Taken(
        time.monotonic() - begin_s,
        time.process_time() - own_s,
        _children_s() - worker_s,
        max(lags),
        _memory_kb(os.getpid(), "VmRSS") - own_kb,
        max(workers_kb),
    )
    for probe in probes:
        probe.cancel()
    return taken, matches


async def _probe_loop(lags: list[float]) -> None:
    while True:
        begin_s = time.monotonic()
        await asyncio.sleep(PROBE_S)
        lags.append(time.monotonic() - begin_s - PROBE_S)


async def _probe_workers(found_kb: list[int]) -> None:
    while True:
        supervisors = children(os.getpid())
        workers = [*supervisors, *(each for supervisor in supervisors for each in children(supervisor))]
        found_kb.extend(_memory_kb(pid, "VmHWM") for pid in workers)
        await asyncio.sleep(LOOK_S)


def _memory_kb(pid: int, what: str) -> int:
    """Return a figure of /proc/PID/status, 0 for a process that is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{what}:"):
                return int(line.split()[1])
    return 0


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
