"""The interface between the simulation and the rules: a rule's view of a pool, and its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from annexd.demand.packing import Resources
from test.bench.demand.trace import Shape, TraceOffer


@dataclass(frozen=True)
class IdleJobs:
    """Idle jobs of one user and schedd that are alike and old enough; `since_s` has an entry for each."""

    user: str
    schedd: str
    autocluster: int
    shape: Shape
    since_s: tuple[int, ...]

    @property
    def count(self) -> int:
        return len(self.since_s)

    def older(self, since_s: int) -> int:
        return sum(each <= since_s for each in self.since_s)


@dataclass(frozen=True)
class OfferView:
    """The machines of one offer: on their way, in the pool without a job, and in the pool with something left."""

    offer: TraceOffer
    flying: int
    unused: int
    busy: int
    left: Mapping[Resources, int]

    @property
    def living(self) -> int:
        return self.flying + self.unused + self.busy


@dataclass(frozen=True)
class View:
    """All facts that a rule may use.  `ghosts` returns a negotiator's matches for ghosts, by offer and autocluster."""

    now_s: int
    groups: Sequence[IdleJobs]
    soon: Sequence[IdleJobs]  # the groups, and those that will be old enough at the next decision
    offers: Sequence[OfferView]
    ghosts: Callable[[Mapping[str, int]], Mapping[str, Mapping[tuple[str, int], int]]]
    offered: int | None


Rule = Callable[[View], Mapping[str, int]]  # machines to order by offer; a fresh rule for each simulation
