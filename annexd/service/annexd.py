"""annexd: an HTCondor daemon that takes orders for annexes.

The journal is opened first.  Only one process can open it, so a second annexd exits before it touches anything that the
first one uses.  Unfinished orders stay in the journal for the next start.
"""

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from annexd.annex.commands import CommandContext
from annexd.annex.fleet.access import KeyFiles
from annexd.annex.index import AnnexIndex
from annexd.annex.preload import preload
from annexd.annex.request.defaults import Defaults
from annexd.annex.reservations import Reservations
from annexd.annex.settlement import Settlement
from annexd.annex.status import known_annexes
from annexd.annex.steps import StepContext, annex_steps
from annexd.annex.workflows import index_of
from annexd.cedar.commands import CA_AUTH_CMD, CA_CMD, COMMANDS, Command
from annexd.daemoncore import log
from annexd.daemoncore.commands.call import Handler
from annexd.daemoncore.config.parameters import Parameters
from annexd.daemoncore.daemon import Attributes, CannotStart, Daemon, Start
from annexd.daemoncore.pool.outbound import Outbound
from annexd.daemoncore.pool.statistics import Counters
from annexd.daemoncore.security.credentials import SigningKeys
from annexd.service import budget_knobs, misspelled_knobs, runtime_watch
from annexd.service.annex_ads import OF_BUDGETS, OF_DEMAND, OF_OFFERS, AdKind, AnnexAds
from annexd.service.archiver import Archiver
from annexd.service.budget_watch import BudgetWatch, advertised_budgets
from annexd.service.bundle_sources import HostBundleSources
from annexd.service.capacity_watch import CapacityWatch, WatchedFleet
from annexd.service.configuration import Configuration
from annexd.service.demand import Demand
from annexd.service.demand_extensions import ExtendContext
from annexd.service.demand_look import DemandSources
from annexd.service.demand_orders import OrderContext
from annexd.service.demand_report import demand_ads, offer_ads
from annexd.service.journal_monitor import JournalMonitor
from annexd.service.offer_book import OfferBook
from annexd.service.orders import Orders
from annexd.service.pool_view import PoolView
from annexd.service.price_watch import PriceWatch
from annexd.service.reconciler import Reconciler
from annexd.service.requester_files import RequesterFiles
from annexd.service.requester_profiles import RequesterProfiles
from annexd.service.statistics import JournalStatistics
from annexd.workflow import Engine, Journal, JournalError, Json, Kind


