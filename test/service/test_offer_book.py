"""Asking AWS about an offer, as annexd does each ten minutes."""

import asyncio
from dataclasses import replace

from annexd.demand.offer import Offer
from annexd.service.demand_settings import DemandSettings
from annexd.service.offer_book import OfferBook
from test.annex.ads import OWNER
from test.annex.fleets import KEYS
from test.annex.joining import defaults
from test.annex.site import Site

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
