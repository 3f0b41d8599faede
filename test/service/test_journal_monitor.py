"""A journal whose disk fails or hangs: the daemon's ad reports it, and the event loop never waits for it."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from annexd.annex.commands import CommandContext
from annexd.annex.index import AnnexIndex
from annexd.annex.join.config_bundle import NoBundleSources
from annexd.annex.request.defaults import Defaults
from annexd.annex.steps import StepContext
from annexd.service.configuration import OrderLimits
from annexd.service.journal_monitor import JournalMonitor, Times
from annexd.service.orders import Orders
from annexd.workflow import Engine, Journal, JournalError
from test.workflow import disk
from test.workflow.store import OWNER, Store, Thing, engine

LIMITS = OrderLimits(max_running=4)
QUICK = Times(look_s=0.01, probe_s=0.05, probe_in_trouble_s=0.05)
LARGE = Thing("x", padding="p" * 20_000)


class Probed(Journal):
    """Counts the probes that were tried."""

    probes = 0

    def probe(self) -> None:
        try:
            super().probe()
        finally:
            self.probes += 1


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Probed]:
    journal = Probed(tmp_path / "command_state")
    yield journal
    journal.close()


def context(annexes: Engine) -> CommandContext:
    """Return the context of a daemon whose orders act on the store of the tests instead of AWS."""
    return CommandContext(AnnexIndex(annexes), StepContext(lambda _: pytest.fail("AWS was asked")), NoBundleSources())


async def no_pool() -> None:
    """Do nothing: the collector is not queried here."""


async def until(condition: Callable[[], object], what: str) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s, f"timed out waiting for {what}"
        await asyncio.sleep(0.01)


def refused(annexes: Engine) -> bool:
    try:
        annexes.accept("2", OWNER, LARGE)
    except JournalError:
        return True
    return False


def test_the_ad_reports_a_full_disk_until_space_is_freed_and_waiting_orders_continue(journal: Probed) -> None:
    annexes = engine(journal, Store())
    recovered: list[bool] = []

    async def lives() -> None:
        journal_monitor = JournalMonitor(journal, annexes, lambda: None, QUICK)
        await journal_monitor.first_count()
        watch = asyncio.create_task(journal_monitor.watch(lambda: recovered.append(True)))
        assert journal_monitor.status()["AnnexJournalOK"] is True
        with disk.full(journal.path.with_name("command_state-wal")):
            assert refused(annexes)
            await until(lambda: journal_monitor.status()["AnnexJournalOK"] is False, "the ad to show it")
            assert "its disk fails" in str(journal_monitor.status()["AnnexJournalError"])
            before = journal.probes
            await until(lambda: journal.probes >= before + 2, "two failed probes")
            assert not recovered
        await until(lambda: recovered, "the recovery of the journal to be noticed")
        assert "AnnexJournalError" not in journal_monitor.status()
        watch.cancel()

    asyncio.run(lives())


def test_an_order_that_waits_for_the_journal_continues_as_soon_as_it_can_be_written(journal: Journal) -> None:
    store = Store()
    annexes = engine(journal, store)
    annexes.accept("1", OWNER, LARGE)

    async def lives() -> None:
        journal_monitor = JournalMonitor(journal, annexes, lambda: None, QUICK)
        orders = Orders(context(annexes), Defaults(), LIMITS, journal_monitor.recount, no_pool)
        with disk.full(journal.path.with_name("command_state-wal")):
            watch = asyncio.create_task(journal_monitor.watch(orders.journal_is_writable))
            await orders.continue_unfinished()
            await until(journal.trouble, "the order to meet the full disk")
            await until(lambda: not journal_monitor.status()["AnnexJournalOK"], "the daemon to notice")
            assert not store.things
        await until(lambda: not annexes.unfinished(), "the order to go on, long before a minute has passed")
        assert len(store.things) == 3
        watch.cancel()

    asyncio.run(lives())


def test_a_hanging_disk_blocks_neither_the_event_loop_nor_the_ad(journal: Journal) -> None:
    annexes = engine(journal, Store())

    async def lives() -> None:
        journal_monitor = JournalMonitor(journal, annexes, lambda: None, QUICK)
        await journal_monitor.first_count()
        orders = Orders(context(annexes), Defaults(), LIMITS, journal_monitor.recount, no_pool)
        tasks = [
            asyncio.create_task(work)
            for work in (journal_monitor.count(), journal_monitor.watch(lambda: None), orders.continue_unfinished())
        ]
        with journal._lock:  # held as by a write that hangs
            journal_monitor.recount()
            beats = 0
            while beats < 20:
                await asyncio.sleep(0.01)
                assert journal_monitor.status()["AnnexRequests"] == 0
                beats += 1
            assert not tasks[2].done()
        await until(tasks[2].done, "the daemon to go on")
        for task in tasks:
            task.cancel()

    asyncio.run(lives())


def test_an_idle_order_is_found_when_the_journal_can_be_written_again(journal: Journal) -> None:
    store = Store()
    annexes = engine(journal, store)
    annexes.accept("1", OWNER, LARGE)

    async def lives() -> None:
        orders = Orders(context(annexes), Defaults(), LIMITS, lambda: None, no_pool)
        orders.journal_is_writable()
        await until(lambda: not annexes.unfinished(), "the order to be carried out")

    asyncio.run(lives())
    assert len(store.things) == 3
