"""How long the instances of an annex ran, from what reconciliation sees: a sum that survives restarts.

Each look gives the launch times of what runs (DescribeInstances, LaunchTime).  What ran at the look before and runs no
more ended in between, so half of that time is its error.  Sums are enough: of the instances that are gone, the sum of
the launch times is what was there, and what has come since, without what is there.  An instance that comes and goes
between two looks is not seen.  The journal keeps the newest Usage of each annex, written when anything has changed.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final

from annexd.annex.fleet.capacity_pool import CapacityPool, Launch
from annexd.annex.index import AnnexIndex, AnnexRecord
from annexd.annex.request.order import FleetOrder
from annexd.annex.spending import Prices, Spending
from annexd.workflow import SUCCESS, State, Unreadable, from_json

MOST_POOLS: Final = 200  # of an annex; what is beyond them is counted, and has no price
NO_POOL: Final = CapacityPool(market="unknown")


@dataclass(frozen=True)
class Usage:
    """What was seen by `at_s`, in seconds since the epoch: `running` instances, and `ended` ones before."""

    at_s: float
    end_s: int  # of the lease
    cancelled: bool = False
    running: int = 0
    launched_s: float = 0.0  # the sum of the running ones' launch times
    newest_s: float = 0.0  # the newest launch time that was seen: what is newer was not there before
    ended: int = 0
    ended_s: float = 0.0  # instance-seconds of those that ended
    error_s: float = 0.0  # by which that may be wrong
    dollars: float = 0.0  # of pools of which nothing runs any more and all is priced
    spendings: tuple[Spending, ...] = ()  # of the others

    def after(self, seen: Sequence[Launch], now_s: float) -> "Usage":
        """Return it after a look that saw these run."""
        launches = [each.at_s for each in seen]
        newcomers = [each for each in launches if each > self.newest_s]
        gone = max(0, self.running + len(newcomers) - len(launches))
        launched_s = sum(launches)
        gone_launched_s = self.launched_s + sum(newcomers) - launched_s if gone else 0.0
        ended_at_s, error_s = (self.at_s + now_s) / 2, max(0.0, now_s - self.at_s) / 2
        return replace(
            self,
            at_s=now_s,
            running=len(launches),
            launched_s=launched_s,
            newest_s=max([self.newest_s, *launches]),
            ended=self.ended + gone,
            ended_s=self.ended_s + max(0.0, gone * ended_at_s - gone_launched_s),
            error_s=self.error_s + gone * error_s,
            spendings=tuple(self._spent(seen, now_s)),
        )

    def _spent(self, seen: Sequence[Launch], now_s: float) -> Iterator[Spending]:
        known = {each.pool: each for each in self.spendings}
        pools: dict[CapacityPool, list[float]] = {pool: [] for pool in known}
        for each in seen:
            pool = each.pool if each.pool in pools or len(pools) < MOST_POOLS else NO_POOL
            pools.setdefault(pool, []).append(each.at_s)
        for pool, launches in pools.items():
            yield known.get(pool, Spending(pool)).after(launches, self.at_s, now_s)

    def priced(self, prices: Mapping[CapacityPool, Prices]) -> "Usage":
        """Return it with what ran until `at_s` priced, where there are prices; the same if that is no news."""
        spendings = [each.priced(prices.get(each.pool, ()), self.at_s) for each in self.spendings]
        if not any(new.has_news(old) for new, old in zip(spendings, self.spendings, strict=True)):
            return self
        left = tuple(each for each in spendings if each.running or each.since_s is not None)
        done = sum(each.dollars for each in spendings if each not in left)
        return replace(self, dollars=self.dollars + done, spendings=left)

    def until_s(self, now_s: float) -> float:
        """Return until when what ran at the newest look is taken to run: now, or the lease's end."""
        return min(now_s, max(self.end_s, self.at_s))

    def seconds(self, now_s: float) -> float:
        """Return the instance-seconds until now, or until the lease's end."""
        until_s = self.until_s(now_s)
        return max(0.0, self.ended_s + self.running * until_s - self.launched_s)

    @property
    def facts(self) -> tuple[object, ...]:
        """What is worth a record when it has changed."""
        return self.end_s, self.cancelled, self.running, self.launched_s, self.ended


def usage_of(state: State) -> Usage | None:
    """Return what the journal keeps of an annex's order; None before it was seen, or where it cannot be read."""
    try:
        return None if state.usage is None else from_json(Usage, state.usage)
    except Unreadable:
        return None


class UsageRecorder:
    """Follows the annexes of the journal from look to look.  Thread-safe."""

    def __init__(self, index: AnnexIndex) -> None:
        self._index = index
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, Usage]] = {}  # by command ID: the account's key, what was seen

    def record(self, key: str, launches: Mapping[str, Sequence[Launch]], at_s: float) -> None:
        """Take what runs in one account, by annex ID.  Raises JournalError."""
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
        """Price what ran in these accounts, by their keys.  Raises JournalError."""
        with self._lock:
            for command_id, (key, usage) in list(self._known.items()):
                priced = usage.priced(prices) if key in keys else usage
                if priced is not usage:
                    self._index.engine.note_usage(command_id, priced)
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
        return order.target.key, usage_of(state) or Usage(0.0, annex.end_of_lease_s)

    def _recorded(
        self, annex: AnnexRecord, known: Usage, launches: Mapping[str, Sequence[Launch]], at_s: float
    ) -> Usage:
        cancellation = self._index.cancellation(annex.annex_id)
        cancelled = cancellation is not None and cancellation.finished is not None
        seen = replace(
            known.after(launches.get(annex.annex_id, ()), at_s), end_s=self._index.end_s(annex), cancelled=cancelled
        )
        if seen.facts != known.facts:
            self._index.engine.note_usage(annex.command_id, seen)
        return seen
