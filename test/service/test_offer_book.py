"""What is known of offers while AWS is asked about them."""

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

QUICK, SLOW = (Offer(name, {}, "true", 3600, 10) for name in ("quick", "slow"))
SETTINGS = DemandSettings(offers=(SLOW, QUICK))
LONG_S = 60.0


class TwoRegions(OfferBook):
    """A region that answers at once, and one that does when it is released."""

    def __init__(self, answer_s: float) -> None:
        super().__init__(StepContext(no_access), NoBundleSources(), Defaults(), answer_s)
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
            await book.refresh(SETTINGS)
            assert (book.facts(QUICK).fault, book.facts(SLOW).fault) == ("", NOT_ASKED)
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
