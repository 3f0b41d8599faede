"""Prices are queried from AWS, seldom and in the background; without them the cost is unknown."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from annexd.annex.fleet.access import KeyFiles
from annexd.annex.history import query_history
from annexd.annex.index import AnnexIndex
from annexd.annex.request.defaults import Defaults
from annexd.annex.steps import StepContext
from annexd.service.price_watch import PricePace, PriceWatch
from annexd.service.reconciler import Reconciler
from test.annex.ads import OWNER
from test.annex.site import Site
from test.replies import accepted
from test.service.reconciling import until

EC2_FLEET: dict[str, Any] = {"FleetAPI": "EC2Fleet"}
PACE = PricePace(tick_s=0.1, again_s=0.3, new_s=0.1, denied_s=0.5)
DOLLARS = 36.0  # an hour; a cent a second
ZONE = "m5.large us-east-1a"


@pytest.fixture
def priced(site: Site) -> Iterator[Site]:
    site.asks = {"SpotPrice": "100"}
    site.cloud.set_prices(spot={ZONE: [[-7200, 18.0], [-3600, DOLLARS]]}, on_demand={"m5.large": 72.0})
    before = site.defaults
    site.defaults = replace(before, pricing_url=site.cloud.url)
    yield site
    site.defaults = before
    site.cloud.clear_faults()
    site.cloud.set_prices(spot={ZONE: []})


def follow(site: Site, condition: Callable[[dict[str, Any]], object], pace: PricePace = PACE) -> dict[str, Any]:
    """Run a reconciler and a price watch until the newest line of the history meets the condition; return it."""

    async def lives(index: AnnexIndex) -> dict[str, Any]:
        access = KeyFiles(site.read_as, site.cache, defaults=site.trusting())
        context = StepContext(access, site.now_s)
        reconciler = Reconciler(context, access, index, site.defaults, 1, lambda: None)
        watch = PriceWatch(context, reconciler.usage, reconciler.targets, site.defaults, pace)
        tasks = [asyncio.create_task(each.run()) for each in (reconciler, watch)]

        def line() -> dict[str, Any]:
            assert not any(task.done() for task in tasks), tasks
            return shown(site, index)

        await until(lambda: condition(line()), lambda: f"{line()} {reconciler.status()}")
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        return shown(site, index)

    journal = site.journal()
    try:
        return asyncio.run(lives(AnnexIndex(site.engine(journal))))
    finally:
        journal.close()


def shown(site: Site, index: AnnexIndex) -> dict[str, Any]:
    ad = {"Command": "CA_QUERY_HISTORY", "RequestVersion": 1}
    reply = query_history(ad, OWNER, index, Defaults(), site.now_s())
    line: dict[str, Any] = json.loads(str(reply["History"]))[0]
    return line


def is_priced(line: dict[str, Any]) -> bool:
    return has_cost(line) and line["InstanceSeconds"] > 0


def has_cost(line: dict[str, Any]) -> bool:
    return line["EstimatedCost"] is not None and line["UnpricedInstances"] == 0


def billed(site: Site, annex_id: str) -> float:
    line = site.cloud.meter()["annexes"][annex_id]
    assert line["unpriced"] == 0
    return float(line["dollars"])


def questions(site: Site) -> int:
    return site.operations().count("DescribeSpotPriceHistory")


@pytest.mark.parametrize("changes", [{}, EC2_FLEET], ids=["spot-fleet", "ec2-fleet"])
def test_the_cost_of_spot_instances_equals_the_meters_bill_even_after_a_restart(
    priced: Site, changes: dict[str, Any]
) -> None:
    annex_id = str(accepted(priced.order(**changes))["AnnexID"])
    for _ in range(2):
        line = follow(priced, is_priced)
        assert line["AnnexID"] == annex_id
        assert line["EstimatedCost"] == pytest.approx(billed(priced, annex_id), abs=0.02)
    priced.cancel(annex_id)
    ended = follow(priced, lambda line: line["InstancesEnded"] == 2 and has_cost(line))  # possibly within a second
    error = 0.01 * ended["InstanceSecondsError"] + 0.02
    assert ended["EstimatedCost"] == pytest.approx(billed(priced, annex_id), abs=error)


def test_on_demand_instances_cost_what_the_list_says_beside_spot_instances(priced: Site) -> None:
    reply = accepted(priced.order(**EC2_FLEET, TargetCapacity=3, OnDemandTargetCapacity=2))
    line = follow(priced, is_priced)
    assert line["EstimatedCost"] == pytest.approx(billed(priced, str(reply["AnnexID"])), abs=0.05)
    assert line["EstimatedCost"] >= 2 * 60 * 0.02 + 60 * 0.01 - 0.01, "a minute each at least"


def test_keys_that_may_not_see_prices_make_the_cost_unknown_and_no_fault_until_they_may(priced: Site) -> None:
    priced.cloud.fault("DescribeSpotPriceHistory", "denied", times=10_000)
    accepted(priced.order(**EC2_FLEET, TargetCapacity=3, OnDemandTargetCapacity=2))
    before = questions(priced)
    line = follow(priced, lambda line: line["UnpricedInstances"] == 1 and questions(priced) > before)
    assert line["EstimatedCost"] > 0, "the part that has a price"
    annex_id = str(accepted(priced.order(AnnexName="spot"))["AnnexID"])
    line = follow(priced, lambda line: line["UnpricedInstances"] == 2)
    assert (line["AnnexID"], line["EstimatedCost"]) == (annex_id, None), "no number is made up"
    priced.cloud.clear_faults()
    assert follow(priced, is_priced)["EstimatedCost"] == pytest.approx(billed(priced, annex_id), abs=0.02)


def test_one_question_serves_all_annexes_of_an_account_and_is_not_asked_again_at_each_look(priced: Site) -> None:
    for number in range(3):
        accepted(priced.order(AnnexName=f"annex-{number}"))
    before = questions(priced)
    follow(priced, is_priced, PricePace(tick_s=0.1, again_s=600.0, new_s=600.0))
    assert questions(priced) == before + 1


@pytest.mark.parametrize("trouble", ["throttle", "internal"])
def test_a_question_that_fails_delays_no_look_and_is_asked_again(priced: Site, trouble: str) -> None:
    priced.cloud.fault("DescribeSpotPriceHistory", trouble, times=10_000)
    accepted(priced.order())
    line = follow(priced, lambda line: (line["InstanceSeconds"] or 0) > 4)
    assert (line["EstimatedCost"], line["UnpricedInstances"]) == (None, 2)
    priced.cloud.clear_faults()
    assert is_priced(follow(priced, is_priced))
