"""The limit: a proved lower bound of the cost under any rule that lets no job wait longer than promised.

Even with all run times and arrivals known, nobody can pay less.  A machine is paid for from its order to its end: its
boot, the span in which it has jobs, and its idle shutdown.  Boot and shutdown are the same for all.  Give each job j a
value v_j, in dollars an hour, so that the values of jobs that fit one machine together are at most its price.  Then

* all spans together cost at least the sum of v_j times the run time of j; the values may change with time, if each job
  counts as if it ran where it is worth the least between arrival and promise;
* in a stretch of time in which each job j must run at least e_j seconds, wherever it is placed between arrival and
  promise, the machines that exist have a price of at least the sum of v_j e_j, divided by the stretch.  Each of these
  machines boots and shuts down once.  Stretches so far apart that no machine lives from one to the next count
  separately.

Allowed values are a machine's price times a function of the part of it that the job takes, the least of the offers that
can run the job.  The functions used are the part of one resource, averages of such parts, and dual feasible functions
(S. P. Fekete and J. Schepers, "New classes of fast lower bounds for bin packing problems", Mathematical Programming 91,
2001), which show that two jobs of 60 % need two machines.  The best of them is taken, separately for jobs with and
without GPUs, since no machine runs both.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from annexd.demand.packing import Resources
from test.bench.demand.trace import Pool, Shape, Trace, TraceJob

STRETCHES_S: Final = (1, 300, 700, 1500, 3600, 10_800)
BEGINS: Final = 100
SLAB_S: Final = 900
Part = Callable[[Resources, Resources], float]  # the part of a machine that a job takes
Values = Mapping[Shape, float]


@dataclass(frozen=True)
class _Window:
    """A job, and the first and the last second at which it may start."""

    job: TraceJob
    first_s: int
    last_s: int

    @property
    def end_s(self) -> int:
        return self.last_s + self.job.runs_s

    def must_run_s(self, begin_s: int, end_s: int) -> int:
        """Return the least time that it runs between the two, wherever it starts."""
        runs_s = self.job.runs_s
        return max(0, min(runs_s, end_s - begin_s, self.first_s + runs_s - begin_s, end_s - self.last_s))

    def least(self, worth: Sequence[float]) -> float:
        """Return the least worth of its run, which is linear in the start between the slabs' edges."""
        edges = range(self.first_s // SLAB_S + 1, self.end_s // SLAB_S + 1)
        turns = {edge * SLAB_S - before_s for edge in edges for before_s in (0, self.job.runs_s)}
        starts = [self.first_s, self.last_s, *(at_s for at_s in turns if self.first_s < at_s < self.last_s)]
        return min(_until(start_s + self.job.runs_s, worth) - _until(start_s, worth) for start_s in starts)


def least_dollars(trace: Trace, promise_s: int, pool: Pool | None = None) -> float:
    """Return the bound for rules under which each job starts within `promise_s` of its arrival or release."""
    pool = pool or Pool()
    windows = sorted((_window(job, promise_s) for job in trace.possible()), key=lambda each: each.first_s)
    sorts = [[each for each in windows if bool(each.job.shape.needs.gpus) == gpus] for gpus in (False, True)]
    return sum(_of_sort(sort, trace, pool) for sort in sorts if sort)


def _window(job: TraceJob, promise_s: int) -> _Window:
    released_s = job.held[1] if job.held else job.arrives_s
    return _Window(job, job.arrives_s, released_s + promise_s)


def _of_sort(windows: Sequence[_Window], trace: Trace, pool: Pool) -> float:
    shapes = {each.job.shape for each in windows}
    values = [_values(shapes, trace, part) for part in _parts()]
    spans = _spans(windows, values)
    rates = sum(_rate(episode, values) for episode in _episodes(windows, pool.shutdown_s))
    span_s = max(each.end_s for each in windows) - min(each.first_s for each in windows)
    shutdown_s = pool.shutdown_s if span_s + pool.boot_s < pool.lease_s else 0  # a lease may end first
    return (spans + rates * (pool.boot_s + shutdown_s)) / 3600 / 1e6


def _spans(windows: Sequence[_Window], values: Sequence[Values]) -> float:
    """Return the least cost of all spans, with the best values in each slab of time."""
    work_s: dict[int, dict[Shape, int]] = {}
    for each in windows:
        begin_s = (each.first_s + each.last_s) // 2
        for slab in range(begin_s // SLAB_S, (begin_s + each.job.runs_s) // SLAB_S + 1):
            seconds = min(begin_s + each.job.runs_s, (slab + 1) * SLAB_S) - max(begin_s, slab * SLAB_S)
            of_slab = work_s.setdefault(slab, {})
            of_slab[each.job.shape] = of_slab.get(each.job.shape, 0) + seconds
    last = max(each.end_s for each in windows) // SLAB_S
    best = [max(values, key=lambda value: _worth(value, work_s.get(slab, {}))) for slab in range(last + 1)]
    worth = {
        shape: [0.0, *itertools.accumulate(value[shape] * SLAB_S for value in best)]
        for shape in {each.job.shape for each in windows}
    }
    changing = sum(each.least(worth[each.job.shape]) for each in windows)
    constant = max(sum(value[each.job.shape] * each.job.runs_s for each in windows) for value in values)
    return max(changing, constant)


def _worth(value: Values, work_s: Mapping[Shape, int]) -> float:
    return sum(value[shape] * seconds for shape, seconds in work_s.items())


def _until(at_s: int, worth: Sequence[float]) -> float:
    """Return the worth of running from the beginning until then; `worth` has it for the slabs' edges."""
    slab, rest_s = divmod(at_s, SLAB_S)
    if not rest_s:
        return worth[slab]
    return worth[slab] + (worth[slab + 1] - worth[slab]) * rest_s / SLAB_S


def _values(shapes: set[Shape], trace: Trace, part: Part) -> Values:
    return {
        shape: min(
            offer.micro_dollars_per_hour * part(shape.needs, offer.has) for offer in trace.offers if offer.runs(shape)
        )
        for shape in shapes
    }


def _parts() -> Iterator[Part]:
    resources: Sequence[Part] = [
        lambda needs, has: needs.cpus / has.cpus,
        lambda needs, has: needs.memory_mib / has.memory_mib,
        lambda needs, has: needs.gpus / has.gpus if has.gpus else 0.0,
    ]
    for one in resources:
        yield one
        for steps in range(1, 5):
            yield lambda needs, has, one=one, steps=steps: _rounded(one(needs, has), steps)  # type: ignore[misc]
    for weight in (0.25, 0.5, 0.75):
        yield lambda needs, has, weight=weight: (  # type: ignore[misc]
            weight * resources[0](needs, has) + (1 - weight) * resources[1](needs, has)
        )


def _rounded(part: float, steps: int) -> float:
    """Apply the dual feasible function u^(k) of Fekete and Schepers."""
    scaled = part * (steps + 1)
    return part if math.isclose(scaled, round(scaled)) else math.floor(scaled) / steps


def _episodes(windows: Sequence[_Window], shutdown_s: int) -> Iterator[list[_Window]]:
    """Divide them at gaps in which no job can run and that are longer than a machine stays without a job."""
    episode: list[_Window] = []
    end_s = 0
    for each in windows:
        if episode and each.first_s > end_s + shutdown_s:
            yield episode
            episode = []
        episode.append(each)
        end_s = max(end_s, each.end_s)
    if episode:
        yield episode


def _rate(episode: Sequence[_Window], values: Sequence[Values]) -> float:
    """Return the price of all machines that must exist in the most demanding stretch, in micro-dollars an hour."""
    return max(_rate_of(begin_s, end_s, episode, values) for begin_s, end_s in _stretches(episode))


def _stretches(episode: Sequence[_Window]) -> set[tuple[int, int]]:
    """Return the stretches to try: those from arrivals and promises on, and those in which a whole submission runs."""
    begins = sorted({begin_s for each in episode for begin_s in (each.first_s, each.last_s)})
    begins = begins[:: max(1, len(begins) // BEGINS)]  # any choice proves a bound
    ends: dict[int, int] = {}
    for each in episode:
        ends[each.first_s] = max(ends.get(each.first_s, 0), each.end_s)
    return {(begin_s, begin_s + stretch_s) for begin_s in begins for stretch_s in STRETCHES_S} | set(ends.items())


def _rate_of(begin_s: int, end_s: int, episode: Sequence[_Window], values: Sequence[Values]) -> float:
    run_s: dict[Shape, int] = {}
    for each in episode:
        if each.first_s >= end_s:
            break
        run_s[each.job.shape] = run_s.get(each.job.shape, 0) + each.must_run_s(begin_s, end_s)
    return max(_worth(value, run_s) for value in values) / (end_s - begin_s)
