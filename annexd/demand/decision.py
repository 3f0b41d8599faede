"""Decide how many machines of each offer to order, and say of each group of idle jobs why.

Two passes: `plan_machines` places all idle jobs into what is free, what is on its way, and what the offers may add.
`decide` then takes away what the pool's negotiator would not give, and what step, cap and cool-down do not allow.  Both
are pure, so that observing and enforcing cannot decide differently.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from annexd.demand.packing import JobGroup, MachineKind, Plan, Resources, plan

FREE: Final = "free slots"
FLIGHT: Final = "in flight"
Fit = Callable[[str, str], bool]  # whether the ClassAds of a group and of a machine match, by their keys

COVERED: Final = "Covered"
IN_FLIGHT: Final = "InFlight"
ORDERING: Final = "Ordering"
STEP: Final = "Step"
CAP: Final = "Cap"
CLOSED: Final = "Closed"  # the offers that fit take no orders now
NOT_CONFIRMED: Final = "NotConfirmed"
NO_OFFER: Final = "NoOffer"
NOT_KNOWN: Final = "NotKnown"  # what is known is too old, or incomplete
LEFT_OUT: Final = "LeftOut"  # the jobs cannot be evaluated


@dataclass(frozen=True)
class WaitingGroup:
    """Idle jobs that are alike and old enough.  `needs` None: they cannot be evaluated, and `fault` says why.

    A group with a `fault` gets no machine ordered; with `needs` it still takes its place in what exists.
    """

    key: str
    schedd: str
    autocluster: int
    count: int
    needs: Resources | None
    fault: str = ""


@dataclass(frozen=True)
class FreeRoom:
    """Alike slots of the pool that jobs could take now."""

    key: str
    has: Resources
    count: int


@dataclass(frozen=True)
class OfferNow:
    """An offer at the moment of a decision; `has` None: nothing is known about its machines, and `closed` says why."""

    name: str
    has: Resources | None
    micro_dollars_per_hour: int
    max_machines: int
    step: int
    rank: float = 0.0
    living: int = 0  # machines, with those in flight
    in_flight: int = 0  # ordered, and not in the pool yet
    closed: str = ""  # why it takes no orders now


@dataclass(frozen=True)
class Confirmed:
    """What a negotiator gave to ghosts of one offer: jobs by schedd and autocluster.

    `full`: schedds that offered as many jobs as they do in one negotiation, so that there may be more.
    """

    jobs: Mapping[tuple[str, int], int]
    full: frozenset[str] = frozenset()
    fault: str = ""  # why nothing is known; then nothing is confirmed


@dataclass(frozen=True)
class Part:
    """Some jobs of a group, and what becomes of them."""

    state: str
    jobs: int
    text: str


@dataclass(frozen=True)
class Decision:
    """What to order, what to ask the negotiator about next, and the parts of each group by its key."""

    orders: Mapping[str, int]
    ghosts: Mapping[str, int]
    groups: Mapping[str, tuple[Part, ...]]


@dataclass(frozen=True)
class Situation:
    """All that a decision is made from; `confirmed` None: the negotiator is not asked."""

    groups: Sequence[WaitingGroup]
    offers: Sequence[OfferNow]
    free: Sequence[FreeRoom]
    fits: Fit
    confirmed: Mapping[str, Confirmed] | None
    misfit: Callable[[str], str] = field(default=lambda _: "no offer fits")  # of a group's key, why no offer fits


def decide(now: Situation) -> Decision:
    """Return the decision; each job of each group is in exactly one part."""
    planned = plan_machines(now)
    given = {each.name: _given(each, planned, now) for each in now.offers}
    ordered = {each.name: _allowed(each, given[each.name]) for each in now.offers}
    ghosts = {each.name: _shown(each, planned, now, ordered[each.name]) for each in now.offers}
    orders = {name: count for name, count in ordered.items() if count}
    reasons = _Reasons(now, planned, given, ordered)
    return Decision(
        orders,
        {name: count for name, count in ghosts.items() if count},
        {each.key: reasons.parts(each) for each in now.groups},
    )


def plan_machines(now: Situation) -> Plan:
    """Place all jobs: first into free slots, then into machines on their way, then into further ones."""
    free = [MachineKind(each.key, each.has, 0, 0, present=each.count) for each in now.free]
    flight = [
        MachineKind(_flight(each.name), each.has, 0, 0, present=each.in_flight)
        for each in now.offers
        if each.has and each.in_flight
    ]
    further = [
        MachineKind(each.name, each.has, each.micro_dollars_per_hour, _room(each), each.rank)
        for each in now.offers
        if each.has and not each.closed
    ]
    groups = [
        JobGroup(each.key, each.count, each.needs, may_add=not each.fault)
        for each in now.groups
        if each.needs is not None and each.count > 0
    ]
    return plan(groups, [*free, *flight, *further], lambda group, kind: now.fits(group.name, _machine(kind.offer)))


def _flight(offer: str) -> str:
    return f"{FLIGHT}: {offer}"


def _machine(kind: str) -> str:
    return kind.removeprefix(f"{FLIGHT}: ")


def _room(offer: OfferNow) -> int:
    return max(0, offer.max_machines - offer.living)


def _shown(offer: OfferNow, planned: Plan, now: Situation, ordered: int) -> int:
    """Return how many ghosts to show: for machines on their way, those ordered now, and the jobs that free slots will
    take, too: all these jobs are idle still, and their negotiator does not see free slots.

    The next decision reads what was given to them; if the next step were not shown with them, each second decision
    would find nothing given beyond what is on its way.
    """
    wanted = planned.machines.get(offer.name, 0)
    if not wanted or offer.has is None:
        return 0
    return offer.in_flight + ordered + min(wanted - ordered, offer.step) + _beside_free(offer, offer.has, planned, now)


def _beside_free(offer: OfferNow, has: Resources, planned: Plan, now: Situation) -> int:
    """Return how many machines the jobs would fill that free slots will take; a step at most."""
    free = {each.key for each in now.free}
    groups = []
    for each in now.groups:
        jobs = sum(count for kind, count in planned.placed.get(each.key, {}).items() if kind in free)
        if jobs and each.needs is not None and now.fits(each.key, offer.name):
            groups.append(JobGroup(each.key, jobs, each.needs))
    return plan(groups, [MachineKind(offer.name, has, 1, offer.step)], lambda *_: True).machines.get(offer.name, 0)


def _given(offer: OfferNow, planned: Plan, now: Situation) -> int:
    """Return how many of an offer's planned machines the negotiator would fill."""
    wanted = planned.machines.get(offer.name, 0)
    if now.confirmed is None or not wanted or offer.has is None:
        return wanted
    confirmed = now.confirmed.get(offer.name, Confirmed({}))
    filled = _filled(offer, planned, now, confirmed)
    if filled < wanted and any(each.schedd in confirmed.full for each in _placed_in(offer.name, planned, now)):
        # Nobody knows how many more the schedd would offer: its own count holds for one step at a time.
        filled = max(filled, min(wanted, offer.step - offer.in_flight))
    return max(0, filled)


