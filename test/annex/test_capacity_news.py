"""News about capacity comes from histories that annexd reads anyway, and from instances that AWS took back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from annexd.annex.fleet.capacity_news import CapacityNews, refusals_in, taken_back
from annexd.annex.fleet.history import Event, events_of
from annexd.annex.fleet.inventory import take_inventory
from annexd.annex.request.markets import MARKETS, ON_DEMAND, SPOT, FleetScope
from test.annex.clouds import as_new, deployed
from test.annex.fleets import by_hand, ec2_fleet, fleet, instances_of, look, target
from test.annex.site import Site, wait_for
from test.cloud.behaviour import CAPACITY_WORDS, FLEET_EVENTS
from test.cloud.fleet_troubles import TROUBLES

__all__ = ["as_new", "deployed"]  # a cloud of its own: its pools are full
pytestmark = pytest.mark.usefixtures("as_new")

FULL = {"m5.large us-east-1a spot": 0}
OPEN = dict.fromkeys(FULL)
BEGIN = "m5.large, ami-12345678, Linux/UNIX"
SHORT = (
    "We currently do not have sufficient {0} capacity in the Availability Zone you requested ({1}). Our system will be "
    "working on provisioning additional capacity. You can currently get {0} capacity by not specifying an Availability "
    "Zone in your request or choosing us-east-1b, us-east-1c."
)
REPEATED = (
    'Repeated errors have occurred processing the launch specification "{}". It will not be retried for at least 13 '
    "minutes. Error message: {}"
)
NO_SPOT = "There is no Spot capacity available that matches your request."
INVALID, BLACKLISTED = "spotFleetRequestConfigurationInvalid", "launchSpecTemporarilyBlacklisted"
VCPUS = "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the instance bucket"
READ: dict[tuple[str, str], tuple[str | None, str | None, tuple[str, ...], bool]] = {
    (INVALID, f"{BEGIN}: {NO_SPOT}"): ("m5.large", None, (SPOT,), False),
    (INVALID, f"{BEGIN}: {SHORT.format('m5.large', 'us-east-1a')}"): ("m5.large", "us-east-1a", MARKETS, False),
    (INVALID, SHORT.format("p5en.48xlarge", "us-gov-west-1b")): ("p5en.48xlarge", "us-gov-west-1b", MARKETS, False),
    (INVALID, SHORT.format("u-6tb1.metal", "us-east-1-bos-1a")): ("u-6tb1.metal", "us-east-1-bos-1a", MARKETS, False),
    (INVALID, ("m5.large, ami-1, Linux/UNIX: We currently do not have sufficient m5.large capacity in zones with "
              "support for 'gp3' volumes.")): ("m5.large", None, MARKETS, False),
    (BLACKLISTED, REPEATED.format(f"{BEGIN}, us-east-1d while launching spot instance", NO_SPOT)): (
        "m5.large", "us-east-1d", (SPOT,), False,
    ),
    (BLACKLISTED, REPEATED.format(f"{BEGIN}, us-east-1d while launching on-demand instance",
                                  "InsufficientInstanceCapacity")): ("m5.large", "us-east-1d", (ON_DEMAND,), False),
    (BLACKLISTED, REPEATED.format(f"{BEGIN}, us-east-1d while launching spot instance",
                                  "Spot Max Instance Count Exceeded")): ("m5.large", "us-east-1d", (SPOT,), True),
    ("launchSpecUnusable", (f"{BEGIN}, eu-central-1c, requested instance type is not supported in the requested "
                           "Availability Zone")): ("m5.large", "eu-central-1c", MARKETS, False),
    ("launchSpecUnusable", f"{BEGIN}, us-east-1e, Spot bid price is less than Spot market price $-1.0000"): (
        "m5.large", "us-east-1e", (SPOT,), False,
    ),
    (INVALID, ("Your requested instance type (p3.8xlarge) is not supported in your requested Availability Zone "
              "(us-east-2c).")): ("p3.8xlarge", "us-east-2c", MARKETS, False),
    ("spotInstanceCountLimitExceeded", ""): (None, None, (SPOT,), True),
    (INVALID, "MaxSpotInstanceCountExceeded: Max spot instance count exceeded"): (None, None, (SPOT,), True),
    (INVALID, f"{BEGIN}: {VCPUS}"): ("m5.large", None, (ON_DEMAND,), True),
    (INVALID, "VcpuLimitExceeded"): (None, None, (ON_DEMAND,), True),
    (INVALID, "UnfulfillableCapacity: Unable to fulfill capacity due to your request configuration."): (
        None, None, MARKETS, False,
    ),
    (INVALID, "capacity-not-available: There is no Spot capacity available that matches your request."): (
        None, None, (SPOT,), False,
    ),
}  # fmt: skip
NO_NEWS = [
    ("iamFleetRoleInvalid", "The IAM fleet role does not have the required permissions."),
    (INVALID, f"{BEGIN}: The subnet ID 'subnet-1' does not exist"),
    (INVALID, ("There are not enough free addresses in subnet 'subnet-1' to satisfy the requested capacity: "
              "InsufficientFreeAddressesInSubnet")),
    ("launchSpecUnusable", f"{BEGIN}, us-east-1e, Spot bid price is less than Spot market price $0.9120"),
    ("allLaunchSpecsTemporarilyBlacklisted", "Several attempts to launch instances have failed."),
    ("", ""),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _open_again(site: Site) -> Iterator[None]:
    yield
    site.cloud.set_capacity(**OPEN)


def read(sub_type: str, about: str, kind: str = "error") -> list[CapacityNews]:
    return list(refusals_in([Event(5.0, kind, sub_type, about)], MARKETS))


def ordered(site: Site, api: str) -> str:
    return fleet(site, "annex-1", 1000) if api == "spot-fleet" else ec2_fleet(site, "annex-1", 1000)


@pytest.mark.parametrize(("event", "expected"), READ.items(), ids=range(len(READ)))
def test_awss_words_name_type_zone_market_and_whether_it_is_a_limit(
    event: tuple[str, str], expected: tuple[str | None, str | None, tuple[str, ...], bool]
) -> None:
    [found] = read(*event)
    assert (found.instance_type, found.zone, found.markets, found.is_limit) == expected
    assert (found.at_s, found.reason[:20]) == (5.0, (f"{event[0]}: {event[1]}" if event[1] else event[0])[:20])


@pytest.mark.parametrize("event", NO_NEWS, ids=range(len(NO_NEWS)))
def test_an_error_unrelated_to_capacity_closes_nothing(event: tuple[str, str]) -> None:
    assert read(*event) == []


def test_an_instances_life_is_no_refusal() -> None:
    assert read("launched", "i-InsufficientInstanceCapacity", "instanceChange") == []


def test_a_reason_is_always_short() -> None:
    [found] = read(INVALID, "InsufficientInstanceCapacity " + "x" * 5000)
    assert len(found.reason) < 400


@pytest.mark.parametrize("message", CAPACITY_WORDS)
@pytest.mark.parametrize("api", ["spot-fleet", "ec2-fleet"])
def test_a_refusal_in_a_history_is_read_in_each_of_awss_spellings(site: Site, api: str, message: str) -> None:
    site.cloud.behave(capacity_words=message, fleet_events=FLEET_EVENTS[api == "ec2-fleet"])
    site.cloud.set_capacity(**FULL)
    fleet_id = ordered(site, api)
    [found] = look(site).capacity
    [refusal] = found.refusals
    zone = None if message == "no-spot-capacity" else "us-east-1a"
    assert (found.fleet_id, found.launched, found.scope.markets) == (fleet_id, 0, (SPOT,))
    assert (refusal.instance_type, refusal.zone, refusal.markets) == ("m5.large", zone, (SPOT,))
    assert not refusal.is_limit
    assert abs(refusal.at_s - time.time()) < 60


@pytest.mark.parametrize("trouble", ["quota", "fleet-quota"])
def test_a_quota_is_read_as_a_limit(site: Site, trouble: str) -> None:
    site.cloud.behave(fleet_trouble=trouble)
    ordered(site, "spot-fleet")
    [found] = look(site).capacity
    assert {(each.is_limit, each.markets) for each in found.refusals} == {(True, (SPOT,))}


def test_one_reading_of_a_history_serves_the_trouble_and_the_capacity(site: Site) -> None:
    site.cloud.set_capacity(**FULL)
    fleet_id = ordered(site, "spot-fleet")
    site.cloud.clear_audit()
    report = look(site)
    assert "There is no Spot capacity available" in report.troubles[fleet_id].text
    assert len(report.capacity[0].refusals) == 1
    assert site.operations().count("DescribeSpotFleetRequestHistory") == 1


def test_the_inventory_knows_of_which_markets_and_types_a_fleet_is(site: Site) -> None:
    ec2 = site.step_context().access(target(site)).ec2
    plain: dict[str, Any] = {"TotalTargetCapacity": 2, "DefaultTargetCapacityType": "on-demand"}
    mixed = {"TotalTargetCapacity": 2, "OnDemandTargetCapacity": 1, "DefaultTargetCapacityType": "spot"}
    overridden = ec2_fleet(site, "annex-3", 1000, TargetCapacitySpecification=mixed)
    expected = {
        fleet(site, "annex-1", 1000): FleetScope((SPOT,), ("m5.large",)),
        ec2_fleet(site, "annex-2", 1000, TargetCapacitySpecification=plain): FleetScope((ON_DEMAND,)),
        overridden: FleetScope(MARKETS),
    }
    assert {each.fleet_id: each.scope for each in take_inventory(ec2).fleets} == expected


@pytest.mark.parametrize("timed", [True, False])
def test_interruptions_are_read_with_their_pool_and_time(site: Site, timed: bool) -> None:
    site.cloud.behave(interruptions_are_timed=timed)
    fleet_id, ec2 = ordered(site, "spot-fleet"), site.step_context().access(target(site)).ec2
    first, second = instances_of(site, fleet_id)
    before = {each.instance_id for each in taken_back(ec2)}
    site.cloud.turn_off(first, reason="Server.SpotInstanceTermination")
    site.cloud.turn_off(second)
    [found] = [each for each in taken_back(ec2) if each.instance_id not in before]
    assert (found.instance_id, found.is_interruption) == (first, True)
    assert (found.pool.kind, found.pool.zone, found.pool.market) == ("m5.large", "us-east-1a", "spot")
    if timed:
        assert found.at_s is not None
        assert abs(found.at_s - time.time()) < 60
    else:
        assert found.at_s is None


def test_an_instance_that_could_not_be_started_is_no_interruption(site: Site) -> None:
    [first, _] = instances_of(site, ordered(site, "ec2-fleet"))
    site.cloud.turn_off(first, reason="Server.InsufficientInstanceCapacity")
    [found] = [each for each in taken_back(by_hand(site)) if each.instance_id == first]
    assert not found.is_interruption


def test_events_come_the_newest_first_and_from_a_time_on(site: Site) -> None:
    site.cloud.set_capacity(**FULL)
    site.cloud.behave(capacity_retry_s=0.2)
    fleet_id, ec2 = ordered(site, "spot-fleet"), by_hand(site)
    wait_for(lambda: bool(look(site)) and len(events_of(ec2, fleet_id, 0.0)) >= 4, "another refusal")
    times_s = [each.at_s for each in events_of(ec2, fleet_id, 0.0)]
    assert times_s == sorted(times_s, reverse=True)
    assert events_of(ec2, fleet_id, datetime(2099, 1, 1, tzinfo=UTC).timestamp()) == []


def test_every_trouble_of_the_emulator_that_is_of_capacity_is_read_as_such() -> None:
    of_capacity = {
        name for name, each in TROUBLES.items() for kind, sub_type, text in each.events if read(sub_type, text, kind)
    }
    assert of_capacity == {"quota", "fleet-quota", "not-offered", "capacity", "no-capacity"}
