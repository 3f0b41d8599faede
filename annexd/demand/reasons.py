"""Explain for each group of idle jobs what happens to them, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from annexd.demand.packing import Plan
from annexd.demand.situation import (
    CAP,
    CLOSED,
    COVERED,
    IN_FLIGHT,
    LEFT_OUT,
    NO_OFFER,
    NOT_CONFIRMED,
    NOT_KNOWN,
    ORDERING,
    STEP,
    YOUNG,
    OfferNow,
    Part,
    Situation,
    WaitingGroup,
    machine_of,
)


@dataclass(frozen=True)
class Reasons:
    """Explains what happens to each group's jobs."""

    now: Situation
    planned: Plan
    given: Mapping[str, int]
    ordered: Mapping[str, int]

    def parts(self, group: WaitingGroup) -> tuple[Part, ...]:
        if group.needs is None:
            return (Part(LEFT_OUT, group.count, group.fault),)
        placed = self.planned.placed.get(group.key, {})
        offers = {each.name for each in self.now.offers}
        parts = [self._part(group, kind, jobs, offers) for kind, jobs in placed.items()]
        left = group.count - sum(placed.values())
        if left:
            parts.append(self._unplaced(group, left))
        return tuple(_merged(parts))

    def _part(self, group: WaitingGroup, kind: str, jobs: int, offers: set[str]) -> Part:
        if kind not in offers:
            offer = machine_of(kind)
            if offer in offers:
                return Part(IN_FLIGHT, jobs, f"machines of offer {offer} are on their way")
            return Part(COVERED, jobs, "free slots of the pool can run them")
        wanted, given, ordered = (each.get(kind, 0) for each in (self.planned.machines, self.given, self.ordered))
        if not given and group.is_young:
            return Part(YOUNG, jobs, f"not idle for long enough yet (IDLE_AGE of offer {kind})")
        if not given:
            return Part(NOT_CONFIRMED, jobs, self._why_not_given(kind))
        text = f"{counted(ordered)} of offer {kind}"
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
        full = [f"offer {each.name} has its {counted(each.max_machines)} (MAX)" for each in fitting if not each.closed]
        return Part(CAP if full else CLOSED, jobs, "; ".join([*full, *closed]))

    def _fits(self, group: WaitingGroup, offer: OfferNow) -> bool:
        sizes = offer.has is None or (group.needs is not None and group.needs.fits_into(offer.has))
        return sizes and self.now.fits(group.key, offer.name)

    def _offer(self, name: str) -> OfferNow:
        return next(each for each in self.now.offers if each.name == name)


def _merged(parts: Sequence[Part]) -> list[Part]:
    """Join equal parts, such as those of several kinds of free slots."""
    merged: dict[tuple[str, str], Part] = {}
    for each in parts:
        key = each.state, each.text
        merged[key] = replace(each, jobs=each.jobs + (merged[key].jobs if key in merged else 0))
    return list(merged.values())


def counted(count: int) -> str:
    """Format a number of machines."""
    return f"{count} machine{'s' if count != 1 else ''}"