class Annexd(Daemon[Configuration]):
    """The daemon: connects orders, journal, archiver and reconciler."""

    settings_class = Configuration

    def __init__(self, start: Start, settings: Configuration) -> None:
        try:
            self._journal = Journal(settings.journal, written=_log_record)
        except JournalError as error:
            raise CannotStart(str(error)) from error
        super().__init__(start, settings)
        self._files = files = RequesterFiles(settings.uid_domain)
        self._profiles = RequesterProfiles(files, may_run=settings.annex.allow_credential_process)
        self._access = access = KeyFiles(files.read, defaults=settings.annex, profiles=self._profiles)
        self._bundle_sources = HostBundleSources(SigningKeys.read(Parameters()), files.read_folder)
        steps = StepContext(access, bundle_sources=self._bundle_sources)
        engine = Engine(self._journal, annex_steps(steps), steady_s=time.monotonic, report=log.always)
        index = index_of(engine, steps)
        self._journal_monitor = JournalMonitor(self._journal, engine, self.update_ad_soon)
        self._statistics = JournalStatistics(self._journal, index, self.update_ad_soon)
        self._capacity = CapacityWatch(steps, self._demand_fleets)
        self._reconciler = Reconciler(
            steps,
            access,
            index,
            settings.annex,
            settings.reconcile_interval_s,
            self.update_ad_soon,
            learn=self._capacity.learn,
        )
        self._prices = PriceWatch(steps, self._reconciler.usage, self._reconciler.targets, settings.annex)
        self._pool_outbound = outbound = Outbound(start.environment)
        self._pool_view = view = PoolView(outbound, self._collectors)
        self._annex_ads = AnnexAds(
            outbound,
            lambda: known_annexes(index, time.time(), self._reconciler.looks(), view.snapshot()),
            self._shown_version,
            self.identity,
            self._collectors,
            lambda: self.settings.publication.update_interval_s,
        )
        self._reservations = reservations = Reservations(index, steps, budget_knobs.rules(settings.budgets))
        self._archiver = Archiver(self._journal, index, reservations)
        self._budgets = BudgetWatch(Settlement(index, reservations), self._reconciler.looks)
        self._budget_ads = self._ads(lambda: advertised_budgets(reservations, time.time()), OF_BUDGETS)
        context = CommandContext(
            index,
            steps,
            self._bundle_sources,
            self._reconciler.looks,
            view.snapshot,
            reservations=reservations,
            demand=self._demand_report,
        )
        self._orders = Orders(context, settings.annex, settings.orders, self._journal_monitor.recount, view.refresh)
        self._offers = OfferBook(steps, self._bundle_sources, settings.annex, reservations)
        self._demand = self._make_demand(start, settings, index)
        self._offer_ads = self._ads(lambda: offer_ads(self._demand.report()), OF_OFFERS)
        self._demand_ads = self._ads(lambda: demand_ads(self._demand.report()), OF_DEMAND)

    def _make_demand(self, start: Start, settings: Configuration, index: AnnexIndex) -> Demand:
        view = self._pool_view
        sources = DemandSources(index, self._reconciler.looks, view.snapshot, view.refresh, self._collectors)
        ordering = OrderContext(
            self._orders.order, self._offers.facts, self._capacity.picture, lambda: self.settings.annex.subnet_ids
        )
        extending = ExtendContext(self._orders.extend, lambda: self.settings.annex.max_lease_s)
        return Demand(sources, ordering, extending, self._offers, start.environment, settings.name, settings.demand)

    def _collectors(self) -> tuple[str, ...]:
        return self.settings.publication.collectors

    def _ads(self, describe: Callable[[], list[Json]], kind: AdKind) -> AnnexAds:
        return AnnexAds(
            self._pool_outbound,
            describe,
            describe,
            self.identity,
            self._collectors,
            lambda: self.settings.publication.update_interval_s,
            kind,
        )

    def _demand_fleets(self) -> Sequence[WatchedFleet]:
        return self._demand.fleets()

    def _demand_report(self) -> Json:
        return self._demand.report()

    def _shown_version(self) -> object:
        """Return a value that changes whenever -status shows something else."""
        looks = {key: (look.at_s, look.fault) for key, look in self._reconciler.looks().items()}
        return self._journal.last_seq(), looks, self._pool_view.snapshot().annexes

    def commands(self) -> Mapping[Command, Handler]:
        return {COMMANDS[number]: self._orders.take for number in (CA_AUTH_CMD, CA_CMD)}

    def attributes(self) -> Attributes:
        parts = (self._journal_monitor, self._statistics, self._orders, self._reconciler)
        watched = runtime_watch.status(runtime_watch.today())
        capacity = self._capacity.status(time.time())
        return {**{name: value for part in parts for name, value in part.status().items()}, **watched, **capacity}

    def counters(self) -> Counters:
        return {**self._journal_monitor.counters(), **self._access.counters()}

    async def prepare(self) -> None:
        misspelled_knobs.warn()
        try:
            await self._journal_monitor.first_count()
        except JournalError as error:
            raise CannotStart(str(error)) from error

    def tasks(self) -> list[Coroutine[Any, Any, None]]:
        return [
            self._journal_monitor.count(),
            self._journal_monitor.watch(self._orders.journal_is_writable),
            self._statistics.run(),
            self._reconciler.run(),
            self._prices.run(),
            runtime_watch.watch(),
            self._archiver.run(),
            self._annex_ads.run(),
            self._budgets.run(),
            self._budget_ads.run(),
            self._demand.run(),
            self._capacity.run(),
            self._offer_ads.run(),
            self._demand_ads.run(),
            self._orders.continue_unfinished(),
        ]

    def ready(self) -> None:
        # Not earlier: before the daemon is ready, it would compete for the interpreter.
        threading.Thread(target=_preload, args=(self.settings.annex,), daemon=True).start()

    def reconfigure(self, settings: Configuration) -> None:
        self._orders.reconfigure(settings)
        self._reconciler.reconfigure(settings)
        self._prices.reconfigure(settings.annex)
        self._offers.reconfigure(settings.annex)
        self._demand.reconfigure(settings.demand)
        self._files.reconfigure(settings.uid_domain)
        self._access.reconfigure(settings.annex)
        self._profiles.reconfigure(settings.annex)
        self._bundle_sources.reconfigure(SigningKeys.read(Parameters()))
        self._pool_view.reconfigure()
        self._reservations.reconfigure(budget_knobs.rules(settings.budgets))
        misspelled_knobs.warn()

    async def finish(self, timeout_s: float, fast: asyncio.Event) -> None:
        await self._orders.pause(timeout_s, fast)
        await self._demand.withdraw()
        for ads in (self._annex_ads, self._budget_ads, self._offer_ads, self._demand_ads):
            await ads.withdraw()
        await self._pool_outbound.close()

    def close(self) -> None:
        self._journal.close()


def _preload(defaults: Defaults) -> None:
    """Load modules and freeze them.  Collecting them later would stop the event loop for 75 ms (measured)."""
    preload(defaults)
    gc.collect()
    gc.freeze()


def _log_record(command_id: str, step: str, kind: Kind, body: Json) -> None:
    """Log a line for each step at D_FULLDEBUG, after the record is on the disk."""
    error = f": {body['error']}" if body.get("error") else ""
    log.full_debug(f"request {command_id}: {f'{step} ' if step else ''}{kind}{error}")
