"""The machines and the queue of a pool in virtual time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from annexd.demand.packing import Resources
from test.bench.demand.trace import Pool, Shape, TraceJob, TraceOffer


@dataclass(eq=False)
class Machine:
    """An ordered machine; `left` is what no job has taken, and `unused_since_s` is None while it runs jobs."""

    offer: TraceOffer
    ordered_s: int
    left: Resources
    joined: bool = False
    unused_since_s: int | None = None
    running: dict[int, TraceJob] = field(default_factory=dict)

    def start(self, job: TraceJob) -> None:
        self.left = self.left.without(job.shape.needs)
        self.running[job.number] = job
        self.unused_since_s = None

    def stop(self, job: TraceJob, now_s: int) -> None:
        del self.running[job.number]
        self.left = self.left.without(job.shape.needs, -1)
        if not self.running:
            self.unused_since_s = now_s


@dataclass
class Idle:
    """A job in the queue, and the time since when it is idle."""

    job: TraceJob
    since_s: int


@dataclass
class Queue:
    """Idle jobs in the order of their arrival."""

    _idle: dict[int, Idle] = field(default_factory=dict)

    def put(self, job: TraceJob, since_s: int) -> None:
        self._idle[job.number] = Idle(job, since_s)

    def take(self, job: TraceJob) -> bool:
        """Remove a job, and return whether it was in the queue."""
        return self._idle.pop(job.number, None) is not None

    def since_s(self, job: TraceJob) -> int | None:
        found = self._idle.get(job.number)
        return None if found is None else found.since_s

    def __iter__(self) -> Iterator[TraceJob]:
        return (self._idle[number].job for number in sorted(self._idle))

    def __len__(self) -> int:
        return len(self._idle)

    def older(self, since_s: int) -> Iterator[Idle]:
        return (each for each in self._idle.values() if each.since_s <= since_s)

    def next_like(self, job: TraceJob) -> TraceJob | None:
        """Return the first job that can reuse a claim of this one: a job of the same user, schedd and shape."""
        alike = (
            number
            for number, each in self._idle.items()
            if each.job.shape == job.shape and (each.job.user, each.job.schedd) == (job.user, job.schedd)
        )
        first = min(alike, default=None)
        return None if first is None else self._idle[first].job


@dataclass
class Bill:
    """The cost of the machines that have ended."""

    pool: Pool
    micro_dollars: float = 0.0
    machines: Counter[str] = field(default_factory=Counter)

    def add(self, machine: Machine, ended_s: int) -> None:
        seconds = max(ended_s - machine.ordered_s, self.pool.minimum_s)
        self.micro_dollars += seconds * machine.offer.micro_dollars_per_hour / 3600
        self.machines[machine.offer.name] += 1


def likeness(job: TraceJob) -> tuple[str, str, Shape]:
    return job.user, job.schedd, job.shape


def machine_of(room: Hashable) -> Machine:
    assert isinstance(room, Machine)
    return room