def _placed_in(offer: str, planned: Plan, now: Situation) -> list[WaitingGroup]:
    return [each for each in now.groups if planned.placed.get(each.key, {}).get(offer)]


def _filled(offer: OfferNow, planned: Plan, now: Situation, confirmed: Confirmed) -> int:
    """Plan again with the jobs that were given a ghost, less those that free slots or machines on their way are for."""
    left = dict(confirmed.jobs)
    elsewhere = {_flight(offer.name), *(each.key for each in now.free)}
    for each in now.groups:
        placed_elsewhere = sum(jobs for kind, jobs in planned.placed.get(each.key, {}).items() if kind in elsewhere)
        _take(left, (each.schedd, each.autocluster), placed_elsewhere)
    given = []
    for each in _placed_in(offer.name, planned, now):
        placed = planned.placed[each.key][offer.name]
        taken = _take(left, (each.schedd, each.autocluster), placed)
        if taken and each.needs is not None:
            given.append(JobGroup(each.key, taken, each.needs))
    if offer.has is None:
        return 0
    kind = MachineKind(offer.name, offer.has, 1, planned.machines[offer.name])
    return plan(given, [kind], lambda *_: True).machines.get(offer.name, 0)


def _take(left: dict[tuple[str, int], int], key: tuple[str, int], most: int) -> int:
    taken = min(left.get(key, 0), most)
    left[key] = left.get(key, 0) - taken
    return taken


