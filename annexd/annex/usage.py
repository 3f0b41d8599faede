"""How long the instances of an annex ran, from what reconciliation sees: a sum that survives restarts.

Each look gives the launch times of running instances (DescribeInstances, LaunchTime).  What ran at the look before and
runs no more ended in between, so half of that time is its error.  Sums are enough: of the instances that are gone, the
sum of the launch times is what was there, and what has come since, without what is there.  An instance that comes and
goes between two looks is not seen.  The journal keeps the newest Usage of each annex, written when anything has
changed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from annexd.annex.fleet.capacity_pool import CapacityPool, Launch
from annexd.annex.spending import Prices, Spending
from annexd.workflow import State, Unreadable, from_json

MOST_POOLS: Final = 200  # of an annex; what is beyond them is counted, and has no price
NO_POOL: Final = CapacityPool(market="unknown")


@dataclass(frozen=True)
class Usage:
    """The instances seen by `at_s`, in seconds since the epoch: `running` instances, and `ended` ones before."""

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
        """Return what is worth a record when it has changed."""
        return self.end_s, self.cancelled, self.running, self.launched_s, self.ended


def usage_of(state: State) -> Usage | None:
    """Return what the journal keeps of an annex's order; None before it was seen, or where it cannot be read."""
    try:
        return None if state.usage is None else from_json(Usage, state.usage)
    except Unreadable:
        return None
