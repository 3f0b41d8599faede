"""Track how long the instances of all annexes ran, and their cost, from look to look."""

import threading
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from annexd.annex.fleet.capacity_pool import CapacityPool, Launch
from annexd.annex.index import AnnexIndex, AnnexRecord
from annexd.annex.request.order import FleetOrder
from annexd.annex.spending import Prices
from annexd.annex.usage import Usage
from annexd.workflow import SUCCESS


class UsageRecorder:
    """Tracks the annexes of the journal from look to look.  Thread-safe."""

    def __init__(self, index: AnnexIndex) -> None:
        self._index = index
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, Usage]] = {}  # by command ID: the account's key, the observed usage

    def record(self, key: str, launches: Mapping[str, Sequence[Launch]], at_s: float) -> None:
        """Take in the instances that run in one account, by annex ID.  Raises JournalError."""
        with self._lock:
            self._record(key, launches, at_s)

    def unpriced(self) -> dict[str, dict[CapacityPool, float]]:
        """Return, by the account's key, which pools need prices, and since when (seconds since the epoch)."""
        with self._lock:
            found: dict[str, dict[CapacityPool, float]] = {}
            for key, usage in self._known.values():
                for each in usage.spendings:
                    if (since_s := each.since_s) is not None:
                        pools = found.setdefault(key, {})
                        pools[each.pool] = min(since_s, pools.get(each.pool, since_s))
            return found

    def price(self, keys: Set[str], prices: Mapping[CapacityPool, Prices]) -> None:
        """Price the usage in these accounts, by their keys.  Raises JournalError."""
        with self._lock:
            for command_id, (key, usage) in list(self._known.items()):
                priced = usage.priced(prices) if key in keys else usage
                if priced is not usage:
                    self._index.note_usage(command_id, priced)
                    self._known[command_id] = key, priced

    def _record(self, key: str, launches: Mapping[str, Sequence[Launch]], at_s: float) -> None:
        annexes = self._index.all()
        for annex in annexes:
            known = self._known.get(annex.command_id) or self._read(annex)
            if known is not None and known[0] == key:
                self._known[annex.command_id] = key, self._recorded(annex, known[1], launches, at_s)
        for command_id in self._known.keys() - {annex.command_id for annex in annexes}:
            self._known.pop(command_id, None)

    def _read(self, annex: AnnexRecord) -> tuple[str, Usage] | None:
        state = self._index.engine.state(annex.command_id)
        order = state.order_as(FleetOrder)
        if order is None or state.finished is None or state.finished[0] != SUCCESS:
            return None
        return order.target.key, self._index.usage(annex) or Usage(0.0, annex.end_of_lease_s)

    def _recorded(
        self, annex: AnnexRecord, known: Usage, launches: Mapping[str, Sequence[Launch]], at_s: float
    ) -> Usage:
        cancellation = self._index.cancellation(annex.annex_id)
        cancelled = cancellation is not None and cancellation.finished is not None
        seen = replace(
            known.after(launches.get(annex.annex_id, ()), at_s), end_s=self._index.end_s(annex), cancelled=cancelled
        )
        if seen.facts != known.facts:
            self._index.note_usage(annex.command_id, seen)
        return seen
