"""Build the input of a decision from the findings of a look."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from functools import partial

from annexd.demand.accounting import limits_of
from annexd.demand.confirmation import Autocluster, Confirmation, limit_once
from annexd.demand.idle_jobs import IdleGroup
from annexd.demand.offer import Offer
from annexd.demand.situation import Confirmed, OfferNow, Situation, WaitingGroup
from annexd.service.demand_look import Found


def situation(found: Found, why_closed: Callable[[Offer], str]) -> Situation:
    """Return the input of a decision; `why_closed` says why an offer takes no orders now, if it does not."""
    offers = found.settings.offers
    confirmed = None
    if found.confirmation is not None:
        confirmed = confirmed_of(found.confirmation, offers, found.groups.values(), found.limited)
    return Situation(
        [_group(each, found) for each in found.groups.values()],
        [_offer(each, found, why_closed(each)) for each in offers],
        found.rooms,
        partial(_fits, found),
        confirmed,
        lambda group: found.matches.misfit(group, [each.name for each in offers]),
    )


def confirmed_of(
    confirmation: Confirmation, offers: Iterable[Offer], groups: Iterable[IdleGroup], limited: Collection[str] = ()
) -> dict[str, Confirmed]:
    """Return what was confirmed for each offer, with each limit counted once; nothing if its negotiator has not
    responded yet.

    `limited`: the users with a ceiling and groups with a quota.
    """
    groups = list(groups)
    users: dict[Autocluster, set[str]] = {}
    limits: dict[Autocluster, frozenset[str]] = {}
    for group in groups:
        key = group.schedd, group.autocluster
        users.setdefault(key, set()).add(group.user)
        limits[key] = limits.get(key, frozenset()) | limits_of(group.user, group.limits, limited)
    once = replace(confirmation, matches=limit_once(confirmation, limits))
    found = {}
    for offer in offers:
        fault = confirmation.faults.get(offer.name) or (confirmation.fault if not confirmation.faults else None)
        matches = once.still_idle(offer.name)
        if fault:
            found[offer.name] = Confirmed({}, fault=fault)
        elif matches is not None:
            kept_back = confirmation.kept_back(offer.name, users)
            full = (each.key for each in groups if (each.schedd, each.user) in kept_back)
            found[offer.name] = Confirmed(matches, frozenset(full))
    return found


def _fits(found: Found, group: str, machine: str) -> bool:
    """Return whether they match; an offer with unknown machines may fit, and orders nothing."""
    is_candidate = machine not in found.candidates or group in found.candidates[machine]
    is_unknown = machine in found.facts and not found.facts[machine].ad
    return is_candidate and (is_unknown or found.matches.do_match(group, machine))


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
