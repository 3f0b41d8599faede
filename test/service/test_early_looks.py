"""annexd checks soon after an order whether instances run: an hour later the answer is too late."""

import asyncio
import contextlib
import time
from collections.abc import Iterator

import pytest

from annexd.annex.fleet.access import KeyFiles
from annexd.annex.index import AnnexIndex
from annexd.annex.living import YOUNG_S, Living
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


def test_what_prevents_instances_from_starting_is_known_long_before_the_next_reconciliation(
    site: Site, journal: Journal
) -> None:
    """The event appears late, so that the look at the start does not see it."""
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
