"""The facts known about offers while AWS is queried."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from annexd.annex.fleet.access import no_access
from annexd.annex.join.config_bundle import NoBundleSources
from annexd.annex.request.defaults import Defaults
from annexd.annex.steps import StepContext
from annexd.demand.offer import Offer
from annexd.service.demand_settings import DemandSettings
from annexd.service.offer_book import NOT_ASKED, OfferBook, OfferFacts
from test.annex.ads import OWNER
from test.annex.fleets import KEYS
from test.annex.joining import defaults
from test.annex.site import Site

QUICK, SLOW = (Offer(name, {}, "true", 3600, 10) for name in ("quick", "slow"))
SETTINGS = DemandSettings(offers=(SLOW, QUICK))
LONG_S = 60.0


class TwoRegions(OfferBook):
    """A region that responds at once, and one that responds when it is released."""

    def __init__(self, answer_s: float) -> None:
        super().__init__(StepContext(no_access), NoBundleSources(), Defaults(), answer_s=answer_s)
        self.released = threading.Event()

    def _ask(self, offer: Offer, _settings: DemandSettings) -> OfferFacts:
        if offer.name == "slow":
            assert self.released.wait(LONG_S)
        return OfferFacts(ad=f"[ Lease = {offer.lease_s} ]", at_s=time.time())


@pytest.fixture
def book() -> Iterator[TwoRegions]:
    book = TwoRegions(0.2)
    yield book
    book.released.set()


def test_a_region_that_hangs_delays_no_offer_of_another_one(book: TwoRegions) -> None:
    async def run() -> None:
        async with asyncio.timeout(LONG_S / 4):
            await book.refresh(SETTINGS)
            while book.facts(QUICK).fault:
                await book.refresh(SETTINGS)
            assert book.facts(SLOW).fault == NOT_ASKED
            book.released.set()
            while book.facts(SLOW).fault:
                await book.refresh(SETTINGS)

    asyncio.run(run())


def test_an_answer_about_an_offer_as_it_was_before_is_not_believed(book: TwoRegions) -> None:
    async def run() -> None:
        longer = replace(SLOW, lease_s=7200)
        await book.refresh(SETTINGS)
        book.reconfigure(Defaults())
        assert book.facts(QUICK).fault == NOT_ASKED
        book.released.set()
        async with asyncio.timeout(LONG_S / 4):
            while book.facts(longer).fault:
                await book.refresh(replace(SETTINGS, offers=(longer, QUICK)))
        assert book.facts(longer).ad == "[ Lease = 7200 ]"
        assert book.facts(SLOW).fault == NOT_ASKED

    asyncio.run(run())


IMAGE = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
MACHINE = "[TotalSlotCpus = 2; TotalSlotMemory = 8000; TotalSlotDisk = 1000000]"


def test_the_image_of_an_offer_is_looked_up_once_when_it_is_looked_at(site: Site) -> None:
    config = {"LaunchSpecifications": [{"ImageId": IMAGE, "InstanceType": "m5.large"}]}
    offer = Offer("small", config, "true", lease_s=3600, max_machines=10, machine_ad=MACHINE)
    site.defaults = replace(defaults(s3_url=site.cloud.url), lease_function_arn=site.arn)
    site.defaults = site.trusting()
    book = OfferBook(site.step_context(), site.bundle_sources, site.asking())
    asyncio.run(book.refresh(DemandSettings(owner=OWNER, keys=KEYS, offers=(offer,))))
    facts = book.facts(offer)
    assert (facts.fault, facts.target is not None) == ("", True)
    assert len(site.cloud.calls("GetParameter")) == 1
