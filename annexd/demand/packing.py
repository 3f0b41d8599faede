"""Plan which machines hold the idle jobs: first fit decreasing, the offer that is preferred first.

The plan is the smallest claim that can be made about money: it names how many machines of each offer are needed if
every job runs once at the same time.  An exact packing is out of reach for thousands of jobs, so jobs are placed in
order of their size, each into the first machine with room.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Resources:
    """What a job needs of a machine, or a machine has."""

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
        """Return how many of this fit side by side; None if it needs nothing, so that there is no limit."""
        pairs = (
            (self.cpus, room.cpus),
            (self.memory_mib, room.memory_mib),
            (self.disk_kib, room.disk_kib),
            (self.gpus, room.gpus),
        )
        return min((has // needs for needs, has in pairs if needs > 0), default=None)

    def share_of(self, whole: Self) -> float:
        """Return the largest fraction of any resource; infinite if one is needed that `whole` has none of."""
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


@dataclass(frozen=True)
class MachineKind:
    """A machine that an offer would make.  `rank` overrules the price: the highest is preferred."""

    offer: str
    has: Resources
    micro_dollars_per_hour: int
    max_machines: int
    rank: float = 0.0


@dataclass(frozen=True)
class Plan:
    """How many machines of each offer are needed, and how many jobs of each group got no place, for either reason."""

    machines: Mapping[str, int]
    unfit: Mapping[str, int]  # no offer fits
    above_max: Mapping[str, int]  # one fits, and has as many machines as it may have


Fits = Callable[[JobGroup, MachineKind], bool]  # whether the ClassAds of both match; sizes are compared here as well


def plan(groups: Iterable[JobGroup], kinds: Sequence[MachineKind], fits: Fits) -> Plan:
    """Place every job, largest groups first, into machines that are planned already or into further ones."""
    packing = _Packing(groups, kinds, fits)
    return packing.plan()


@dataclass
class _Machine:
    kind: MachineKind
    room: Resources

    def take(self, needs: Resources, at_most: int) -> int:
        """Place up to `at_most` jobs here, and return how many."""
        times = needs.times_into(self.room)
        taken = at_most if times is None else min(times, at_most)
        self.room = self.room.without(needs, taken)
        return taken


class _Packing:
    def __init__(self, groups: Iterable[JobGroup], kinds: Sequence[MachineKind], fits: Fits) -> None:
        self._fitting = {
            group: [kind for kind in kinds if group.needs.fits_into(kind.has) and fits(group, kind)] for group in groups
        }
        self._machines: list[_Machine] = []
        self._counts: Counter[MachineKind] = Counter()
        self._waiting: dict[MachineKind, float] = dict.fromkeys(kinds, 0.0)  # machines full of jobs without a place
        for group in self._fitting:
            self._add_waiting(group, group.count)

    def plan(self) -> Plan:
        unfit: dict[str, int] = {}
        above_max: dict[str, int] = {}
        for group in sorted(self._fitting, key=self._size, reverse=True):
            left = self._place(group)
            self._add_waiting(group, -left)  # they will not fill any machine
            if left:
                (above_max if self._fitting[group] else unfit)[group.name] = left
        return Plan({kind.offer: count for kind, count in self._counts.items()}, unfit, above_max)

    def _place(self, group: JobGroup) -> int:
        """Return how many jobs of the group are left without a place."""
        left = group.count
        for machine in self._machines:
            if left and machine.kind in self._fitting[group]:
                left -= self._fill(machine, group, left)
        while left and (
            open_kinds := [each for each in self._fitting[group] if self._counts[each] < each.max_machines]
        ):
            kind = min(open_kinds, key=lambda each: self._preference(each, group))
            machine = _Machine(kind, kind.has)
            self._counts[kind] += 1
            self._machines.append(machine)
            left -= self._fill(machine, group, left)
        return left

    def _fill(self, machine: _Machine, group: JobGroup, left: int) -> int:
        taken = machine.take(group.needs, left)
        self._add_waiting(group, -taken)
        return taken

    def _add_waiting(self, group: JobGroup, count: int) -> None:
        for kind in self._fitting[group]:
            self._waiting[kind] += count * group.needs.share_of(kind.has)

    def _preference(self, kind: MachineKind, group: JobGroup) -> tuple[float, float, str]:
        """Order by rank, then by the price of a job's part of the machine, as full as all waiting jobs will make it.

        Without the others a large machine would never pay for many groups of one job each.
        """
        share = group.needs.share_of(kind.has)
        use = max(min(self._waiting[kind], 1.0), share)
        return -kind.rank, kind.micro_dollars_per_hour * share / use if use else 0.0, kind.offer

    def _size(self, group: JobGroup) -> tuple[float, str]:
        """Return the part that it takes of the machine that suits it best."""
        return min((group.needs.share_of(kind.has) for kind in self._fitting[group]), default=0.0), group.name
