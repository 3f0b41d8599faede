"""Plan which machines run the idle jobs: first fit decreasing, preferred offers first.

The plan is the least that can be said about the cost: how many machines of each offer are needed if every job runs once
at the same time.  An exact packing is out of reach for thousands of jobs, so jobs are placed in order of their size,
each into the first machine with room.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True)
class Resources:
    """The resources that a job needs, or a machine has."""

    cpus: int
    memory_mib: int
    disk_kib: int = 0
    gpus: int = 0

    def fits_into(self, room: Self) -> bool:
        return (
            self.cpus <= room.cpus
            and self.memory_mib <= room.memory_mib
            and self.disk_kib <= room.disk_kib
            and self.gpus <= room.gpus
        )

    def without(self, part: Self, times: int = 1) -> Self:
        return type(self)(
            self.cpus - times * part.cpus,
            self.memory_mib - times * part.memory_mib,
            self.disk_kib - times * part.disk_kib,
            self.gpus - times * part.gpus,
        )

    def times_into(self, room: Self) -> int | None:
        """Return how many of these fit side by side; None, for no limit, if they need nothing."""
        pairs = (
            (self.cpus, room.cpus),
            (self.memory_mib, room.memory_mib),
            (self.disk_kib, room.disk_kib),
            (self.gpus, room.gpus),
        )
        return min((has // needs for needs, has in pairs if needs > 0), default=None)

    def share_of(self, whole: Self) -> float:
        """Return the largest fraction of any resource; infinite if `whole` lacks a needed one."""
        pairs = (
            (self.cpus, whole.cpus),
            (self.memory_mib, whole.memory_mib),
            (self.disk_kib, whole.disk_kib),
            (self.gpus, whole.gpus),
        )
        return max((needs / has if has > 0 else float("inf") for needs, has in pairs if needs > 0), default=0.0)


@dataclass(frozen=True)
class JobGroup:
    """Idle jobs that are alike: an autocluster of a schedd."""

    name: str
    count: int
    needs: Resources
    may_add: bool = True  # False: the jobs are placed in existing machines only


@dataclass(frozen=True)
class MachineKind:
    """Machines that are alike: `present` empty ones, and up to `max_machines` that an offer would add.

    `rank` takes precedence over the price: the highest is preferred.
    """

    offer: str
    has: Resources
    micro_dollars_per_hour: int
    max_machines: int
    rank: float = 0.0
    present: int = 0


@dataclass(frozen=True)
class Plan:
    """The number of machines needed of each offer, and of jobs of each group without a place, by reason."""

    machines: Mapping[str, int]
    unfit: Mapping[str, int]  # no offer fits
    above_max: Mapping[str, int]  # an offer fits, but has reached its maximum
    placed: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # jobs of each group, by MachineKind.offer


Fits = Callable[[JobGroup, MachineKind], bool]  # whether the ClassAds of both match; sizes are compared here as well


def plan(groups: Iterable[JobGroup], kinds: Sequence[MachineKind], fits: Fits) -> Plan:
    """Place every job, largest groups first, into machines that are planned already or into further ones."""
    packing = _Packing(groups, kinds, fits)
    return packing.plan()


class _Packing:
    def __init__(self, groups: Iterable[JobGroup], kinds: Sequence[MachineKind], fits: Fits) -> None:
        self._kinds = kinds
        self._fitting = {
            group: [n for n, kind in enumerate(kinds) if group.needs.fits_into(kind.has) and fits(group, kind)]
            for group in groups
        }
        self._counts = [0] * len(kinds)
        self._rooms: list[dict[Resources, int]] = [{} for _ in kinds]  # number of machines with the same room
        self._placed: dict[str, dict[str, int]] = {}
        self._waiting = [0.0] * len(kinds)  # machines that jobs without a place could fill
        self._fewest_cpus = min((group.needs.cpus for group in self._fitting), default=0)
        self._least_memory_mib = min((group.needs.memory_mib for group in self._fitting), default=0)
        for group in self._fitting:
            self._add_waiting(group, group.count)
        for number, kind in enumerate(kinds):
            self._keep(number, kind.has, kind.present)

    def plan(self) -> Plan:
        unfit: dict[str, int] = {}
        above_max: dict[str, int] = {}
        for group in sorted(self._fitting, key=self._size, reverse=True):
            left = self._fill_rooms(group, group.count)
            left = self._add_machines(group, left) if group.may_add else left
            self._add_waiting(group, -group.count)  # placed, or they will not fill any machine
            if left:
                has_offer = any(self._kinds[number].max_machines for number in self._fitting[group])
                (above_max if has_offer else unfit)[group.name] = left
        machines = {kind.offer: count for kind, count in zip(self._kinds, self._counts, strict=True) if count}
        return Plan(machines, unfit, above_max, self._placed)

    def _fill_rooms(self, group: JobGroup, left: int) -> int:
        """Place jobs into machines that are already planned; return how many are left."""
        for number in self._fitting[group]:
            for room in list(self._rooms[number]):
                while left and room in self._rooms[number] and group.needs.fits_into(room):
                    left -= self._fill(number, room, group, left)
        return left

    def _add_machines(self, group: JobGroup, left: int) -> int:
        """Place jobs into further machines; return how many are left."""
        placed = group.count - left
        while left:
            free = [n for n in self._fitting[group] if self._counts[n] < self._kinds[n].max_machines]
            if not free:
                break
            number = min(free, key=lambda each: self._preference(each, group, placed))
            kind = self._kinds[number]
            self._counts[number] += 1
            self._keep(number, kind.has)
            taken = self._fill(number, kind.has, group, left)
            left, placed = left - taken, placed + taken
        return left

    def _fill(self, number: int, room: Resources, group: JobGroup, left: int) -> int:
        """Place up to `left` jobs into one machine with this room, and return how many."""
        times = group.needs.times_into(room)
        taken = left if times is None else min(times, left)
        rooms = self._rooms[number]
        rooms[room] -= 1
        if not rooms[room]:
            del rooms[room]
        self._keep(number, room.without(group.needs, taken))
        placed, offer = self._placed.setdefault(group.name, {}), self._kinds[number].offer
        placed[offer] = placed.get(offer, 0) + taken
        return taken

    def _keep(self, number: int, room: Resources, machines: int = 1) -> None:
        """Remember the remaining room of machines, unless no job at all can use it."""
        if machines and room.cpus >= self._fewest_cpus and room.memory_mib >= self._least_memory_mib:
            rooms = self._rooms[number]
            rooms[room] = rooms.get(room, 0) + machines

    def _add_waiting(self, group: JobGroup, count: int) -> None:
        for number in self._fitting[group]:
            self._waiting[number] += count * group.needs.share_of(self._kinds[number].has)

    def _preference(self, number: int, group: JobGroup, placed: int) -> tuple[float, int, int, str]:
        """Order by rank, then by the price of a job's part of the machine, filled by all waiting jobs.

        Without the other jobs a large machine would never pay off for many groups of one job each.  At the same price
        the smaller machine wins: it ends when its own few jobs end, while a large one keeps running for the last of
        many (docs/performance.md: a tenth to a fifth of the cost).
        """
        kind = self._kinds[number]
        share = group.needs.share_of(kind.has)
        use = max(min(self._waiting[number] - placed * share, 1.0), share)
        price = round(kind.micro_dollars_per_hour * share / use) if use else 0
        return -kind.rank, price, kind.micro_dollars_per_hour, kind.offer

    def _size(self, group: JobGroup) -> tuple[float, str]:
        """Return its share of the machine that suits it best."""
        shares = (group.needs.share_of(self._kinds[number].has) for number in self._fitting[group])
        return min(shares, default=0.0), group.name
