"""Capacity that AWS refuses or takes back is known within a round of queries, of both APIs and within limits."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from annexd.annex.fleet.access import KeyFiles
from annexd.annex.fleet.capacity_news import CapacityNews, FleetCapacity
from annexd.annex.index import AnnexIndex
from annexd.annex.request.markets import ON_DEMAND, SPOT, FleetScope
from annexd.annex.request.order import FleetOrder
from annexd.annex.steps import StepContext
from annexd.demand import breaker
from annexd.demand.breaker import ANY_TYPE, FIRST_S, STORM_CLOSED_S, CapacityPoolKey
from annexd.demand.narrowing import Places, narrowed
from annexd.service.capacity_watch import MOST_ASKED, CapacityPace, CapacityPicture, CapacityWatch, WatchedFleet
from annexd.service.reconciler import Reconciler
from annexd.workflow import Journal
from test.annex.clouds import as_new
from test.annex.fleets import by_hand, ec2_fleet, fleet, instances_of, target
from test.annex.site import Site
from test.cloud.orders import request, specification
from test.replies import accepted
from test.service.reconciling import until

__all__ = ["as_new"]
pytestmark = pytest.mark.usefixtures("as_new")

PACE = CapacityPace(tick_s=0.05, histories_s=0.2, taken_s=0.2, fault_s=0.4)
FULL = {"m5.large us-east-1a spot": 0}
POOL, ANYWHERE = CapacityPoolKey("m5.large", "us-east-1a", SPOT), CapacityPoolKey("m5.large", None, SPOT)
SCOPE = FleetScope((SPOT,), ("m5.large",))
HISTORIES = ("DescribeSpotFleetRequestHistory", "DescribeFleetHistory")


@pytest.fixture(autouse=True)
def _open_again(site: Site) -> Iterator[None]:
    yield
    site.cloud.set_capacity(**dict.fromkeys(FULL))


def ordered(site: Site, api: str = "spot-fleet") -> WatchedFleet:
    fleet_id = fleet(site, "annex-1", 1000) if api == "spot-fleet" else ec2_fleet(site, "annex-1", 1000)
    return watched(site, fleet_id)


def of_type(site: Site, kind: str) -> tuple[WatchedFleet, list[str], CapacityPoolKey]:
    """Return a fleet of an unused type, its instances and its pool, since AWS lists ended instances for an hour."""
    specs = [specification(InstanceType=kind)]
    fleet_id = request(by_hand(site), 2, Type="request", LaunchSpecifications=specs)
    young = watched(site, fleet_id, scope=FleetScope((SPOT,), (kind,)))
    return young, instances_of(site, fleet_id), CapacityPoolKey(kind, "us-east-1a", SPOT)


def watched(site: Site, fleet_id: str, **more: Any) -> WatchedFleet:
    whole: dict[str, Any] = {"asked_s": time.time(), "until_s": time.time() + 600, "machines": 2, "scope": SCOPE} | more
    return WatchedFleet(fleet_id, target(site), **whole)


def follow(
    site: Site,
    fleets: Callable[[], Sequence[WatchedFleet]],
    condition: Callable[[CapacityPicture], object],
    pace: CapacityPace = PACE,
) -> CapacityWatch:
    """Run a watch until its picture meets the condition, and return it."""

    async def lives() -> CapacityWatch:
        access = KeyFiles(site.read_as, site.cache, defaults=site.trusting())
        watch = CapacityWatch(StepContext(access, site.now_s), fleets, pace)
        task = asyncio.create_task(watch.run())

        def picture() -> CapacityPicture:
            assert not task.done(), task
            return watch.picture(target(site), time.time())

        await until(lambda: condition(picture()), lambda: str(picture()))
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return watch

    return asyncio.run(lives())


def asked(site: Site, *operations: str) -> int:
    return sum(site.operations().count(each) for each in operations)


@pytest.mark.parametrize(("message", "pool"), [("no-spot-capacity", ANYWHERE), ("zone", POOL), ("blacklisted", POOL)])
@pytest.mark.parametrize("api", ["spot-fleet", "ec2-fleet"])
def test_a_pool_that_aws_refuses_is_closed_by_either_api(
    site: Site, api: str, message: str, pool: CapacityPoolKey
) -> None:
    site.cloud.behave(capacity_words=message)
    site.cloud.set_capacity(**FULL)
    young = ordered(site, api)
    watch = follow(site, lambda: [young], lambda seen: seen.closed)
    closed = watch.picture(target(site), time.time()).closed
    assert set(closed) == {pool}
    assert time.time() + FIRST_S - 60 < closed[pool].until_s <= time.time() + FIRST_S + 5
    assert "capacity" in closed[pool].reason
    config = {"TargetCapacity": 2, "LaunchSpecifications": [{"ImageId": "ami-12345678", "InstanceType": "m5.large"}]}
    assert narrowed(config, closed, [SPOT], Places({}, zones=("us-east-1a",))).config is None, "for every offer"
    assert watch.status(time.time()) == {"AnnexClosedPools": 1}
    [ad] = watch.ads(time.time())
    assert (ad["Region"], ad["Account"], ad["InstanceType"], ad["Market"]) == (
        "us-east-1",
        "123456789012",
        "m5.large",
        SPOT,
    )


def test_a_quota_closes_the_types_of_its_fleet_as_a_limit_and_not_the_others(site: Site) -> None:
    """A new account has no quota for GPU machines, and may start all others."""
    site.cloud.behave(fleet_trouble="quota")
    scope = FleetScope((SPOT,), ("g5.xlarge", "g5.2xlarge"))
    young = replace(ordered(site), scope=scope)
    closed = follow(site, lambda: [young], lambda seen: seen.closed).picture(target(site), time.time()).closed
    limits = {pool for pool, closing in closed.items() if closing.cause == breaker.LIMIT}
    assert limits == {CapacityPoolKey(each, None, SPOT) for each in ("g5.xlarge", "g5.2xlarge", "c5.18xlarge")}
    unknown = replace(young, scope=FleetScope((SPOT,)))
    closed = follow(site, lambda: [unknown], lambda seen: seen.closed).picture(target(site), time.time()).closed
    assert CapacityPoolKey(ANY_TYPE, None, SPOT) in closed


def test_two_interruptions_close_the_pool_for_half_an_hour(site: Site) -> None:
    young, instances, pool = of_type(site, "c5.large")
    for each in instances:
        site.cloud.turn_off(each, reason="Server.SpotInstanceTermination")
    closed = follow(site, lambda: [young], lambda seen: pool in seen.closed).picture(target(site), time.time()).closed
    assert abs(closed[pool].until_s - time.time() - STORM_CLOSED_S) < 60
    assert closed[pool].cause == breaker.INTERRUPTION


def test_an_interruption_without_a_time_counts_from_when_it_is_first_seen_and_not_if_it_was_there_before(
    site: Site,
) -> None:
    site.cloud.behave(interruptions_are_timed=False)
    young, (first, second), pool = of_type(site, "r5.large")
    site.cloud.turn_off(first, reason="Server.SpotInstanceTermination")
    seen = list[CapacityPicture]()

    def step(picture: CapacityPicture) -> bool:
        if picture.asked_s and not seen:
            seen.append(picture)
            site.cloud.turn_off(second, reason="Server.SpotInstanceTermination")
        return pool in picture.closed

    closed = follow(site, lambda: [young], step).picture(target(site), time.time()).closed
    assert pool not in seen[0].closed
    assert closed[pool].until_s - time.time() <= FIRST_S, "the first one counts for nothing"


def test_histories_are_read_at_most_once_a_round_and_no_more_when_the_fleet_is_filled(site: Site) -> None:
    young, began_s, rounds = ordered(site), time.monotonic(), set[float]()

    def step(picture: CapacityPicture) -> bool:
        rounds.add(picture.asked_s or 0.0)
        return len(rounds) > 6

    follow(site, lambda: [young], step)
    assert asked(site, *HISTORIES) == 1, "it has all its machines"
    assert asked(site, "DescribeInstances") <= (time.monotonic() - began_s) / PACE.taken_s + 1


def test_many_unfilled_fleets_are_read_in_turns_of_twenty(site: Site) -> None:
    site.cloud.set_capacity(**FULL)
    young = [watched(site, fleet(site, f"annex-{number}", 1000)) for number in range(MOST_ASKED + 5)]
    site.cloud.clear_audit()
    follow(site, lambda: young, lambda _: asked(site, *HISTORIES) >= len(young), replace(PACE, histories_s=1.0))
    ids = [each["params"]["SpotFleetRequestId"] for each in site.cloud.calls(HISTORIES[0])]
    assert len(set(ids[: MOST_ASKED + 5])) == len(young), "each once before one is read twice"


def test_a_fleet_that_aws_no_longer_fills_is_not_read(site: Site) -> None:
    site.cloud.set_capacity(**FULL)
    old = watched(site, fleet(site, "annex-1", 1000), until_s=time.time() - 3600)
    follow(site, lambda: [old], lambda seen: seen.asked_s)
    assert asked(site, *HISTORIES) == 0


@pytest.mark.parametrize("trouble", ["silence", "role"])
def test_a_fleet_that_ends_without_a_machine_and_without_a_reason_closes_its_types(site: Site, trouble: str) -> None:
    """A reason other than capacity closes nothing."""
    site.cloud.behave(fleet_trouble=trouble)
    ended_s = time.time() - 40
    young = watched(site, fleet(site, "annex-1", 1000), until_s=ended_s, scope=FleetScope((SPOT,), ("t3.large",)))
    pool = CapacityPoolKey("t3.large", None, SPOT)
    closed = follow(site, lambda: [young], lambda seen: seen.asked_s).picture(target(site), time.time()).closed
    assert asked(site, *HISTORIES) >= 1
    assert (pool in closed) == (trouble == "silence")
    assert trouble == "role" or closed[pool].until_s == ended_s + FIRST_S


def test_without_fleets_of_demand_nothing_is_asked(site: Site) -> None:
    fleet(site, "annex-1", 1000)
    began_s = time.monotonic()
    follow(site, list, lambda _: time.monotonic() > began_s + 1.0)
    assert asked(site, *HISTORIES, "DescribeInstances") == 0


def test_throttling_ends_the_round_is_reported_and_pauses_the_account(site: Site) -> None:
    site.cloud.set_capacity(**FULL)
    young = [ordered(site), ordered(site)]
    site.cloud.clear_audit()
    site.cloud.fault(HISTORIES[0], "throttle")
    faults = list[str]()

    def step(picture: CapacityPicture) -> bool:
        faults.append(picture.fault)
        return ANYWHERE in picture.closed

    watch = follow(site, lambda: young, step)
    assert any("throttled" in each for each in faults)
    assert watch.picture(target(site), time.time()).fault == ""
    assert asked(site, *HISTORIES) >= 3


def test_a_missing_right_is_reported_and_the_rest_is_still_read(site: Site) -> None:
    site.cloud.set_capacity(**FULL)
    young = ordered(site)
    site.cloud.fault("DescribeInstances", "denied", times=1000)
    watch = follow(site, lambda: [young], lambda seen: seen.closed and seen.fault)
    assert "DescribeInstances was denied" in str(watch.status(time.time())["AnnexCapacityFault"])


def test_a_restart_learns_the_same_from_the_histories(site: Site) -> None:
    site.cloud.set_capacity(**FULL)
    young = ordered(site)
    first, second = (follow(site, lambda: [young], lambda seen: ANYWHERE in seen.closed) for _ in range(2))
    assert first.picture(target(site), time.time()).closed == second.picture(target(site), time.time()).closed


def test_zones_of_another_account_or_region_are_other_zones(site: Site) -> None:
    site.cloud.set_capacity(**FULL)
    young = ordered(site)
    watch = follow(site, lambda: [young], lambda seen: seen.closed)
    here = target(site)
    elsewhere = replace(here, endpoints=replace(here.endpoints, region="eu-central-1"))
    assert watch.picture(elsewhere, time.time()) == CapacityPicture({})


@pytest.fixture
def journal(site: Site) -> Iterator[Journal]:
    site.cloud.set_capacity(**FULL)
    accepted(site.order())
    journal = site.journal()
    yield journal
    journal.close()


def test_a_look_at_the_account_teaches_the_watch_and_spares_its_question(site: Site, journal: Journal) -> None:
    async def lives() -> CapacityWatch:
        access = KeyFiles(site.read_as, site.cache, defaults=site.trusting())
        context, index = StepContext(access, site.now_s), AnnexIndex(site.engine(journal))
        young = list[WatchedFleet]()
        watch = CapacityWatch(context, lambda: young, CapacityPace(tick_s=0.05, taken_s=0.1))
        reconciler = Reconciler(context, access, index, site.defaults, 3600, lambda: None, learn=watch.learn)
        tasks = [asyncio.create_task(reconciler.run())]
        await until(lambda: watch.picture(place(), time.time()).closed, lambda: str(reconciler.status()))
        young.append(of_journal(index))
        tasks.append(asyncio.create_task(watch.run()))
        await until(lambda: watch.picture(place(), time.time()).asked_s, lambda: str(watch.status(time.time())))
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        return watch

    def place() -> Any:
        return replace(target(site), lease_function_arn=site.arn)

    def of_journal(index: AnnexIndex) -> WatchedFleet:
        [state] = [each for each in index.engine.accepted(0)[1] if each.order_as(FleetOrder)]
        order = state.order_as(FleetOrder)
        assert order is not None
        [seen] = site.live_fleets()
        return WatchedFleet.of(order, str(seen["id"]), time.time())

    watch = asyncio.run(lives())
    assert asked(site, *HISTORIES) == 1
    assert ANYWHERE in watch.picture(place(), time.time()).closed


def test_places_and_times_that_nobody_asked_for_are_not_learned(site: Site) -> None:
    """Users can name their own endpoints, whose responses concern them alone."""
    watch, now_s, here = CapacityWatch(site.step_context(), list), time.time(), target(site)
    stranger = replace(here, endpoints=replace(here.endpoints, ec2_url="https://ec2.example.org"))
    refusals = [CapacityNews("m5.large", None, (SPOT,), at_s, "no capacity", False) for at_s in (now_s, now_s + 1e9)]
    found = [FleetCapacity("sfr-1", SCOPE, (each,), 0, False) for each in refusals]
    watch.learn(here, found)
    assert watch.ads(now_s) == []
    assert watch.picture(here, now_s).closed == {}
    watch.learn(here, found)
    watch.learn(stranger, found)
    [ad] = watch.ads(now_s)
    assert ad["ClosedUntil"] == int(now_s + FIRST_S)
    assert watch.ads(now_s + 1000) == []


def test_a_watched_fleet_is_made_of_its_order(site: Site, journal: Journal) -> None:
    [state] = [each for each in AnnexIndex(site.engine(journal)).engine.accepted(0)[1] if each.order_as(FleetOrder)]
    order = state.order_as(FleetOrder)
    assert order is not None
    found = WatchedFleet.of(order, "sfr-1", 5.0)
    assert (found.machines, found.until_s, found.asked_s) == (2, order.valid_until_s, 5.0)
    assert found.scope == FleetScope((SPOT,), ("m5.large",))


def test_the_markets_have_the_same_names_everywhere() -> None:
    assert (SPOT, ON_DEMAND) == (breaker.SPOT, breaker.ON_DEMAND)
