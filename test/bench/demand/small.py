"""A few long jobs of each mix that arrive at once: few enough to find the best of all plans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Final

from annexd.demand.packing import Resources
from test.bench.demand.mixes import MIXES
from test.bench.demand.trace import Trace, TraceJob, TraceOffer

JOBS: Final = 7
RUNS_S: Final = 4 * 3600
QUOTA: Final = 2


def handful(mix: str, seed: int) -> Trace:
    """Return up to seven jobs of a mix; they arrive together, and run so long that each needs a place of its own."""
    trace = MIXES[mix](seed)
    random = Random(f"handful {mix} {seed}")  # noqa: S311  a repeatable choice, not a secret
    chosen = random.sample(trace.jobs, min(JOBS, len(trace.jobs)))
    jobs = tuple(_at_once(job, number) for number, job in enumerate(chosen))
    return replace(trace, jobs=jobs, quotas=dict.fromkeys(trace.quotas, QUOTA))


def _at_once(job: TraceJob, number: int) -> TraceJob:
    held = (job.held[0] - job.arrives_s, job.held[1] - job.arrives_s) if job.held else None
    return replace(job, number=number, arrives_s=0, runs_s=RUNS_S, held=held)


def least_price(trace: Trace) -> int:
    """Return the price of the best of all plans for the jobs that may run at once, found by trying every one."""
    return min(sum(prices) for prices in _plans(at_once(trace), trace.offers))


def _plans(jobs: Sequence[TraceJob], offers: Sequence[TraceOffer]) -> Iterator[list[int]]:
    """Yield each way to divide jobs among machines, as the prices of the machines, each the cheapest that will do."""
    for parts in _partitions(jobs):
        prices = [_price(part, offers) for part in parts]
        if None not in prices:
            yield [price for price in prices if price is not None]


def _partitions(jobs: Sequence[TraceJob]) -> Iterator[list[list[TraceJob]]]:
    if not jobs:
        yield []
        return
    first, *rest = jobs
    for parts in _partitions(rest):
        yield [[first], *parts]
        for number, part in enumerate(parts):
            yield [*parts[:number], [first, *part], *parts[number + 1 :]]


def _price(part: Sequence[TraceJob], offers: Sequence[TraceOffer]) -> int | None:
    needs = sum_of(part)
    prices = (
        offer.micro_dollars_per_hour
        for offer in offers
        if needs.fits_into(offer.has) and all(offer.runs(job.shape) for job in part)
    )
    return min(prices, default=None)


def sum_of(jobs: Sequence[TraceJob]) -> Resources:
    needs = Resources(0, 0)
    for job in jobs:
        needs = needs.without(job.shape.needs, -1)
    return needs


def at_once(trace: Trace) -> list[TraceJob]:
    """Return the possible jobs that quotas let run at the same time."""
    left = dict(trace.quotas)
    jobs = []
    for job in trace.possible():
        if job.user in left:
            left[job.user] -= job.shape.needs.cpus
        if left.get(job.user, 0) >= 0:
            jobs.append(job)
    return jobs
