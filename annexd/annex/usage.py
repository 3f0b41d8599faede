"""The time for which the instances of an annex ran, as reconciliation sees it: a sum that survives restarts.

Each look gives the launch times of running instances (DescribeInstances, LaunchTime).  An instance that ran at the
previous look and runs no more ended in between, so half of that interval is its error.  Sums are enough: the launch
times of the ended instances add up to the previous sum plus the new launches, less the present sum.  An instance that
starts and ends between two looks is not seen.  The journal keeps the newest Usage of each annex, written when anything
has changed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from annexd.annex.fleet.capacity_pool import CapacityPool, Launch
from annexd.annex.spending import Prices, Spending
from annexd.workflow import State, Unreadable, from_json

MOST_POOLS: Final = 200  # of an annex; instances of further pools are counted, and have no price
NO_POOL: Final = CapacityPool(market="unknown")


@dataclass(frozen=True)
class Usage:
    """The instances seen by `at_s`, in seconds since the epoch: `running` instances, and `ended` ones before."""

    at_s: float
    end_s: int  # of the lease
    cancelled: bool = False
    running: int = 0
    launched_s: float = 0.0  # the sum of the running ones' launch times
    newest_s: float = 0.0  # the newest launch time that was seen: later launches are new
    ended: int = 0
    ended_s: float = 0.0  # instance-seconds of those that ended
    error_s: float = 0.0  # possible error of that
    dollars: float = 0.0  # of pools in which nothing runs any more and everything is priced
    spendings: tuple[Spending, ...] = ()  # of the other pools

    def after(self, seen: Sequence[Launch], now_s: float) -> "Usage":
        """Return the usage after a look that saw these run."""
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
        """Return the usage priced until `at_s`, as far as prices are known; unchanged if nothing is worth a record."""
        spendings = [each.priced(prices.get(each.pool, ()), self.at_s) for each in self.spendings]
        if not any(new.has_news(old) for new, old in zip(spendings, self.spendings, strict=True)):
            return self
        left = tuple(each for each in spendings if each.running or each.since_s is not None)
        done = sum(each.dollars for each in spendings if each not in left)
        return replace(self, dollars=self.dollars + done, spendings=left)

    def until_s(self, now_s: float) -> float:
        """Return the time until which the instances of the newest look are assumed to run: now, or the lease's end."""
        return min(now_s, max(self.end_s, self.at_s))

    def seconds(self, now_s: float) -> float:
        """Return the instance-seconds until now, or until the lease's end."""
        until_s = self.until_s(now_s)
        return max(0.0, self.ended_s + self.running * until_s - self.launched_s)

    @property
    def facts(self) -> tuple[object, ...]:
        """Return the values whose change is worth a record."""
        return self.end_s, self.cancelled, self.running, self.launched_s, self.ended


def usage_of(state: State) -> Usage | None:
    """Return the usage that the journal holds for an annex's order; None before the first look, or if it cannot be
    read.
    """
    try:
        return None if state.usage is None else from_json(Usage, state.usage)
    except Unreadable:
        return None
