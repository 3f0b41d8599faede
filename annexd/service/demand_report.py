"""Describe offers and groups of idle jobs, as CA_QUERY_DEMAND and ads show them."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

from annexd.demand.extension import Extension
from annexd.demand.idle_jobs import IdleGroup
from annexd.demand.situation import Decision, OfferNow
from annexd.service.demand_settings import OFF, DemandSettings
from annexd.service.offer_book import MICRO, OfferFacts
from annexd.workflow import Json

LONGEST: Final = 1000  # characters of a reason
MOST_GROUPS: Final = 2000  # the largest
CLOSED, READY, UNUSABLE = "closed", "ready", "unusable"


def report(
    settings: DemandSettings,
    facts: Mapping[str, OfferFacts],
    offers: Sequence[OfferNow],
    groups: Mapping[str, IdleGroup] | None,
    decision: Decision | None,
    faults: Sequence[str],
    extensions: Sequence[Extension] = (),
) -> Json:
    """Return Mode, Time (of the decision; None before the first), Interval, Faults, Offers, Leases and Groups."""
    now = {each.name: each for each in offers}
    lines = [_offer(each.name, facts.get(each.name), now.get(each.name), decision) for each in settings.offers]
    lines = [
        {**line, "Max": each.max_machines, "IdleAge": each.idle_age_s}
        for line, each in zip(lines, settings.offers, strict=True)
    ]
    lines += [_unusable(name, why) for name, why in settings.faults.items()]
    largest = sorted((groups or {}).values(), key=lambda each: -each.count)[:MOST_GROUPS]
    return {
        "Mode": settings.mode,
        "Time": int(time.time()) if decision is not None and settings.mode != OFF else None,
        "Interval": settings.interval_s,
        "Faults": list(dict.fromkeys(each[:LONGEST] for each in faults)),
        "Offers": lines,
        "Leases": [_extension(each) for each in extensions],
        "Groups": [_group(each, decision) for each in largest] if decision is not None else [],
    }


def _offer(name: str, facts: OfferFacts | None, now: OfferNow | None, decision: Decision | None) -> Json:
    has, price = (facts.has, facts.micro_dollars_per_hour) if facts else (None, None)
    why = now.closed if now else ""
    return {
        "Offer": name,
        "State": CLOSED if why else READY,
        "Why": why[:LONGEST] or None,
        "Machines": now.living if now else None,
        "InFlight": now.in_flight if now else None,
        "Wanted": decision.orders.get(name, 0) if decision else None,
        "Cpus": has.cpus if has else None,
        "Memory": has.memory_mib if has else None,
        "Disk": has.disk_kib if has else None,
        "GPUs": has.gpus if has else None,
        "Price": None if price is None else price / MICRO,
        "Source": facts.source or None if facts else None,
        "LookTime": int(facts.at_s) if facts and facts.at_s else None,
    }


def _unusable(name: str, why: str) -> Json:
    return {"Offer": name, "State": UNUSABLE, "Why": why[:LONGEST]}


def _extension(extension: Extension) -> Json:
    return {
        "Offer": extension.offer,
        "AnnexID": extension.annex_id,
        "EndOfLease": extension.end_s,
        "NewEndOfLease": extension.end_s + extension.length_s if extension.length_s else None,
        "Why": extension.why[:LONGEST] or None,
    }


def _group(group: IdleGroup, decision: Decision) -> Json:
    parts = decision.groups.get(group.key, ())
    return {
        "Group": group.key,
        "Schedd": group.schedd,
        "AutoclusterID": group.autocluster,
        "User": group.user,
        "Idle": group.count,
        "Oldest": None if group.oldest_s is None else int(group.oldest_s),
        "FirstJob": group.first_job,
        "Parts": [{"State": each.state, "Jobs": each.jobs, "Text": each.text[:LONGEST]} for each in parts],
    }


def offer_ads(report: Json) -> list[Json]:
    """Return the attributes of each offer for ads: all but texts, which may come from AWS."""
    return [{**{name: value for name, value in each.items() if name != "Why"}} for each in report["Offers"]]


def demand_ads(report: Json) -> list[Json]:
    """Return the attributes of each group for ads: its largest part, and how many jobs are in each state."""
    return [_demand_ad(each) for each in report["Groups"]]


def _demand_ad(group: Json) -> Json:
    parts = group["Parts"]
    counts: dict[str, int] = {}
    for part in parts:
        counts[f"Jobs{part['State']}"] = counts.get(f"Jobs{part['State']}", 0) + part["Jobs"]
    largest = max(parts, key=lambda each: int(each["Jobs"]), default=None)
    own = {name: value for name, value in group.items() if name != "Parts"}
    return {**own, **counts, "State": largest["State"] if largest else None}
