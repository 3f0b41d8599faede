"""Twelve mixes of jobs, each as a function of a seed.

Prices are the list prices of on-demand instances in us-east-1; only their ratios matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from annexd.demand.packing import Resources
from test.bench.demand.trace import MAIN, Shape, Trace, TraceJob, TraceOffer
from test.bench.demand.workload import DAY_S, alike, arrivals, bag, cores, run_time_s

GIB: Final = 1024
SMALL: Final = TraceOffer("m5.large", Resources(2, 8 * GIB), 96_000)
MEDIUM: Final = TraceOffer("m5.2xlarge", Resources(8, 32 * GIB), 384_000)
LARGE: Final = TraceOffer("m5.8xlarge", Resources(32, 128 * GIB), 1_536_000)
MEMORY: Final = TraceOffer("r5.2xlarge", Resources(8, 64 * GIB), 504_000)
T4: Final = TraceOffer("g4dn.2xlarge", Resources(8, 32 * GIB, gpus=1), 752_000, capability=7.5)
L4: Final = TraceOffer("g6.12xlarge", Resources(48, 192 * GIB, gpus=4), 4_602_000, capability=8.9)
CPU_OFFERS: Final = (SMALL, MEDIUM, LARGE)
LONGEST_HOLD_S: Final = 3600
OFFERED: Final = 20
QUOTA: Final = 64


@dataclass(frozen=True)
class Source:
    """Submissions of one user; each has a newly drawn shape and at most `most` jobs."""

    shape: Callable[[Random], Shape]
    most: int
    user: str = "alice"
    schedd: str = MAIN
    longest_s: int = 10 * 3600
    span_s: int = DAY_S

    def jobs(self, random: Random) -> Iterator[TraceJob]:
        for arrives_s in arrivals(random, self.span_s):
            shape = self.shape(random)
            runs_s = run_time_s(random, shape.needs.cpus, self.longest_s)
            for _ in range(bag(random, self.most)):
                yield TraceJob(0, self.user, self.schedd, shape, arrives_s, alike(random, runs_s))


def plain(_random: Random) -> Shape:
    return Shape(Resources(1, 2 * GIB))


def sized(random: Random) -> Shape:
    """Draw a shape with as many cores as the model says, up to a whole MEDIUM machine."""
    number = cores(random, 8)
    return Shape(Resources(number, 2 * GIB * number))


def whole(random: Random) -> Shape:
    return Shape(random.choice([MEDIUM, LARGE]).has)


def heavy(random: Random) -> Shape:
    return Shape(Resources(random.choice([1, 2]), random.choice([12, 20, 28, 40, 60]) * GIB))


def gpu(random: Random) -> Shape:
    return Shape(Resources(random.choice([1, 2, 4]), 8 * GIB, gpus=1), random.choice([0.0, 7.0, 8.0]))


def several_gpus(random: Random) -> Shape:
    return Shape(Resources(4, 16 * GIB, gpus=random.choice([2, 4])), 8.0)


def impossible(random: Random) -> Shape:
    return random.choice(
        [Shape(Resources(96, 8 * GIB)), Shape(Resources(1, 900 * GIB)), Shape(Resources(4, 8 * GIB, gpus=1), 12.0)]
    )


def unlike(random: Random) -> Shape:
    """Draw one of some thousand shapes: each submission is an autocluster of its own."""
    return Shape(Resources(random.choice([1, 1, 1, 2, 4]), random.randrange(500, 9_000, 7)))


def _trace(name: str, seed: int, sources: Iterable[Source], offers: Sequence[TraceOffer]) -> Trace:
    random = Random(f"{name} {seed}")  # noqa: S311  a repeatable trace, not a secret
    jobs = sorted((job for source in sources for job in source.jobs(random)), key=lambda job: job.arrives_s)
    return Trace(name, tuple(replace(job, number=number) for number, job in enumerate(jobs)), tuple(offers))


def _floods(seed: int) -> Trace:
    return _trace("one-core floods", seed, [Source(plain, 300)], CPU_OFFERS)


def _whole(seed: int) -> Trace:
    return _trace("whole machines", seed, [Source(whole, 12), Source(sized, 20)], CPU_OFFERS)


def _gpus(seed: int) -> Trace:
    sources = [Source(gpu, 12), Source(several_gpus, 4), Source(plain, 60)]
    return _trace("GPUs", seed, sources, (SMALL, MEDIUM, T4, L4))


def _memory(seed: int) -> Trace:
    return _trace("memory-heavy", seed, [Source(heavy, 40), Source(plain, 40)], (SMALL, MEDIUM, MEMORY))


def _impossible(seed: int) -> Trace:
    return _trace("impossible ones", seed, [Source(impossible, 40), Source(plain, 60)], (*CPU_OFFERS, T4))


def _two_users(seed: int) -> Trace:
    return _trace("two users", seed, [Source(plain, 300), Source(sized, 10, "bob")], CPU_OFFERS)


def _quota(seed: int) -> Trace:
    trace = _trace("a user over the quota", seed, [Source(plain, 60), Source(sized, 10, "bob")], CPU_OFFERS)
    return replace(trace, quotas={"alice": QUOTA})


def _autoclusters(seed: int) -> Trace:
    sources = [Source(unlike, 2, f"user{number}") for number in range(8)]
    return _trace("many autoclusters", seed, sources, (SMALL, MEDIUM, MEMORY))


def _short(seed: int) -> Trace:
    return _trace("short jobs", seed, [Source(plain, 300, longest_s=600)], CPU_OFFERS)


def _flocked(seed: int) -> Trace:
    return _trace("flocked jobs", seed, [Source(plain, 60), Source(sized, 30, "carol", "ap2")], CPU_OFFERS)


def _held(seed: int) -> Trace:
    trace = _trace("held and released", seed, [Source(sized, 60)], CPU_OFFERS)
    random = Random(f"holds {seed}")  # noqa: S311
    return replace(trace, jobs=tuple(_maybe_held(random, job) for job in trace.jobs))


def _maybe_held(random: Random, job: TraceJob) -> TraceJob:
    if random.random() > 0.5:
        return job
    at_s = job.arrives_s + random.randrange(LONGEST_HOLD_S // 4)
    return replace(job, held=(at_s, at_s + random.randrange(60, LONGEST_HOLD_S)))


def _offered(seed: int) -> Trace:
    trace = _trace("20-job limit", seed, [Source(plain, 300), Source(gpu, 4)], (*CPU_OFFERS, T4, L4))
    return replace(trace, offered=OFFERED)


MIXES: Final[Mapping[str, Callable[[int], Trace]]] = {
    make(0).name: make
    for make in (
        _floods,
        _whole,
        _gpus,
        _memory,
        _impossible,
        _two_users,
        _quota,
        _autoclusters,
        _short,
        _flocked,
        _held,
        _offered,
    )
}
