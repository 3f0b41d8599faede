"""The cost of a whole decision with very many idle jobs: queries, comparison, packing and the report."""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path

from annexd.annex.fleet.access import no_access
from annexd.annex.index import AnnexIndex
from annexd.annex.join.config_bundle import NoBundleSources
from annexd.annex.request.defaults import Defaults
from annexd.annex.status import PoolSnapshot
from annexd.annex.steps import StepContext, annex_steps
from annexd.condor import bindings
from annexd.daemoncore.program import run_as
from annexd.daemoncore.threads import in_thread
from annexd.demand.decision import decide
from annexd.demand.idle_jobs import YOUNG_INTERVALS
from annexd.demand.offer import Offer
from annexd.service.demand_look import DemandLook, DemandSources
from annexd.service.demand_report import report
from annexd.service.demand_settings import OBSERVE, DemandSettings
from annexd.service.demand_situation import situation
from annexd.service.offer_book import OF_AD, OfferBook, OfferFacts, resources_in
from annexd.service.program import PROGRAM
from annexd.workflow import Engine, Journal
from test.bench.demand_jobs import LIMITS, fill, memory_mib, watch_loop
from test.demand.ads import machine
from test.demand.ghosts import GhostPool
from test.pool import PoolError

CLAUSES = ("true", "RequestMemory > 1000", "RequestCpus =?= 1", "RequestMemory < 100000")
INTERVAL_S = 5  # the first decision takes up to three; after that its pictures would be too old
DECISIONS = 4


class KnownOffers(OfferBook):
    """Offers whose facts are all known; a decision calls AWS only for the quotes of orders, ten minutes apart."""

    def __init__(self, steps: StepContext, offers: int) -> None:
        super().__init__(steps, NoBundleSources(), Defaults())
        self.offers = tuple(
            Offer(f"offer{n}", {}, "true", 3600, 100_000, jobs=CLAUSES[n % len(CLAUSES)], idle_age_s=0)
            for n in range(offers)
        )
        self._facts |= {each.name: _facts(n) for n, each in enumerate(self.offers)}
        self._offers |= {each.name: each for each in self.offers}

    async def refresh(self, _settings: DemandSettings) -> None:
        return

    def has_photograph(self, _offer: Offer) -> bool:
        return True


def _facts(number: int) -> OfferFacts:
    ad = machine(Cpus=2 << number % 4, Memory=4000 << number % 4)
    return OfferFacts(ad, resources_in(bindings.literals(ad)), OF_AD, 100_000 + 1000 * number)


def compare(jobs: int, kinds: int, slots: int, offers: int) -> None:
    """Raises PoolError."""
    run_as(PROGRAM)
    print("", f"{jobs} idle jobs of {kinds} kinds, {slots} free slots, {offers} offers of 4 clauses", sep="\n")
    with GhostPool([], LIMITS) as pool, tempfile.TemporaryDirectory() as directory:
        began_s = time.monotonic()
        fill(pool, jobs, kinds, slots)
        known_s = began_s + YOUNG_INTERVALS * INTERVAL_S + 1  # younger daemons are not trusted
        time.sleep(max(0.0, known_s - time.monotonic()))
        before = memory_mib()
        steps = StepContext(no_access)
        with closing(Journal(Path(directory) / "journal")) as journal:
            index = AnnexIndex(Engine(journal, annex_steps(steps)))
            asyncio.run(_decide(pool, jobs, KnownOffers(steps, offers), index))
        print(f"memory: {memory_mib() - before:.0f} MB more in annexd's process", flush=True)


async def _decide(pool: GhostPool, jobs: int, book: KnownOffers, index: AnnexIndex) -> None:
    settings = DemandSettings(OBSERVE, INTERVAL_S, asks_negotiator=False, owner="condor@test", offers=book.offers)
    sources = DemandSources(index, dict, PoolSnapshot, _nothing, lambda: (pool.collector,))
    look = DemandLook(sources, book, pool.env, "annexd@test", settings)
    try:
        for name in ("cold", *["warm"] * (DECISIONS - 1)):
            print(f"{name}: {await _measured(look, settings, jobs)}", flush=True)
    finally:
        await look.close()


async def _measured(look: DemandLook, settings: DemandSettings, jobs: int) -> str:
    ticker = asyncio.create_task(watch_loop())
    began_s, cpu_s = time.monotonic(), time.process_time()
    found = await look.look(settings)
    looked_s = time.monotonic() - began_s
    now = situation(found, lambda _: "")
    decision = await in_thread(partial(decide, now))
    shown = report(settings, found.facts, now.offers, found.groups, decision, found.faults)
    taken_s, used_s = time.monotonic() - began_s, time.process_time() - cpu_s
    ticker.cancel()
    counted = sum(part.jobs for parts in decision.groups.values() for part in parts)
    if counted != jobs:
        raise PoolError(f"{counted} of {jobs} jobs were decided: {found.faults}")
    return (
        f"{taken_s:6.2f} s, of these {looked_s:.2f} s to look and compare; CPU time of annexd's own process "
        f"{used_s:.2f} s, at most {1000 * await ticker:.0f} ms of it without a pause; {len(shown['Groups'])} groups "
        f"shown, {sum(decision.orders.values())} machines to order"
    )


async def _nothing() -> None:
    return
