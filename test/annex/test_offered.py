"""Annexes that annexd orders for idle jobs: their machines belong to the offer, and count until they are gone."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace

import pytest

from annexd.annex.index import AnnexIndex
from annexd.annex.lease.lease import TAG_LEASE_END, utc
from annexd.annex.offered import OfferedAnnex, offered_annexes
from annexd.annex.request.join_config import MachineOffer
from annexd.annex.status import PoolCounts, PoolSnapshot, Snapshot
from test.annex.joining import BUCKET, defaults
from test.annex.looks import looked
from test.annex.site import BYSTANDER, Site, wait_for
from test.replies import accepted

GPU = MachineOffer("gpu", "TARGET.RequestGPUs > 0")
BOOT_S = 900.0
HOUR_S = 3600
LATE_S = 60  # a busy host accepts an order later than it was sent


@pytest.fixture
def joined(site: Site) -> Iterator[Site]:
    """Yield a site whose annexes join a pool."""
    s3 = site.cloud.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    before, site.defaults = site.defaults, defaults(s3_url=site.cloud.url)
    yield site
    site.defaults = before
    for each in s3.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        s3.delete_object(Bucket=BUCKET, Key=each["Key"])
    s3.delete_bucket(Bucket=BUCKET)


def looks_of(site: Site, index: AnnexIndex) -> dict[str, Snapshot]:
    """Return what reconciliation sees now in the accounts of all orders."""
    [look] = looked(site, -1.0).values()
    return {str(index.ordered(each).account): look for each in index.all()}


def counted(
    site: Site, joined: int = 0, later_s: float = 0.0, *, claimed: int = 0, has_looked: bool = True
) -> list[OfferedAnnex]:
    journal = site.journal()
    try:
        index = AnnexIndex(site.engine(journal))
        annexes = {each.annex_id: PoolCounts(joined, joined, claimed) for each in index.all()}
        looks = looks_of(site, index) if has_looked else {}
        pool = PoolSnapshot(site.now_s(), annexes)
        return list(offered_annexes(index, looks, pool, site.now_s() + later_s, BOOT_S))
    finally:
        journal.close()


def test_its_machines_have_the_offers_start_and_name(joined: Site) -> None:
    reply = joined.order(offer=GPU)
    accepted(reply)
    body = joined.cloud.client("s3").get_object(Bucket=BUCKET, Key=f"annex/{reply['AnnexID']}.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        file = tar.extractfile("50-condor-annex.conf")
        assert file is not None
        config = file.read().decode()
    assert "AnnexOwns = (TARGET.RequestGPUs > 0)\n" in config
    assert 'AnnexOffer = "gpu"\nSTARTD_ATTRS = $(STARTD_ATTRS) AnnexOffer\n' in config


def test_machines_that_would_not_join_are_not_ordered(site: Site) -> None:
    reply = site.order(offer=GPU)
    assert reply["Result"] == "InvalidRequest"
    assert "ANNEX_DEFAULT_S3_BUCKET" in str(reply["ErrorString"])
    site.check_nothing_left()


def test_machines_are_in_flight_until_they_join_or_nobody_expects_them_any_more(joined: Site) -> None:
    accepted(joined.order(offer=GPU, TargetCapacity=3))
    joined.order()  # a user's own annex, of no offer
    [before] = counted(joined, has_looked=False)
    assert (before.offer, before.machines, before.in_flight) == ("gpu", 3, 3)
    wait_for(lambda: len(joined.cloud.running_instances()) > 3, "the machines")
    [booting] = counted(joined, joined=1)
    assert (booting.machines, booting.in_flight, booting.joined) == (3, 2, 1)
    [late] = counted(joined, joined=1, later_s=BOOT_S + 1)
    assert (late.machines, late.in_flight) == (3, 0)


def test_a_young_fleet_that_a_list_lacks_counts_all_the_same(joined: Site) -> None:
    """Otherwise it would be ordered again: DescribeFleets promises eventual consistency only."""
    accepted(joined.order(offer=GPU, TargetCapacity=3))
    journal = joined.journal()
    try:
        index = AnnexIndex(joined.engine(journal))
        looks = {key: replace(look, annexes={}) for key, look in looks_of(joined, index).items()}
        [young] = offered_annexes(index, looks, PoolSnapshot(), joined.now_s(), BOOT_S)
        assert (young.machines, young.in_flight) == (3, 3)
        assert not list(offered_annexes(index, looks, PoolSnapshot(), joined.now_s() + 301, BOOT_S))
    finally:
        journal.close()


def test_a_cancelled_annex_counts_only_until_its_machines_are_gone(joined: Site) -> None:
    reply = joined.order(offer=GPU)
    accepted(joined.cancel(str(reply["AnnexID"])))
    wait_for(lambda: joined.cloud.running_instances() == [], "the end of the machines")
    assert counted(joined) == []


def test_an_order_that_failed_counts_nothing(joined: Site) -> None:
    joined.cloud.fault("RequestSpotFleet", "denied", times=9)
    assert joined.order(offer=GPU)["Result"] == "Failure"
    assert counted(joined, has_looked=False) == []


# The facts that decide whether its lease is extended.


def running(site: Site) -> OfferedAnnex:
    """Order an annex for an hour; return it once its two machines run, one of them with a job."""
    accepted(site.order(offer=GPU, TargetCapacity=2, LeaseDuration=HOUR_S, EndOfLease=int(site.now_s()) + HOUR_S))
    wait_for(lambda: len(site.cloud.running_instances()) == 2, "the machines")
    return now(site)


def now(site: Site) -> OfferedAnnex:
    [found] = counted(site, joined=2, claimed=1)
    return found


def extend(site: Site, annex: OfferedAnnex) -> None:
    """Extend the lease as annexd does by itself."""
    site.change(annex.annex_id, CommandID=f"{annex.command_id}-extension-{annex.moves + 1}", LeaseExtension=HOUR_S)


def test_the_ordered_lease_and_the_jobs_decide_about_an_extension(joined: Site) -> None:
    annex = running(joined)
    assert (annex.claimed, annex.held, annex.moves) == (1, "", 0)
    assert HOUR_S - LATE_S <= annex.lease_s <= HOUR_S
    assert annex.end_s == annex.began_s + annex.lease_s
    assert annex.hears_s == 300 + 120, "machines look every five minutes, and drain for two"
    extend(joined, annex)
    longer = now(joined)
    assert (longer.began_s, longer.lease_s, longer.held, longer.moves) == (annex.began_s, annex.lease_s, "", 1)
    assert longer.end_s == annex.end_s + HOUR_S


def test_an_end_that_a_person_moved_stands(joined: Site) -> None:
    annex = running(joined)
    shorter_s = annex.end_s - 600
    accepted(joined.change(annex.annex_id, EndOfLease=shorter_s))
    assert now(joined).held == "its lease was shortened"
    accepted(joined.change(annex.annex_id, LeaseExtension=600))
    assert not now(joined).held
    [fleet] = joined.live_fleets()
    tag = {"Key": TAG_LEASE_END, "Value": utc(annex.end_s + 1800)}
    joined.cloud.client("ec2", BYSTANDER).create_tags(Resources=[fleet["id"]], Tags=[tag])
    assert "by AWS it ends at" in now(joined).held


def test_a_cancelled_annex_is_not_extended_while_its_machines_are_seen(joined: Site) -> None:
    annex = running(joined)
    journal = joined.journal()
    try:
        index = AnnexIndex(joined.engine(journal))
        looks = looks_of(joined, index)
    finally:
        journal.close()
    accepted(joined.cancel(annex.annex_id))
    journal = joined.journal()
    try:
        index = AnnexIndex(joined.engine(journal))
        [found] = offered_annexes(index, looks, PoolSnapshot(), joined.now_s(), BOOT_S)
        assert found.held == "it was cancelled"
    finally:
        journal.close()


@pytest.mark.parametrize("at", range(1, 11))
def test_a_crash_at_each_append_of_an_extension_extends_once(joined: Site, at: int) -> None:
    annex = running(joined)
    with joined.mortal(at, written=True):
        extend(joined, annex)
    before = now(joined)
    assert before.held in ("", "its end is being moved")
    if not before.held and before.end_s == annex.end_s:
        extend(joined, before)  # nothing of it was accepted, so it is still due
    joined.restart()
    after = now(joined)
    assert (after.end_s, after.held) == (annex.end_s + HOUR_S, "")
