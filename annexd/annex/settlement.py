"""Settle the reservations of annexes once nothing of them runs any more: their cost counts, and the rest is released.

Its cost is an estimate: the seconds that annexd saw machines run, at AWS's prices of that time (usage.py, spending.py),
with the most expensive volumes and the address of each machine.  Usage that has no price after an hour counts at its
maximum cost.  The bill is the truth.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from annexd.annex.index import AnnexIndex, AnnexRecord
from annexd.annex.living import LIVES_ON_S, YOUNG_S
from annexd.annex.request.order import FleetOrder, GrowOrder
from annexd.annex.reservations import Reservations, Settled
from annexd.annex.status import Snapshot
from annexd.annex.usage import Usage
from annexd.budget.ledger import AnnexHolds
from annexd.budget.money import for_time, rounded_up

PATIENCE_S: Final = 3600.0  # with prices that are not known


@dataclass(frozen=True)
class _Open:
    """An annex with a reservation and no command under way."""

    known: AnnexRecord
    entry: AnnexHolds
    look: Snapshot | None


class Settlement:
    """Settles annexes when they are due.  Not thread-safe; `sweep` raises JournalError."""

    def __init__(self, index: AnnexIndex, reservations: Reservations) -> None:
        self._index, self._engine, self._reservations = index, index.engine, reservations
        self._gone_s: dict[str, float] = {}  # when an annex was first seen to be gone
        self._overran: set[str] = set()  # annexes that ran longer than their reservations allow for

    def sweep(self, looks: Mapping[str, Snapshot], now_s: float) -> None:
        """Settle annexes that are gone according to these looks (by AccountTarget.key)."""
        entries = self._reservations.entries()
        annexes = {each.annex_id: each for each in self._index.all()} if entries else {}
        self._gone_s = {each: at_s for each, at_s in self._gone_s.items() if each in entries}
        self._overran &= entries.keys()
        for annex_id, entry in entries.items():
            known = annexes.get(annex_id)
            self._settle_failed(annex_id, entry, now_s)
            left = self._reservations.entries().get(annex_id, AnnexHolds())
            if known is not None and left.commands and not self._reservations.is_under_way(left):
                account = self._index.ordered(known).account
                self._sweep_annex(_Open(known, left, looks.get(account) if account else None), now_s)

    def _settle_failed(self, annex_id: str, entry: AnnexHolds, now_s: float) -> None:
        for command_id, cost in self._reservations.born(entry).items():
            amounts = dict.fromkeys(entry.holds[command_id].budgets, cost)
            self._reservations.settle(annex_id, Settled(command_id, frozenset([command_id]), 0, amounts), now_s)

    def _sweep_annex(self, annex: _Open, now_s: float) -> None:
        whole = {name: amount.money for name, amount in annex.entry.reserved().items()}
        if not annex.entry.holds:
            self._settle(annex, 0, {}, now_s)
        elif now_s > annex.entry.over_s and (self._is_given_up(annex) or now_s > annex.entry.over_s + LIVES_ON_S):
            self._settle(annex, 0, whole, now_s)  # its cost is not visible to anybody
        elif self._is_gone(annex) and (spent := self._spent(annex, now_s)) is not None:
            is_bound = annex.known.annex_id not in self._overran
            amounts = {name: min(spent, most) if is_bound else spent for name, most in whole.items()}
            self._settle(annex, spent, amounts, now_s)

    def _settle(self, annex: _Open, spent: int, amounts: Mapping[str, int], now_s: float) -> None:
        settled = Settled(annex.known.command_id, annex.entry.commands, spent, amounts)
        self._reservations.settle(annex.known.annex_id, settled, now_s)

    def _is_given_up(self, annex: _Open) -> bool:
        """Return whether its order failed and may have left something that no look attributes to the annex."""
        return self._index.ordered(annex.known).has_succeeded is False

    def _is_gone(self, annex: _Open) -> bool:
        """Return whether a look found nothing of it that could still cost anything."""
        look, known = annex.look, annex.known
        if look is None or look.at_s <= max(self._index.requested_at_s(known), self._index.moved_at_s(known)):
            return False
        seen = look.annexes.get(known.annex_id)
        if seen is not None and (seen.instances or seen.is_launching):
            if seen.instances and look.at_s > annex.entry.over_s:
                self._overran.add(known.annex_id)
            return False
        cancellation = self._index.cancellation(known.annex_id)
        is_cancelled = cancellation is not None and cancellation.finished and look.at_s > cancellation.finished_at_s
        return bool(is_cancelled) or look.at_s > min(annex.entry.latest_end_s, self._launches_until_s(annex))

    def _launches_until_s(self, annex: _Open) -> float:
        """Return the time by which AWS has started every instance that it will, including those that it shows late."""
        orders = [self._engine.state(each).order for each in (annex.known.command_id, *annex.entry.commands)]
        fleets = [each.further if isinstance(each, GrowOrder) else each for each in orders]
        return YOUNG_S + max((each.valid_until_s for each in fleets if isinstance(each, FleetOrder)), default=0.0)

    def _spent(self, annex: _Open, now_s: float) -> int | None:
        """Return the micro-dollars that were not settled before; None while prices are still missing."""
        usage = self._index.usage(annex.known)
        if usage is None:
            return 0
        unpriced = sum(each.unpriced(usage.until_s(now_s)) for each in usage.spendings)
        waits = now_s - self._gone_s.setdefault(annex.known.annex_id, now_s) < PATIENCE_S
        if unpriced and waits:
            return None
        before = self._engine.state(annex.known.command_id).spent
        return max(0, _cost(usage, annex.entry, now_s, is_priced=not unpriced) - before)


def _cost(usage: Usage, entry: AnnexHolds, now_s: float, *, is_priced: bool) -> int:
    seconds = int(usage.seconds(now_s) + usage.error_s) + 1
    if not is_priced:
        return for_time(max(each.machine_rate for each in entry.holds.values()), seconds)
    until_s = usage.until_s(now_s)
    dollars = usage.dollars + sum(each.cost(until_s) for each in usage.spendings)
    extra = max(each.machine_extra for each in entry.holds.values())
    return rounded_up(Fraction(dollars)) + for_time(extra, seconds)
