"""Orders by demand: they use what budgets have left, and wait after a refusal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from annexd.annex.offered import OfferedAnnex
from annexd.annex.reply import ReplyAd
from annexd.annex.request.join_config import MachineOffer
from annexd.demand.offer import Offer
from annexd.service.capacity_watch import CapacityPicture
from annexd.service.cool_downs import CoolDowns
from annexd.service.demand_look import Found
from annexd.service.demand_orders import DemandOrders, OrderContext
from annexd.service.demand_settings import DemandSettings
from annexd.service.offer_book import OfferFacts
from annexd.workflow import SUCCESS

SMALL = Offer("small", {"LaunchSpecifications": [{"InstanceType": "m5.large"}]}, "true", 3600, 10)
SETTINGS = DemandSettings(owner="condor@example.org", offers=(SMALL,))


class Site:
    """A budget with room for some machines, and the orders that it received."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.asked: list[int] = []
        context = OrderContext(self.order, lambda _: OfferFacts(), lambda *_: CapacityPicture({}, 0.0, ""), lambda: ())
        self.done = asyncio.Event()
        self.orders = DemandOrders(context, self.done.set)

    async def order(self, ad: Mapping[str, Any], owner: str, offer: MachineOffer) -> ReplyAd:
        assert (owner, offer.name) == ("condor@example.org", "small")
        wanted = int(ad["TargetCapacity"])
        self.asked.append(wanted)
        if wanted > self.room:
            text = f"budget physics: order {self.room} instead of {wanted}"
            return {"Result": "InvalidState", "ErrorString": text, "CapacityLeft": self.room}
        self.room -= wanted
        return {"Result": SUCCESS}

    async def ordered(self, machines: int) -> str:
        self.done.clear()
        self.orders.order(SETTINGS, SMALL, machines)
        async with asyncio.timeout(60):
            await self.done.wait()
        return self.why_closed()

    def why_closed(self) -> str:
        return self.orders.why_closed(SMALL, Found(SETTINGS, time.time(), {"small": OfferFacts()}))


@pytest.mark.parametrize(("room", "asked"), [(5, [5]), (3, [5, 3]), (0, [5])])
def test_an_order_takes_what_the_budgets_have_left(room: int, asked: list[int]) -> None:
    async def run() -> None:
        site = Site(room)
        why = await site.ordered(5)
        assert site.asked == asked
        assert ("since the last one failed: budget physics" in why) == (room < 5), why

    asyncio.run(run())


def test_a_refused_order_is_not_repeated_before_a_reconfiguration() -> None:
    async def run() -> None:
        site = Site(0)
        assert "no further order before" in await site.ordered(1)
        site.orders.reconfigure()
        assert not site.why_closed()

    asyncio.run(run())


def test_an_order_that_ends_during_a_look_which_may_not_show_it_is_not_made_twice() -> None:
    async def run() -> None:
        site = Site(10)
        site.orders.order(SETTINGS, SMALL, 5)
        began = Found(SETTINGS, 0.0, {"small": OfferFacts()}, site.orders.running())
        async with asyncio.timeout(60):
            await site.done.wait()
        assert site.orders.why_closed(SMALL, began) == "its last order is under way"
        after = Found(SETTINGS, 0.0, {"small": OfferFacts()}, site.orders.running())
        assert not site.orders.why_closed(SMALL, after)

    asyncio.run(run())


BOOTING = OfferedAnnex("annex-1", "small", 3, 3, 0, 1.0, 9, "c", "o", 0, 0, 9, 60.0, 0, "", has_started=True)
JOINED = replace(BOOTING, in_flight=2, joined=1)


@pytest.mark.parametrize(
    ("looks", "is_closed"),
    [
        ([[BOOTING], []], True),  # they have turned themselves off
        ([[BOOTING], [replace(BOOTING, in_flight=0)]], True),  # they are no longer expected
        ([[BOOTING], [BOOTING]], False),
        ([[BOOTING], [JOINED], []], False),
        ([[replace(BOOTING, has_started=False)], []], False),  # AWS had none, which closes its capacity
        ([[BOOTING], [], [replace(BOOTING, annex_id="annex-2")], [replace(JOINED, annex_id="annex-2")]], False),
    ],
)
def test_an_offer_whose_machines_start_and_do_not_join_waits(looks: list[list[OfferedAnnex]], is_closed: bool) -> None:
    site = Site(10)
    for annexes in looks:
        site.orders.look(Found(SETTINGS, 0.0, {}, annexes=annexes, knows_jobs=True))
    assert ("no machine of annex annex-1 has joined the pool" in site.why_closed()) == is_closed
    site.orders.reconfigure()
    assert not site.why_closed()


@pytest.mark.parametrize(("knows_jobs", "may_order"), [(False, True), (True, False)])
def test_a_collector_or_journal_that_does_not_answer_says_of_no_machine_that_it_has_not_joined(
    knows_jobs: bool, may_order: bool
) -> None:
    site = Site(10)
    for annexes in ([BOOTING], []):
        site.orders.look(Found(SETTINGS, 0.0, {}, annexes=annexes, knows_jobs=knows_jobs, may_order=may_order))
        site.orders.look(Found(SETTINGS, 0.0, {}, annexes=[BOOTING], knows_jobs=True))
    assert not site.why_closed()


def test_a_clock_that_was_set_back_by_hours_prolongs_no_cool_down() -> None:
    cool_downs, now_s = CoolDowns(), time.time()
    cool_downs.refuse("small", "no room")
    assert cool_downs.refusal("small", now_s + 1)
    assert cool_downs.refusal("small", now_s - 300), "a look that began before the refusal sees it"
    assert not cool_downs.refusal("small", now_s - 5 * 3600)
    assert not cool_downs.refusal("small", now_s + 200)
