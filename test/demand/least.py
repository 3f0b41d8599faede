"""The cheapest machines that hold some jobs at once, found by trying every way to fill them.

This checks the plans of annexd/demand/packing.py, so it shares no code with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

Sizes = tuple[int, ...]  # cores, MiB of memory, GPUs


@dataclass(frozen=True)
class Need:
    """A job's request, and the offers whose machines may run it; without any it never runs."""

    sizes: Sizes
    offers: frozenset[str]


@dataclass(frozen=True)
class Machine:
    """The resources and the price of each machine of an offer."""

    offer: str
    sizes: Sizes
    price: int


@dataclass(frozen=True, order=True)
class Least:
    """The price of the cheapest set of machines, and the size of the smallest set at that price."""

    price: int = 0
    machines: int = 0

    def with_one(self, machine: Machine) -> Least:
        return Least(self.price + machine.price, self.machines + 1)


def least(jobs: Mapping[Need, int], machines: Sequence[Machine]) -> Least:
    """Return the cheapest machines for all jobs that some machine can run, if they run at the same time."""
    needs = [need for need in jobs if any(_times(need, machine) for machine in machines)]

    @cache
    def of(left: Sizes) -> Least:
        """Try each machine in each filling with a job of the first kind left, since some machine must have one."""
        first = next((number for number, count in enumerate(left) if count), None)
        if first is None:
            return Least()
        return min(
            of(tuple(count - taken for count, taken in zip(left, filling, strict=True))).with_one(machine)
            for machine in machines
            for filling in _fillings(machine, needs, left)
            if filling[first]
        )

    return of(tuple(jobs[need] for need in needs))


def _fillings(machine: Machine, needs: Sequence[Need], left: Sizes) -> Iterator[Sizes]:
    """Yield the numbers of jobs of each kind that a machine may have when no other job fits beside them."""
    for filling, room in _combinations(machine, needs, left):
        rest = zip(needs, left, filling, strict=True)
        if not any(count > taken and _times(need, room) for need, count, taken in rest):
            yield filling


def _combinations(machine: Machine, needs: Sequence[Need], left: Sizes) -> Iterator[tuple[Sizes, Machine]]:
    if not needs:
        yield (), machine
        return
    for taken in range(min(left[0], _times(needs[0], machine)) + 1):
        room = tuple(has - taken * part for has, part in zip(machine.sizes, needs[0].sizes, strict=True))
        rest = Machine(machine.offer, room, machine.price)
        for others, at_last in _combinations(rest, needs[1:], left[1:]):
            yield (taken, *others), at_last


def _times(need: Need, machine: Machine) -> int:
    """Return how many such jobs fit side by side."""
    if machine.offer not in need.offers:
        return 0
    return min(has // part for has, part in zip(machine.sizes, need.sizes, strict=True) if part)
