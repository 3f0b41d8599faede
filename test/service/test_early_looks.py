"""annexd checks soon after an order whether instances run, since an hour later would be too late."""

import asyncio
import contextlib
import time
from collections.abc import Iterator

import pytest

from annexd.annex.fleet.access import KeyFiles
from annexd.annex.index import AnnexIndex
from annexd.annex.living import ATTENTION_S, YOUNG_S, Living
from annexd.annex.steps import StepContext
from annexd.service.reconciler import EarlyLooks, Reconciler
from annexd.workflow import Journal
from test.annex.site import Site
from test.replies import accepted
from test.service.reconciling import until

EARLY = EarlyLooks()


@pytest.fixture
def journal(site: Site) -> Iterator[Journal]:
    site.cloud.behave(fleet_trouble="role")
    accepted(site.order())
    journal = site.journal()
    yield journal
    journal.close()
    site.cloud.behave(fleet_trouble="", history_late_s=0.0)


def test_a_failure_to_start_is_known_long_before_the_next_reconciliation(site: Site, journal: Journal) -> None:
    """The event appears late, so the first look does not see it."""
    site.cloud.behave(history_late_s=2.0)

    async def lives() -> None:
        access = KeyFiles(site.read_as, site.cache, defaults=site.trusting())
        early = EarlyLooks(after_s=(1.0, 4.0), pause_s=0.2)
        reconciler = Reconciler(
            StepContext(access, site.now_s),
            access,
            AnnexIndex(site.engine(journal)),
            site.defaults,
            3600,
            lambda: None,
            early,
        )
        task = asyncio.create_task(reconciler.run())

        def troubles() -> str:
            return " ".join(each.text for look in reconciler.looks().values() for each in look.troubles.values())

        await until(lambda: "iamFleetRoleInvalid" in troubles(), troubles)
        assert reconciler.status()["AnnexTroubled"] == 1
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(lives())


def test_an_account_is_due_once_after_each_early_time() -> None:
    asked_s = 1000.0
    for after_s in EARLY.after_s:
        due_s = asked_s + after_s
        assert not EARLY.is_due([asked_s], due_s - 20.0, due_s - 0.1)
        assert EARLY.is_due([asked_s], due_s - 20.0, due_s)
        assert not EARLY.is_due([asked_s], due_s, due_s + 10.0)
    assert not EARLY.is_due([asked_s], asked_s + EARLY.after_s[-1], asked_s + 100_000.0)
    assert not EARLY.is_due([], 0.0, asked_s)


def test_the_first_look_comes_when_aws_shows_the_first_events() -> None:
    """Events are delayed by up to 30 s (EC2 API reference, DescribeSpotFleetRequestHistory)."""
    assert 30.0 < EARLY.after_s[0] <= 60.0
    assert EARLY.after_s[-1] < YOUNG_S


def test_new_fleets_are_known_after_a_restart_and_forgotten_later(site: Site, journal: Journal) -> None:
    for _ in range(2):
        living, now_s = Living(site.engine(journal)), time.time()
        [key] = living.targets(now_s)
        [asked_s] = living.fleets_asked_s(now_s)[key]
        assert abs(asked_s - now_s) < 20
    assert living.fleets_asked_s(now_s + YOUNG_S + 30) == {key: [asked_s]}
    assert living.fleets_asked_s(now_s + YOUNG_S + 30) == {}
    late = Living(site.engine(journal))
    late.targets(now_s + 3 * YOUNG_S)
    assert late.fleets_asked_s(now_s + 3 * YOUNG_S) == {}


def test_an_account_is_attended_after_each_command_and_around_each_end(site: Site, journal: Journal) -> None:
    living, now_s = Living(site.engine(journal)), time.time()
    [key], order = living.targets(now_s), next(iter(living._orders.values()))
    end_s = order[1]
    assert end_s > now_s + 3 * ATTENTION_S, "so that the two times are apart"
    attended = [now_s + 60, now_s + ATTENTION_S - 1, end_s - ATTENTION_S + 1, end_s + ATTENTION_S - 1]
    others = [now_s + ATTENTION_S + 1, end_s - ATTENTION_S - 1, end_s + ATTENTION_S + 1]
    assert [living.attended(at_s) for at_s in attended] == [{key}] * len(attended)
    assert [living.attended(at_s) for at_s in others] == [set()] * len(others)


def test_an_attended_account_is_looked_at_each_minute_without_an_early_look(site: Site, journal: Journal) -> None:
    async def lives() -> int:
        access = KeyFiles(site.read_as, site.cache, defaults=site.trusting())
        early = EarlyLooks(after_s=(), pause_s=0.1, attended_s=0.2)
        index, began_s = AnnexIndex(site.engine(journal)), list[float]()
        context = StepContext(access, site.now_s)
        reconciler = Reconciler(context, access, index, site.defaults, 3600, lambda: None, early)
        task = asyncio.create_task(reconciler.run())

        def looks() -> int:
            began_s.extend(look.at_s for look in reconciler.looks().values())
            return len(set(began_s))

        await until(lambda: looks() >= 3, lambda: str(looks()))
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return looks()

    assert asyncio.run(lives()) >= 3
