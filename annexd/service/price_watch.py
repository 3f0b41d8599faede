"""Query the prices of past usage, seldom and in the background: no look, order or client waits for it.

One query serves all annexes of an account and region.  If keys lack the permission, other keys of the account are
tried; if all lack it, the costs stay unknown, and the query is repeated later.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from annexd.annex.fleet.capacity_pool import CapacityPool
from annexd.annex.past_prices import PastPrices, Place, past_prices
from annexd.annex.request.account_target import AccountTarget
from annexd.annex.request.defaults import Defaults
from annexd.annex.spending import Prices
from annexd.annex.steps import StepContext
from annexd.annex.usage_recorder import UsageRecorder
from annexd.daemoncore import log
from annexd.daemoncore.threads import in_thread
from annexd.workflow import JournalError, Refused, Retry


@dataclass(frozen=True)
class PricePace:
    """Seconds between two queries for one place."""

    tick_s: float = 10.0
    again_s: float = 600.0
    new_s: float = 60.0  # if there are pools that were not queried before
    denied_s: float = 3600.0  # with the same keys, if they may not see Spot prices
    listed_s: float = 86400.0  # for the same On-Demand price


@dataclass
class _Asked:
    """The queries for one place; times are monotonic."""

    at_s: float = float("-inf")
    pools: frozenset[CapacityPool] = frozenset()
    listed: dict[CapacityPool, tuple[Prices, float]] = field(default_factory=dict)


class PriceWatch:
    """Prices the usage that a UsageRecorder has seen; `targets` are the reconciled accounts, by their keys."""

    def __init__(
        self,
        context: StepContext,
        usage: UsageRecorder,
        targets: Callable[[], Mapping[str, AccountTarget]],
        defaults: Defaults,
        pace: PricePace = PricePace(),
    ) -> None:
        self._context, self._usage, self._targets, self._pace = context, usage, targets, pace
        self._defaults = defaults
        self._asked: dict[Place, _Asked] = {}
        self._denied_s: dict[str, float] = {}  # by the account's key, monotonic
        self._asking: dict[Place, asyncio.Task[None]] = {}

    def reconfigure(self, defaults: Defaults) -> None:
        self._defaults = defaults
        self._asked.clear()  # the price table may have changed
        self._denied_s.clear()

    async def run(self) -> None:
        """Query the prices of each place when it is due, until cancelled."""
        try:
            while True:
                self._begin(await in_thread(self._usage.unpriced))
                await asyncio.sleep(self._pace.tick_s)
        finally:
            for task in self._asking.values():
                task.cancel()

    def _begin(self, unpriced: Mapping[str, Mapping[CapacityPool, float]]) -> None:
        targets = dict(self._targets())
        places: dict[Place, dict[str, AccountTarget]] = {}
        for key in unpriced.keys() & targets.keys():
            places.setdefault(Place.of(targets[key]), {})[key] = targets[key]
        self._denied_s = {key: at_s for key, at_s in self._denied_s.items() if key in targets}
        self._asking = {place: task for place, task in self._asking.items() if not task.done()}
        self._asked = {place: asked for place, asked in self._asked.items() if place in places}
        for place, there in places.items():
            pools: dict[CapacityPool, float] = {}
            for key in there:
                for pool, since_s in unpriced[key].items():
                    pools[pool] = min(since_s, pools.get(pool, since_s))
            if place not in self._asking and self._is_due(place, pools):
                self._asking[place] = asyncio.create_task(self._ask(place, there, pools))

    def _is_due(self, place: Place, pools: Mapping[CapacityPool, float]) -> bool:
        asked = self._asked.setdefault(place, _Asked())
        passed_s = time.monotonic() - asked.at_s
        return passed_s >= (self._pace.again_s if pools.keys() <= asked.pools else self._pace.new_s)

    async def _ask(
        self, place: Place, targets: Mapping[str, AccountTarget], pools: Mapping[CapacityPool, float]
    ) -> None:
        asked, now_s = self._asked.setdefault(place, _Asked()), time.monotonic()
        asked.at_s, asked.pools = now_s, frozenset(pools)
        listed = {pool: prices for pool, (prices, at_s) in asked.listed.items() if now_s - at_s < self._pace.listed_s}
        wanted = {pool: since_s for pool, since_s in pools.items() if pool not in listed}
        found = await self._answer(targets, wanted) if wanted else {}
        asked.listed |= {pool: (prices, now_s) for pool, prices in found.items() if not pool.market}
        try:
            await in_thread(lambda: self._usage.price(targets.keys(), {**listed, **found}))
        except JournalError:
            return  # JournalMonitor reports it; the prices are queried again

    async def _answer(
        self, targets: Mapping[str, AccountTarget], pools: Mapping[CapacityPool, float]
    ) -> Mapping[CapacityPool, Prices]:
        """Return AWS's response to the first keys with the permission."""
        prices: dict[CapacityPool, Prices] = {}
        for key, target in targets.items():
            if time.monotonic() - self._denied_s.get(key, float("-inf")) < self._pace.denied_s:
                continue
            answer = await self._answer_to(target, pools)
            prices |= answer.prices if answer else {}
            if answer and answer.is_denied:
                self._denied_s[key] = time.monotonic()
            elif answer:
                return prices
        return prices

    async def _answer_to(self, target: AccountTarget, pools: Mapping[CapacityPool, float]) -> PastPrices | None:
        try:
            return await in_thread(lambda: past_prices(self._context, target, self._defaults, pools))
        except (Retry, Refused) as error:
            log.full_debug(f"Prices cannot be queried: {error}")
        except Exception as error:  # noqa: BLE001  the edge of this task: costs stay unknown, nothing else fails
            log.error(f"Prices cannot be queried: internal error: {type(error).__name__}: {error}")
        return None
