"""Decide how many machines of each offer to order, and explain the decision for each group of idle jobs.

Two passes: `plan_machines` places all idle jobs into free slots, machines on their way, and machines that the offers
may add.  `decide` then removes what the pool's negotiator would not give, and what step, cap and cool-down do not
allow.  Both are pure, so that observing and enforcing cannot decide differently.
"""

from collections.abc import Collection

from annexd.demand.packing import JobGroup, MachineKind, Plan, Resources, plan
from annexd.demand.reasons import Reasons
from annexd.demand.situation import Confirmed, Decision, OfferNow, Situation, WaitingGroup, flight_of, machine_of


def decide(now: Situation) -> Decision:
    """Return the decision; each job of each group is in exactly one part."""
    planned = plan_machines(now)
    given = {each.name: _given(each, planned, now) for each in now.offers}
    ordered = {each.name: _allowed(each, given[each.name]) for each in now.offers}
    ghosts = {each.name: _shown(each, planned, now, ordered[each.name]) for each in now.offers}
    orders = {name: count for name, count in ordered.items() if count}
    reasons = Reasons(now, planned, given, ordered)
    return Decision(
        orders,
        {name: count for name, count in ghosts.items() if count},
        {each.key: reasons.parts(each) for each in now.groups},
    )


def plan_machines(now: Situation) -> Plan:
    """Place all jobs: first into free slots, then into machines on their way, then into new ones."""
    free = [MachineKind(each.key, each.has, 0, 0, present=each.count) for each in now.free]
    flight = [
        MachineKind(flight_of(each.name), each.has, 0, 0, present=each.in_flight)
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
    return plan(groups, [*free, *flight, *further], lambda group, kind: now.fits(group.name, machine_of(kind.offer)))


def _room(offer: OfferNow) -> int:
    return max(0, offer.max_machines - offer.living)


def _shown(offer: OfferNow, planned: Plan, now: Situation, ordered: int) -> int:
    """Return how many ghosts to show: for machines on their way, those ordered now, and also the jobs that free slots
    will take.

    All these jobs are still idle, and their negotiator does not see free slots.  The next decision reads the matches of
    these ghosts; if the next step were not shown with them, every second decision would find no matches beyond the
    machines on their way.
    """
    wanted = planned.machines.get(offer.name, 0)
    if not wanted or offer.has is None:
        return 0
    return offer.in_flight + ordered + min(wanted - ordered, offer.step) + _beside_free(offer, offer.has, planned, now)


def _beside_free(offer: OfferNow, has: Resources, planned: Plan, now: Situation) -> int:
    """Return how many machines would be filled by the jobs that free slots will take; at most a step."""
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
    if filled < wanted and confirmed.full:
        # How many more jobs the schedd would offer is unknown: its own count holds for one step at a time.
        most = _filled(offer, planned, now, confirmed, confirmed.full)
        filled = max(filled, min(most, offer.step - offer.in_flight))
    return max(0, filled)


def _placed_in(offer: str, planned: Plan, now: Situation) -> list[WaitingGroup]:
    return [each for each in now.groups if planned.placed.get(each.key, {}).get(offer)]


def _filled(offer: OfferNow, planned: Plan, now: Situation, confirmed: Confirmed, counted: Collection[str] = ()) -> int:
    """Plan again with the jobs that were given a ghost, less those for free slots or machines on their way.

    For groups that are `counted`, all jobs count as given, except for young groups, whose age only the negotiator
    knows.
    """
    left = dict(confirmed.jobs)
    elsewhere = {flight_of(offer.name), *(each.key for each in now.free)}
    for each in now.groups:
        placed_elsewhere = sum(jobs for kind, jobs in planned.placed.get(each.key, {}).items() if kind in elsewhere)
        _take(left, (each.schedd, each.autocluster), placed_elsewhere)
    given = []
    for each in _placed_in(offer.name, planned, now):
        placed = planned.placed[each.key][offer.name]
        is_counted = each.key in counted and not each.is_young
        taken = placed if is_counted else _take(left, (each.schedd, each.autocluster), placed)
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
