"""The cost of the instances of one capacity pool: a sum that is priced step by step, and the changes since then.

Between two looks at AWS only starts and ends are kept, as the time of each and the number; prices are queried later and
seldom, since AWS keeps them for 90 days (EC2 API reference, DescribeSpotPriceHistory).  Once priced, the sum stays.
Time is priced only until the newest look: ends after it are unknown before the next one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from annexd.annex.fleet.capacity_pool import CapacityPool

HOUR_S: Final = 3600.0
LEAST_S: Final = 60.0  # billed of each instance: EC2 pricing page, "per second, with a minimum of 60 seconds"
MOST_CHANGES: Final = 64  # of a pool
KNOWN_S: Final = 86400.0  # time for which the newest price is assumed to hold if it cannot be queried again
RENEWED_S: Final = 6 * HOUR_S  # after which a sum is written to the journal even if no price has changed

# When each price begins (seconds since the epoch), and dollars an hour, in order of time.
Prices: TypeAlias = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Change:
    """This many more instances, or fewer with a negative number, at this time (seconds since the epoch)."""

    at_s: float
    number: int

    def is_over(self, now_s: float) -> bool:
        """Return whether the minimum time of a launch has passed, or the time of an end has come."""
        return self.at_s + (LEAST_S if self.number > 0 else 0.0) <= now_s

    def seconds(self, until_s: float) -> float:
        """Return the instance-seconds that are billed for it until then."""
        return self.number * max(LEAST_S if self.number > 0 else 0.0, until_s - self.at_s)


@dataclass(frozen=True)
class Spending:
    """`dollars` until `priced_s`, when `level` instances ran, and the changes that are not in it.

    `rate`: the newest known price in dollars an hour; None: no price was ever known.
    """

    pool: CapacityPool
    running: int = 0  # at the newest look
    launched_s: float = 0.0  # the sum of their launch times
    newest_s: float = 0.0  # the newest launch time that was seen
    priced_s: float = 0.0
    level: int = 0
    changes: tuple[Change, ...] = ()
    dollars: float = 0.0
    rate: float | None = None

    def after(self, launches: Sequence[float], before_s: float, now_s: float) -> "Spending":
        """Return the spending after a look at `now_s` that saw these run; see usage.Usage for the sums."""
        newcomers = [each for each in launches if each > self.newest_s]
        gone = max(0, self.running + len(newcomers) - len(launches))
        changes = [*self.changes, *(Change(each, 1) for each in newcomers)]
        if gone:
            mean_s = (self.launched_s + sum(newcomers) - sum(launches)) / gone
            changes.append(Change(max((before_s + now_s) / 2, mean_s + LEAST_S), -gone))
        return replace(
            self,
            running=len(launches),
            launched_s=sum(launches),
            newest_s=max([self.newest_s, *launches]),
            changes=_bounded(changes),
        )

    @property
    def since_s(self) -> float | None:
        """Return the time since when it needs prices; None if all of it is priced."""
        times = [each.at_s for each in self.changes] + ([self.priced_s] if self.level else [])
        return min(times, default=None)

    def priced(self, prices: Prices, until_s: float) -> "Spending":
        """Return the spending with these prices; unchanged if they do not reach back far enough."""
        since_s = self.since_s
        if since_s is None or since_s >= until_s or not prices or prices[0][0] > since_s:
            return self
        counted = tuple(each for each in self.changes if each.is_over(until_s))
        items = (Change(self.priced_s, self.level), *counted) if self.level else counted
        return replace(
            self,
            priced_s=until_s,
            level=self.level + sum(each.number for each in counted),
            changes=tuple(each for each in self.changes if each not in counted),
            dollars=self.dollars + sum(each.number * _dollars(prices, each.at_s, until_s) for each in items),
            rate=[price for at_s, price in prices if at_s <= until_s][-1],
        )

    def has_news(self, before: "Spending") -> bool:
        """Return whether it is worth a record: a price changed, ended instances are priced, or much time has passed."""
        return (
            self.rate != before.rate or self.changes != before.changes or self.priced_s - before.priced_s >= RENEWED_S
        )

    def cost(self, until_s: float) -> float:
        """Return the dollars until then: time after the priced part counts at the newest price, for as long as that may
        hold.
        """
        until_s = min(until_s, self.priced_s + KNOWN_S)
        seconds = self.level * max(0.0, until_s - self.priced_s) + sum(each.seconds(until_s) for each in self.changes)
        return max(0.0, self.dollars + (self.rate or 0.0) * seconds / HOUR_S)

    def unpriced(self, until_s: float) -> int:
        """Return the number of instances whose cost is unknown, or unknown until then."""
        if self.since_s is None or (self.rate is not None and until_s <= self.priced_s + KNOWN_S):
            return 0
        return self.level + sum(each.number for each in self.changes if each.number > 0)


def _dollars(prices: Prices, from_s: float, until_s: float) -> float:
    """Return the cost of one instance between the two times; each price holds until the next."""
    ends_s = [at_s for at_s, _ in prices[1:]] + [until_s]
    held = (
        (price, min(end_s, until_s) - max(at_s, from_s)) for (at_s, price), end_s in zip(prices, ends_s, strict=True)
    )
    return sum(price * max(0.0, seconds) for price, seconds in held) / HOUR_S


def _bounded(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Return them in order, with those of nearly the same time merged into one at their mean: the instance-seconds stay
    the same.
    """
    found, width_s = sorted(changes, key=lambda each: each.at_s), 1.0
    while len(found) > MOST_CHANGES:
        groups: dict[tuple[bool, int], list[Change]] = {}
        for each in found:
            groups.setdefault((each.number > 0, int(each.at_s // width_s)), []).append(each)
        found = sorted(map(_mean, groups.values()), key=lambda each: each.at_s)
        width_s *= 2
    return tuple(found)


def _mean(changes: Sequence[Change]) -> Change:
    number = sum(each.number for each in changes)
    return Change(sum(each.number * each.at_s for each in changes) / number, number)
