"""Track which capacity AWS refuses or takes back, so that no offer requests it: one Breaker for each account and
region.

The sources are: the histories that reconciliation reads; histories of young fleets, which this module reads until they
are filled; and the instances that AWS took back.  A round of queries to one place begins at most every 30 s and reads
at most 20 histories, which is an eighth of what EC2 allows (annex/fleet/history.py).
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from annexd.annex.fleet.capacity_news import CapacityNews, FleetCapacity, Taken, taken_back
from annexd.annex.fleet.history import events_of
from annexd.annex.past_prices import Place
from annexd.annex.request.account_target import AccountTarget
from annexd.annex.request.markets import ON_DEMAND, SPOT, FleetScope
from annexd.annex.request.order import FleetOrder
from annexd.annex.steps import StepContext
from annexd.aws import time_limit
from annexd.daemoncore import log
from annexd.daemoncore.threads import in_thread
from annexd.demand.breaker import ANY_TYPE, CAPACITY, LIMIT, Breaker, CapacityPoolKey, Closing, closing_attributes
from annexd.workflow import Refused, Retry

MOST_ASKED: Final = 20  # histories in one round
LONGEST_S: Final = 60.0  # of all calls of one round
EARLIER_S: Final = 60.0  # clocks differ
AHEAD_S: Final = 300.0  # reports from further in the future than this are ignored
FORGET_S: Final = 600.0  # when a fleet was last read
SHOWN_S: Final = 30.0  # by which AWS shows events late
LATER_S: Final = 120.0  # after AWS has stopped trying, for a last reading
SILENCE: Final = "AWS started nothing as long as it tried, and gives no reason"
LONGEST_FAULT: Final = 500


@dataclass(frozen=True)
class CapacityPace:
    """Seconds between two rounds of one place."""

    tick_s: float = 5.0
    histories_s: float = 30.0
    taken_s: float = 60.0
    fault_s: float = 120.0  # after throttling, or without the right


@dataclass(frozen=True)
class WatchedFleet:
    """A fleet that demand ordered: AWS tries until `until_s` to start this many machines."""

    fleet_id: str
    target: AccountTarget
    asked_s: float
    until_s: float
    machines: int
    scope: FleetScope

    @classmethod
    def of(cls, order: FleetOrder, fleet_id: str, asked_s: float) -> "WatchedFleet":
        """Return the fleet of an order, whose machines are one unit each."""
        units = order.units if isinstance(order.units, int) else 0
        return cls(fleet_id, order.target, asked_s, order.valid_until_s, units, FleetScope.of(order.config))


@dataclass(frozen=True)
class CapacityPicture:
    """The closings at a place, when AWS was last queried (None: never), and why the last query failed."""

    closed: Mapping[CapacityPoolKey, Closing]
    asked_s: float | None = None
    fault: str = ""


@dataclass
class _KnownPlace:
    """The known state of one place; `_at_s`: monotonic."""

    breaker: Breaker = field(default_factory=Breaker)
    round_at_s: float = float("-inf")
    taken_at_s: float = float("-inf")
    fault_at_s: float = float("-inf")
    read_at_s: dict[str, float] = field(default_factory=dict)  # by fleet ID
    filled: set[str] = field(default_factory=set)
    first_seen_s: dict[str, float | None] | None = None  # of instances without a time; None: never queried
    logged: frozenset[CapacityPoolKey] = frozenset()
    skew_s: float = 0.0
    asked_s: float | None = None
    fault: str = ""


@dataclass(frozen=True)
class _Answer:
    now_s: float  # by AWS's clock
    read: Sequence[FleetCapacity]
    taken: Sequence[Taken] | None
    fault: str = ""


class CapacityWatch:
    """Watches the places of `fleets`, which returns demand's living fleets, filled or not."""

    def __init__(
        self,
        context: StepContext,
        fleets: Callable[[], Sequence[WatchedFleet]],
        pace: CapacityPace = CapacityPace(),
    ) -> None:
        self._context, self._fleets, self._pace = context, fleets, pace
        self._places: dict[Place, _KnownPlace] = {}
        self._asking: dict[Place, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Query AWS for each place when it is due, until cancelled."""
        try:
            while True:
                self._begin()
                await asyncio.sleep(self._pace.tick_s)
        finally:
            for task in self._asking.values():
                task.cancel()

    def learn(self, target: AccountTarget, found: Iterable[FleetCapacity]) -> None:
        """Take in what was read in histories at the place of this target, if its picture is in use."""
        known = self._places.get(Place.of(target))
        if known is None:
            return
        latest_s, steady_s = time.time() + known.skew_s + AHEAD_S, time.monotonic()
        known.read_at_s = {each: at_s for each, at_s in known.read_at_s.items() if steady_s - at_s < FORGET_S}
        for each in found:
            known.read_at_s[each.fleet_id] = steady_s
            for refusal in each.refusals:
                if refusal.at_s <= latest_s:
                    _note(known.breaker, refusal, each.scope)
        self._log(known)

    def picture(self, target: AccountTarget, now_s: float) -> CapacityPicture:
        """Return what is closed there at this time of this host; from now on the place is tracked."""
        known = self._place(Place.of(target))
        return CapacityPicture(known.breaker.closed(now_s + known.skew_s), known.asked_s, known.fault)

    def ads(self, now_s: float) -> list[dict[str, str | int]]:
        """Return everything that is closed, each as the attributes of an ad."""
        return [
            {"Region": place.region, **({"Account": place.account} if place.account else {}), **each}
            for place, known in self._places.items()
            for each in closing_attributes(known.breaker.closed(now_s + known.skew_s))
        ]

    def status(self, now_s: float) -> dict[str, str | int]:
        """Return attributes of the daemon's ad."""
        fault = next((known.fault for known in self._places.values() if known.fault), "")
        return {"AnnexClosedPools": len(self.ads(now_s)), **({"AnnexCapacityFault": fault} if fault else {})}

    def _place(self, place: Place) -> _KnownPlace:
        return self._places.setdefault(place, _KnownPlace())

    def _begin(self) -> None:
        self._asking = {place: task for place, task in self._asking.items() if not task.done()}
        by_place: dict[Place, list[WatchedFleet]] = {}
        for fleet in self._fleets():
            by_place.setdefault(Place.of(fleet.target), []).append(fleet)
        for place, fleets in by_place.items():
            if place not in self._asking and self._is_due(self._place(place), fleets):
                self._asking[place] = asyncio.create_task(self._round(self._place(place), fleets))

    def _is_due(self, known: _KnownPlace, fleets: Sequence[WatchedFleet]) -> bool:
        now_s, pace = time.monotonic(), self._pace
        if now_s - known.fault_at_s < pace.fault_s or now_s - known.round_at_s < pace.histories_s:
            return False
        return self._asks_taken(known) or bool(self._unfilled(known, fleets))

    def _asks_taken(self, known: _KnownPlace) -> bool:
        return time.monotonic() - known.taken_at_s >= self._pace.taken_s

    def _unfilled(self, known: _KnownPlace, fleets: Sequence[WatchedFleet]) -> list[WatchedFleet]:
        """Return the fleets whose histories must be read now, the least recently read first."""
        now_s, ids = time.monotonic(), {each.fleet_id for each in fleets}
        known.read_at_s = {each: at_s for each, at_s in known.read_at_s.items() if each in ids}
        known.filled &= ids
        due = [
            each
            for each in fleets
            if each.fleet_id not in known.filled
            and time.time() < each.until_s + LATER_S
            and now_s - known.read_at_s.get(each.fleet_id, float("-inf")) >= self._pace.histories_s
        ]
        return sorted(due, key=lambda each: known.read_at_s.get(each.fleet_id, float("-inf")))[:MOST_ASKED]

    async def _round(self, known: _KnownPlace, fleets: Sequence[WatchedFleet]) -> None:
        due, asks_taken = self._unfilled(known, fleets), self._asks_taken(known)
        known.round_at_s = time.monotonic()
        try:
            answer = await in_thread(lambda: self._ask(due, fleets[0].target if asks_taken else None))
        except (Retry, Refused) as error:
            answer = _Answer(time.time() + known.skew_s, (), None, str(error))
        except Exception as error:  # noqa: BLE001  the edge of this task: other places are still queried
            answer = _Answer(time.time() + known.skew_s, (), None, f"internal error: {type(error).__name__}: {error}")
        self._take(known, answer, {each.fleet_id: each for each in due})

    def _ask(self, due: Sequence[WatchedFleet], taken_of: AccountTarget | None) -> _Answer:
        """Query AWS; responses before a fault count.  Blocks.  Raises Retry or Refused without keys."""
        read, taken, fault = list[FleetCapacity](), list[Taken](), ""
        with time_limit(LONGEST_S):
            clients = self._context.access(taken_of or due[0].target)
            questions: list[Callable[[], None]] = [partial(self._read, each, read) for each in due]
            if taken_of:
                questions.insert(0, lambda: taken.extend(taken_back(clients.ec2)))
            for question in questions:
                try:
                    question()
                except Refused as error:
                    fault = str(error)
                except Retry as error:
                    fault = str(error)
                    break
        return _Answer(self._context.aws_now_s(clients), read, taken if taken_of else None, fault)

    def _read(self, fleet: WatchedFleet, read: list[FleetCapacity]) -> None:
        ec2 = self._context.access(fleet.target).ec2
        events = events_of(ec2, fleet.fleet_id, fleet.asked_s - EARLIER_S)
        read.append(FleetCapacity.read(fleet.fleet_id, fleet.scope, events))

    def _take(self, known: _KnownPlace, answer: _Answer, fleets: Mapping[str, WatchedFleet]) -> None:
        known.skew_s, known.fault = answer.now_s - time.time(), answer.fault[:LONGEST_FAULT]
        if answer.fault:
            known.fault_at_s = time.monotonic()
            log.full_debug(f"AWS's lack of capacity cannot be seen: {known.fault}")
        else:
            known.asked_s = time.time()
        known.filled |= {each.fleet_id for each in answer.read if each.launched >= fleets[each.fleet_id].machines}
        if answer.taken is not None and not (answer.fault and not answer.taken):
            known.taken_at_s = time.monotonic()
            _note_taken(known, answer.taken, answer.now_s)
        for each in answer.read:
            self.learn(fleets[each.fleet_id].target, [each])
            _note_silence(known.breaker, each, fleets[each.fleet_id].until_s, answer.now_s)
        self._log(known)

    def _log(self, known: _KnownPlace) -> None:
        """Log each closing once, for as long as the pool stays closed."""
        now_s = time.time() + known.skew_s
        closed = known.breaker.closed(now_s)
        for pool in closed.keys() - known.logged:
            until_s, reason, _ = closed[pool]
            log.always(f"Capacity: {pool} is not ordered for idle jobs for {until_s - now_s:.0f} s: {reason}")
        known.logged = frozenset(closed)


def _note(breaker: Breaker, refusal: CapacityNews, scope: FleetScope) -> None:
    cause, zone = (LIMIT, None) if refusal.is_limit else (CAPACITY, refusal.zone)
    for instance_type in _types_of(refusal, scope):
        for market in refusal.markets:
            breaker.note_error(CapacityPoolKey(instance_type, zone, market), refusal.at_s, refusal.reason, cause)


def _note_silence(breaker: Breaker, found: FleetCapacity, until_s: float, now_s: float) -> None:
    """Treat a fleet that ended without any machine or reason as refused: Spot may lack capacity without a message."""
    if found.is_silent and not found.launched and now_s >= until_s + SHOWN_S:
        for instance_type in found.scope.instance_types:
            for market in found.scope.markets:
                breaker.note_error(CapacityPoolKey(instance_type, None, market), until_s, SILENCE)


def _types_of(refusal: CapacityNews, scope: FleetScope) -> tuple[str, ...]:
    """Return the types that a refusal concerns: a quota applies to some types only, so it closes its fleet's types.

    If neither the message nor the fleet names any, a limit closes the market, and a lack of capacity closes nothing.
    """
    if refusal.instance_type:
        return (refusal.instance_type,)
    return scope.instance_types or ((ANY_TYPE,) if refusal.is_limit else ())


def _note_taken(known: _KnownPlace, taken: Sequence[Taken], now_s: float) -> None:
    """Note what AWS took back.  An event without a time counts from when it was first seen; at the first look its time
    is unknown, so it does not count.
    """
    before, is_first = known.first_seen_s or {}, known.first_seen_s is None
    known.first_seen_s = {}
    for each, at_s in _timed(taken, before, None if is_first else now_s):
        known.first_seen_s[each.instance_id] = at_s
        if at_s is None or at_s > now_s + AHEAD_S or not each.pool.kind:
            continue
        market = SPOT if each.pool.market == SPOT else ON_DEMAND
        pool = CapacityPoolKey(each.pool.kind, each.pool.zone or None, market)
        if each.is_interruption:
            known.breaker.note_interruption(pool, at_s, each.instance_id)
        else:
            known.breaker.note_error(pool, at_s, f"AWS could not start {each.instance_id} for want of capacity")


def _timed(
    taken: Sequence[Taken], before: Mapping[str, float | None], now_s: float | None
) -> Iterator[tuple[Taken, float | None]]:
    for each in taken:
        yield each, each.at_s if each.at_s is not None else before.get(each.instance_id, now_s)
