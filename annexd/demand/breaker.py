"""Remember which capacity AWS has just refused or taken back, so that no offer requests it again too soon.

Each refused order costs calls, a provisioning delay and the jobs' time.  A pool is an instance type, a zone and a
market, closed for three minutes at first, both as in Karpenter (github.com/aws/karpenter-provider-aws, pkg/cache).  The
state follows from the events and AWS's times of them, so an event that is reported twice, late, or again after a
restart changes nothing.  Pure: times are arguments.
"""

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

FIRST_S: Final = 180.0
LONGEST_S: Final = 3600.0
CALM_S: Final = 3600.0  # after this time open without an event, the next one closes for FIRST_S again
STORM_S: Final = 180.0  # two interruptions within this time ...
STORM_CLOSED_S: Final = 1800.0  # ... close for this time
SPOT: Final = "spot"  # values of CreateFleet's DefaultTargetCapacityType
ON_DEMAND: Final = "on-demand"
ANY_TYPE: Final = ""  # for a limit of the account without a named instance type
CAPACITY: Final = "capacity"  # cause: AWS has no capacity there
LIMIT: Final = "limit"  # cause: the account may have no more anywhere
INTERRUPTION: Final = "interruption"  # cause: AWS took instances back
MOST_EVENTS: Final = 32  # events of a pool that are still sorted; older ones are settled
MOST_POOLS: Final = 512  # 40 types in 6 zones and 2 markets
LONGEST_REASON: Final = 300


@dataclass(frozen=True, order=True)
class CapacityPoolKey:
    """A part of AWS's capacity that can be closed.

    `zone` None: every zone; ANY_TYPE: every instance type.  `market`: SPOT or ON_DEMAND.
    """

    instance_type: str
    zone: str | None
    market: str

    def __str__(self) -> str:
        what = self.instance_type or "all instance types"
        return f"{what} ({self.market}) in {self.zone or 'all zones'}"


class Closing(NamedTuple):
    """The time until which a pool is closed, AWS's reason, and its cause: CAPACITY, LIMIT or INTERRUPTION."""

    until_s: float
    reason: str
    cause: str


class _Event(NamedTuple):
    at_s: float
    cause: str
    reason: str


@dataclass(frozen=True)
class _Closed:
    """The state after some events: closed until a time, for a length of `length_s`."""

    until_s: float = float("-inf")
    length_s: float = 0.0
    reason: str = ""
    cause: str = CAPACITY

    def after(self, event: _Event) -> "_Closed":
        """Close for twice the time, unless the pool was already closed at the time of the event.

        The calm counts from when it opened: while it is closed nobody requests it, so nobody is refused.
        """
        if event.at_s < self.until_s:
            return self
        is_calm = event.at_s - self.until_s >= CALM_S
        length_s = FIRST_S if is_calm else min(2 * self.length_s, LONGEST_S)
        return _Closed(event.at_s + length_s, length_s, event.reason, event.cause)


@dataclass
class _PoolEvents:
    """The events of one pool: the settled ones, and the newest ones in order of their times."""

    settled: _Closed = _Closed()
    settled_s: float = float("-inf")  # events of this time or before were reported already
    events: list[_Event] = field(default_factory=list)
    interrupted_s: dict[str, float] = field(default_factory=dict)  # by instance ID
    known: Closing | None = None  # their result, until another event comes

    def add(self, event: _Event) -> None:
        if event.at_s <= self.settled_s or event in self.events:
            return
        self.known = None
        insort(self.events, event)
        while len(self.events) > MOST_EVENTS:
            oldest = self.events.pop(0)
            self.settled, self.settled_s = self.settled.after(oldest), oldest.at_s

    def interrupt(self, instance_id: str, at_s: float) -> None:
        """Remember when this instance was taken back: once, at the earliest of the reported times."""
        if at_s >= self.interrupted_s.get(instance_id, float("inf")):
            return
        self.known = None
        self.interrupted_s[instance_id] = at_s
        if len(self.interrupted_s) > MOST_EVENTS:
            del self.interrupted_s[min(self.interrupted_s, key=lambda each: (self.interrupted_s[each], each))]

    def closing(self) -> Closing:
        self.known = self.known or self._computed()
        return self.known

    def _computed(self) -> Closing:
        closed = self.settled
        for event in self._all_events():
            closed = closed.after(event)
        storm_s = max(self._storms(), default=float("-inf"))
        if storm_s > closed.until_s:
            return Closing(storm_s, "AWS has interrupted several instances within minutes", INTERRUPTION)
        return Closing(closed.until_s, closed.reason, closed.cause)

    def _all_events(self) -> Iterable[_Event]:
        interruptions = (
            _Event(at_s, INTERRUPTION, f"AWS has interrupted {instance_id}")
            for instance_id, at_s in self.interrupted_s.items()
        )
        return sorted([*self.events, *interruptions])

    def _storms(self) -> Iterator[float]:
        times_s = sorted(self.interrupted_s.values())
        for first_s, second_s in pairwise(times_s):
            if second_s - first_s <= STORM_S:
                yield second_s + STORM_CLOSED_S


class Breaker:
    """The pools of one account and region that are closed for all offers.  Not thread-safe."""

    def __init__(self) -> None:
        self._pools: dict[CapacityPoolKey, _PoolEvents] = {}

    def note_error(self, pool: CapacityPoolKey, at_s: float, reason: str, cause: str = CAPACITY) -> None:
        """Note that AWS refused this pool at that time, for this reason; `cause`: CAPACITY or LIMIT."""
        self._pool(pool).add(_Event(at_s, cause, reason[:LONGEST_REASON]))

    def note_interruption(self, pool: CapacityPoolKey, at_s: float, instance_id: str) -> None:
        """Note that AWS took this instance back."""
        self._pool(pool).interrupt(instance_id, at_s)

    def closed(self, now_s: float) -> Mapping[CapacityPoolKey, Closing]:
        """Return what is closed at this time, by AWS's clock."""
        found = {pool: each.closing() for pool, each in self._pools.items()}
        return {pool: found[pool] for pool in sorted(found, key=str) if found[pool].until_s > now_s}

    def _pool(self, pool: CapacityPoolKey) -> _PoolEvents:
        """Return the events of this pool; if there are too many pools, forget the one that opens first or has been open
        longest.
        """
        if pool not in self._pools and len(self._pools) >= MOST_POOLS:
            del self._pools[min(self._pools, key=lambda each: (self._pools[each].closing().until_s, str(each)))]
        return self._pools.setdefault(pool, _PoolEvents())


def closing_attributes(closed: Mapping[CapacityPoolKey, Closing]) -> list[dict[str, str | int]]:
    """Return the closings as attributes of ads, sorted by their ends."""
    return [
        {
            "InstanceType": pool.instance_type or "*",
            "Zone": pool.zone or "*",
            "Market": pool.market,
            "ClosedUntil": int(closing.until_s),
            "ClosedReason": closing.reason,
            "ClosedCause": closing.cause,
        }
        for pool, closing in sorted(closed.items(), key=lambda item: (item[1].until_s, str(item[0])))
    ]
