"""Put together what a decision is made from, out of what a look has found."""

from collections.abc import Callable, Iterable
from functools import partial

from annexd.demand.confirmation import Confirmation
from annexd.demand.idle_jobs import IdleGroup
from annexd.demand.offer import Offer
from annexd.demand.situation import Confirmed, OfferNow, Situation, WaitingGroup
from annexd.service.demand_look import Found


def situation(found: Found, why_closed: Callable[[Offer], str]) -> Situation:
    """Return all that a decision is made from; `why_closed` says why an offer takes no orders now, if it does not."""
    offers = found.settings.offers
    confirmed = None
    if found.confirmation is not None:
        confirmed = confirmed_of(found.confirmation, offers, found.groups.values())
    return Situation(
        [_group(each, found) for each in found.groups.values()],
        [_offer(each, found, why_closed(each)) for each in offers],
        found.rooms,
        partial(_fits, found),
        confirmed,
        lambda group: found.matches.misfit(group, [each.name for each in offers]),
    )


def confirmed_of(
    confirmation: Confirmation, offers: Iterable[Offer], groups: Iterable[IdleGroup]
) -> dict[str, Confirmed]:
    """Return what was confirmed of each offer; nothing of those whose negotiator has not answered yet."""
    users: dict[str, set[str]] = {}
    for group in groups:
        users.setdefault(group.schedd, set()).add(group.user)
    found = {}
    for offer in offers:
        fault = confirmation.faults.get(offer.name) or (confirmation.fault if not confirmation.faults else None)
        matches = confirmation.still_idle(offer.name)
        if fault:
            found[offer.name] = Confirmed({}, fault=fault)
        elif matches is not None:
            full = [
                each for each, names in users.items() if confirmation.is_limit_reached(offer.name, each, len(names))
            ]
            found[offer.name] = Confirmed(matches, frozenset(full))
    return found


def _fits(found: Found, group: str, machine: str) -> bool:
    is_candidate = machine not in found.candidates or group in found.candidates[machine]
    return is_candidate and found.matches.do_match(group, machine)


def _group(group: IdleGroup, found: Found) -> WaitingGroup:
    match = found.matches.jobs.get(group.key)
    fault = found.faulty.get(group.key, "")
    if not found.may_order:
        fault = fault or found.faults[-1]
    if match is None:
        fault = found.matches.faults.get(group.key, "it was not compared with any machine")
    return WaitingGroup(
        group.key,
        group.schedd,
        group.autocluster,
        group.count,
        match.needs if match else None,
        fault,
        is_young=group.key in found.young,
    )


def _offer(offer: Offer, found: Found, closed: str) -> OfferNow:
    facts, mine = found.facts[offer.name], [each for each in found.annexes if each.offer == offer.name]
    return OfferNow(
        offer.name,
        facts.has if facts.ad else None,
        facts.micro_dollars_per_hour or 0,
        offer.max_machines,
        offer.step,
        facts.rank,
        sum(each.machines for each in mine),
        sum(each.in_flight for each in mine),
        closed,
    )
