"""One negotiation, which puts idle jobs into rooms as the pool's negotiator and a negotiator of ghosts do.

Users take turns; the one with the fewest cores is first.  A user's jobs come in the order of their arrival.  A job goes
where the least is left, as the default of NEGOTIATOR_PRE_JOB_RANK has it.  When one job of a kind finds no room, the
others like it are not tried again in this negotiation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from annexd.demand.packing import Resources
from test.bench.demand.trace import Shape, TraceJob, TraceOffer


@dataclass
class Rooms:
    """Machines with something left, by offer and by what is left; machines with the same key are alike."""

    _by_left: dict[tuple[TraceOffer, Resources], list[Hashable]] = field(default_factory=dict)

    def add(self, offer: TraceOffer, left: Resources, machine: Hashable) -> None:
        self._by_left.setdefault((offer, left), []).append(machine)

    def take(self, shape: Shape) -> tuple[TraceOffer, Hashable] | None:
        """Take the shape's part of the machine that it fills best; None if there is no room."""
        fitting = [key for key in self._by_left if key[0].runs(shape) and shape.needs.fits_into(key[1])]
        if not fitting:
            return None
        offer, left = min(fitting, key=lambda key: (key[1].gpus, key[1].cpus, key[1].memory_mib, key[0].name))
        machines = self._by_left[offer, left]
        machine = machines.pop()
        if not machines:
            del self._by_left[offer, left]
        self.add(offer, left.without(shape.needs), machine)
        return offer, machine


@dataclass
class Rights:
    """The cores that users have, and their limits."""

    used: Counter[str]
    quotas: Mapping[str, int]
    offered: int | None = None  # jobs of a user and schedd in one negotiation

    def allows(self, job: TraceJob) -> bool:
        quota = self.quotas.get(job.user)
        return quota is None or self.used[job.user] + job.shape.needs.cpus <= quota


Match = tuple[TraceJob, TraceOffer, Hashable]


def negotiate(idle: Iterable[TraceJob], rooms: Rooms, rights: Rights) -> Iterator[Match]:
    """Yield the matches, and update the rooms and the users' cores."""
    lines: dict[str, list[TraceJob]] = {}
    for job in idle:
        lines.setdefault(job.user, []).append(job)
    asking = {user: _of_user(jobs, rooms, rights) for user, jobs in lines.items()}
    while asking:
        user = min(asking, key=lambda each: (rights.used[each], each))
        match = next(asking[user], None)
        if match is None:
            del asking[user]
        else:
            yield match


def _of_user(jobs: Sequence[TraceJob], rooms: Rooms, rights: Rights) -> Iterator[Match]:
    refused: set[Shape] = set()
    offered: Counter[str] = Counter()
    for job in jobs:
        if job.shape in refused or offered[job.schedd] == rights.offered:
            continue
        offered[job.schedd] += 1
        room = rooms.take(job.shape) if rights.allows(job) else None
        if room is None:
            refused.add(job.shape)
        else:
            rights.used[job.user] += job.shape.needs.cpus
            yield job, *room