def _allowed(offer: OfferNow, given: int) -> int:
    return min(given, offer.step)


@dataclass(frozen=True)
class _Reasons:
    """Says what becomes of each group's jobs."""

    now: Situation
    planned: Plan
    given: Mapping[str, int]
    ordered: Mapping[str, int]

    def parts(self, group: WaitingGroup) -> tuple[Part, ...]:
        if group.needs is None:
            return (Part(LEFT_OUT, group.count, group.fault),)
        placed = self.planned.placed.get(group.key, {})
        offers = {each.name for each in self.now.offers}
        parts = [self._part(kind, jobs, offers) for kind, jobs in placed.items()]
        left = group.count - sum(placed.values())
        if left:
            parts.append(self._unplaced(group, left))
        return tuple(_merged(parts))

    def _part(self, kind: str, jobs: int, offers: set[str]) -> Part:
        if kind not in offers:
            offer = _machine(kind)
            if offer in offers:
                return Part(IN_FLIGHT, jobs, f"machines of offer {offer} are on their way")
            return Part(COVERED, jobs, "free slots of the pool can run them")
        wanted, given, ordered = (each.get(kind, 0) for each in (self.planned.machines, self.given, self.ordered))
        if not given:
            return Part(NOT_CONFIRMED, jobs, self._why_not_given(kind))
        text = f"{_machines(ordered)} of offer {kind}"
        if ordered == wanted:
            return Part(ORDERING, jobs, text)
        limit = f"at most {self._offer(kind).step} at a time" if given > ordered else self._why_not_given(kind)
        return Part(ORDERING if ordered else STEP, jobs, f"{text} of {wanted}: {limit}")

    def _why_not_given(self, offer: str) -> str:
        confirmed = (self.now.confirmed or {}).get(offer)
        if confirmed is None:
            return f"the negotiator has not been asked yet about offer {offer}"
        if confirmed.fault:
            return f"the negotiator of offer {offer} cannot be asked: {confirmed.fault}"
        return f"the negotiator would not give them more machines of offer {offer} now (quota, priority or limit)"

    def _unplaced(self, group: WaitingGroup, jobs: int) -> Part:
        if group.fault:
            return Part(NOT_KNOWN, jobs, group.fault)
        fitting = [each for each in self.now.offers if self._fits(group, each)]
        if not fitting:
            return Part(NO_OFFER, jobs, self.now.misfit(group.key))
        closed = [f"offer {each.name}: {each.closed}" for each in fitting if each.closed]
        full = [
            f"offer {each.name} has its {_machines(each.max_machines)} (MAX)" for each in fitting if not each.closed
        ]
        return Part(CAP if full else CLOSED, jobs, "; ".join([*full, *closed]))

    def _fits(self, group: WaitingGroup, offer: OfferNow) -> bool:
        sizes = offer.has is None or (group.needs is not None and group.needs.fits_into(offer.has))
        return sizes and self.now.fits(group.key, offer.name)

    def _offer(self, name: str) -> OfferNow:
        return next(each for each in self.now.offers if each.name == name)


def _merged(parts: Sequence[Part]) -> list[Part]:
    """Join the parts that say the same, as several kinds of free slots do."""
    merged: dict[tuple[str, str], Part] = {}
    for each in parts:
        key = each.state, each.text
        merged[key] = replace(each, jobs=each.jobs + (merged[key].jobs if key in merged else 0))
    return list(merged.values())


def _machines(count: int) -> str:
    return f"{count} machine{'s' if count != 1 else ''}"
