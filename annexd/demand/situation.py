"""The input and the result of a decision: offers, free slots, groups of idle jobs, and what is confirmed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from annexd.demand.packing import Resources

FLIGHT: Final = "in flight"
Fit = Callable[[str, str], bool]  # whether the ClassAds of a group and of a machine match, by their keys

YOUNG: Final = "Young"  # not idle for long enough yet, but already shown to the negotiator
COVERED: Final = "Covered"
IN_FLIGHT: Final = "InFlight"
ORDERING: Final = "Ordering"
STEP: Final = "Step"
CAP: Final = "Cap"
CLOSED: Final = "Closed"  # the matching offers take no orders now
NOT_CONFIRMED: Final = "NotConfirmed"
NO_OFFER: Final = "NoOffer"
NOT_KNOWN: Final = "NotKnown"  # the data is too old or incomplete
LEFT_OUT: Final = "LeftOut"  # the jobs cannot be evaluated


@dataclass(frozen=True)
class WaitingGroup:
    """Idle jobs that are alike and old enough.  `needs` None: they cannot be evaluated, and `fault` says why.

    No machine is ordered for a group with a `fault`; with `needs` it still takes its place in existing slots.
    `is_young`: none of its jobs is known to be old enough for an offer, so only a negotiator's matches cause orders for
    them.
    """

    key: str
    schedd: str
    autocluster: int
    count: int
    needs: Resources | None
    fault: str = ""
    is_young: bool = False


@dataclass(frozen=True)
class FreeRoom:
    """Alike slots of the pool that jobs could take now."""

    key: str
    has: Resources
    count: int


@dataclass(frozen=True)
class OfferNow:
    """An offer at the time of a decision; `has` None: nothing is known about its machines, and `closed` says why."""

    name: str
    has: Resources | None
    micro_dollars_per_hour: int
    max_machines: int
    step: int
    rank: float = 0.0
    living: int = 0  # machines, including those in flight
    in_flight: int = 0  # ordered, but not in the pool yet
    closed: str = ""  # why it takes no orders now


@dataclass(frozen=True)
class Confirmed:
    """The matches of a negotiator with ghosts of one offer: jobs by schedd and autocluster.

    `full`: groups of users whose schedd reached its limit of jobs in one negotiation; there may be more.
    """

    jobs: Mapping[tuple[str, int], int]
    full: frozenset[str] = frozenset()
    fault: str = ""  # why nothing is known; then nothing is confirmed


@dataclass(frozen=True)
class Part:
    """Some jobs of a group, and what happens to them."""

    state: str
    jobs: int
    text: str


@dataclass(frozen=True)
class Decision:
    """The orders, the next ghosts to show to the negotiator, and the parts of each group by its key."""

    orders: Mapping[str, int]
    ghosts: Mapping[str, int]
    groups: Mapping[str, tuple[Part, ...]]


@dataclass(frozen=True)
class Situation:
    """The input of a decision; `confirmed` None: the negotiator is not queried."""

    groups: Sequence[WaitingGroup]
    offers: Sequence[OfferNow]
    free: Sequence[FreeRoom]
    fits: Fit
    confirmed: Mapping[str, Confirmed] | None
    misfit: Callable[[str], str] = field(default=lambda _: "no offer fits")  # why no offer fits, by a group's key


def flight_of(offer: str) -> str:
    """Return the key of an offer's machines that are on their way."""
    return f"{FLIGHT}: {offer}"


def machine_of(kind: str) -> str:
    """Return the offer of a machine, also of one on its way, or the key itself."""
    return kind.removeprefix(f"{FLIGHT}: ")
