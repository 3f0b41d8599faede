"""What it takes to compare many kinds of idle jobs with the offers' machines, and how long annexd's loop waits."""

from __future__ import annotations

import asyncio
import resource
import time
from dataclasses import dataclass

from annexd.demand.matching import Matcher, Matches
from test.demand.ads import gpu_machine, job, machine

PROBE_S = 0.002


@dataclass(frozen=True)
class Taken:
    """What one call of Matcher.match took."""

    wall_s: float
    own_cpu_s: float
    worker_cpu_s: float
    lag_s: float  # the longest time for which the event loop did not run


def compare(groups: int, offers: int) -> None:
    """Measure the first call, with nothing known, and the next two."""
    jobs, machines = jobs_of(groups), machines_of(offers)
    print("", f"{groups} kinds of jobs beside {offers} offers", sep="\n")
    for name, taken in asyncio.run(_measure(jobs, machines)).items():
        print(
            f"{name:12}{taken.wall_s:8.2f} s; CPU: annexd {taken.own_cpu_s:.2f} s, worker {taken.worker_cpu_s:.2f} s; "
            f"the loop was blocked for at most {1000 * taken.lag_s:.0f} ms",
            flush=True,
        )
    own, workers = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"memory      {own / 1024:8.0f} MB at most of this process, {workers / 1024:.0f} MB of a worker")


def jobs_of(groups: int) -> dict[str, str]:
    """Return different jobs, of which each is right for some of the offers."""
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
    lags: list[float] = []
    probe = asyncio.create_task(_probe(lags))
    begin_s, own_s, worker_s = time.monotonic(), time.process_time(), _children_s()
    matches = await matcher.match(jobs, machines)
    taken = Taken(
        time.monotonic() - begin_s, time.process_time() - own_s, _children_s() - worker_s, max(lags, default=0.0)
    )
    probe.cancel()
    return taken, matches


async def _probe(lags: list[float]) -> None:
    while True:
        begin_s = time.monotonic()
        await asyncio.sleep(PROBE_S)
        lags.append(time.monotonic() - begin_s - PROBE_S)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
