"""Turn the pool's idle jobs into leased machines: look, decide, order and extend, once per interval."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial

from annexd.daemoncore import log
from annexd.daemoncore.threads import in_thread
from annexd.demand.decision import decide
from annexd.service.capacity_watch import WatchedFleet
from annexd.service.demand_extensions import DemandExtensions, ExtendContext
from annexd.service.demand_look import DemandLook, DemandSources
from annexd.service.demand_orders import DemandOrders, OrderContext
from annexd.service.demand_report import report
from annexd.service.demand_settings import ENFORCE, OFF, DemandSettings
from annexd.service.demand_situation import situation
from annexd.service.offer_book import OfferBook
from annexd.workflow import Json


class Demand:
    """Looks, decides, orders and extends; `name` is annexd's name in the pool."""

    def __init__(
        self,
        sources: DemandSources,
        ordering: OrderContext,
        extending: ExtendContext,
        book: OfferBook,
        environment: Mapping[str, str],
        name: str,
        settings: DemandSettings,
    ) -> None:
        self._settings = settings
        self._look = DemandLook(sources, book, environment, name, settings)
        self._soon = asyncio.Event()
        self._orders = DemandOrders(ordering, self._soon.set)
        self._extensions = DemandExtensions(extending, self._soon.set)
        self._report: Json = report(settings, {}, [], None, None, [])
        self._fleets: Sequence[WatchedFleet] = ()
        self._running: asyncio.Task[None] | None = None
        _log_unusable(settings)

    def report(self) -> Json:
        """Return the data that -demand and -offers show.  Thread-safe."""
        return self._report

    def fleets(self) -> Sequence[WatchedFleet]:
        """Return the living fleets of offers, as of the last look."""
        return self._fleets

    def reconfigure(self, settings: DemandSettings) -> None:
        self._settings = settings
        _log_unusable(settings)
        self._orders.reconfigure()
        self._extensions.reconfigure()
        self._look.reconfigure(settings)
        self._soon.set()

    async def run(self) -> None:
        """Look and decide, until cancelled."""
        self._running = asyncio.current_task()
        while True:
            began_s = time.monotonic()
            self._soon.clear()
            try:
                await self._round()
            except Exception as error:  # noqa: BLE001  the edge of demand: manual orders and leases continue
                fault = f"internal error: {type(error).__name__}: {error}"
                log.error(f"Demand: {fault}")
                self._report = {**self._report, "Faults": [fault]}
            left_s = self._settings.interval_s - (time.monotonic() - began_s)
            try:
                async with asyncio.timeout(max(left_s, 1.0)):
                    await self._soon.wait()
            except TimeoutError:
                continue

    async def withdraw(self) -> None:
        """Remove the ghosts from the pool, and end the workers."""
        self._orders.cancel()
        self._extensions.cancel()
        if self._running is not None:  # otherwise a round that waits for a negotiator would show its ghosts later
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        if self._settings.mode != OFF:
            await self._look.withdraw_ghosts()
        await self._look.close()

    async def _round(self) -> None:
        settings = self._settings
        if settings.mode == OFF or not settings.offers:
            self._fleets = ()
            await self._look.withdraw_ghosts()
            self._report = report(settings, {}, [], None, None, [])
            return
        found = await self._look.look(settings, self._orders.running())
        self._fleets = found.fleets
        self._orders.look(found)
        now = situation(found, lambda offer: self._orders.why_closed(offer, found))
        decision = await in_thread(partial(decide, now))
        extensions = self._extensions.decide(found)
        await self._look.show(found, decision.ghosts)
        if settings.mode == ENFORCE:
            self._extensions.extend(found, extensions)
            for offer in settings.offers:
                if machines := decision.orders.get(offer.name):
                    self._orders.order(settings, offer, machines)
        self._report = report(settings, found.facts, now.offers, found.groups, decision, found.faults, extensions)


def _log_unusable(settings: DemandSettings) -> None:
    for name, why in settings.faults.items():
        log.error(f"Offer {name} cannot be used: {why}")
