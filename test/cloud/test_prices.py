"""Costs of instances, by prices that a test sets: launches, interruptions and the meter's reading."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from annexd.annex.lease.identifiers import leased_token
from test.cloud import Cloud
from test.cloud.instances import Instance, Timing
from test.cloud.orders import create_fleet, ec2_fleet_config, instances, request, specification, template, until
from test.cloud.prices import Market
from test.cloud.tags import TagLog

START_S = 1_000_000.0
ZONE = "us-east-1a"


def machine(is_spot: bool = True, ended_s: float | None = None, **more: Any) -> Instance:
    """Return an instance that was launched at START_S."""
    return Instance(
        sequence=1,
        instance_id="i-1",
        spot_request_id="sir-1",
        fleet_id="fleet-1",
        specification=specification(**more),
        weight=1.0,
        tags=TagLog({}),
        zone=ZONE,
        launched_at_s=START_S,
        timing=Timing(),
        is_spot=is_spot,
        terminating_at_s=ended_s,
    )


def market(*spot: tuple[float, float], **more: Any) -> Market:
    made = Market()
    made.set({"spot": {"m5.large": list(spot)}, "on_demand": {"m5.large": 0.10}, **more}, START_S)
    return made


@pytest.mark.parametrize(
    ("one", "hours", "dollars"),
    [
        (machine(), 2.0, 0.02 + 0.04),
        (machine(is_spot=False), 2.0, 0.20),
        (machine(ended_s=START_S + 1800), 2.0, 0.01),
        (machine(ended_s=START_S + 1), 2.0, 0.02 / 60),  # the minimum is a minute
        (machine(BlockDeviceMappings=[{"Ebs": {"VolumeSize": 73}}]), 1.0, 0.02 + 0.008),
        (machine(NetworkInterfaces=[{"AssociatePublicIpAddress": True}]), 1.0, 0.02 + 0.005),
        (machine(InstanceType="c5.large"), 1.0, None),
        (machine(is_spot=False, InstanceType="c5.large"), 1.0, None),
    ],
)
def test_an_instance_costs_its_price_of_each_moment_its_volumes_and_its_address(
    one: Instance, hours: float, dollars: float | None
) -> None:
    """The Spot price doubles after an hour."""
    priced = market((-60, 0.02), (3600, 0.04), gb_month=0.08, address_hour=0.005)
    found = priced.dollars(one, START_S + hours * 3600)
    assert found == (None if dollars is None else pytest.approx(dollars))


def test_a_zone_has_prices_of_its_own() -> None:
    priced = market((0, 0.02))
    priced.set({"spot": {"m5.large us-east-1b": [[0, 0.05]]}}, START_S)
    assert priced.spot_at("m5.large", ZONE, START_S) == 0.02
    assert priced.spot_at("m5.large", "us-east-1b", START_S) == 0.05
    assert priced.spot_at("m5.large", ZONE, START_S - 1) is None


@pytest.fixture
def ec2(cloud: Cloud) -> Any:
    return cloud.client("ec2")


def annex(ec2: Any, annex_id: str, capacity: int, **more: Any) -> str:
    token = leased_token(annex_id, int(time.time()) + 3600)
    return create_fleet(ec2, capacity, ClientToken=token, **more)


def test_the_meter_reads_spot_and_on_demand_of_one_fleet_and_counts_what_has_no_price(cloud: Cloud, ec2: Any) -> None:
    cloud.set_prices(spot={"m5.large": [[-10, 0.03]]}, on_demand={"m5.large": 0.09})
    mixed = {"TotalTargetCapacity": 3, "OnDemandTargetCapacity": 1, "DefaultTargetCapacityType": "spot"}
    fleet = annex(ec2, "annex-1", 3, TargetCapacitySpecification=mixed)
    other = template(ec2, InstanceType="c5.large")
    token = leased_token("annex-2", int(time.time()) + 3600)
    ec2.create_fleet(**ec2_fleet_config(other, 2, ClientToken=token))
    ec2.delete_fleets(FleetIds=[fleet], TerminateInstances=True)
    lines = cloud.meter()["annexes"]
    assert lines["annex-1"]["dollars"] == pytest.approx((2 * 0.03 + 0.09) / 60, rel=0.05), "a minute of each"
    assert lines["annex-1"]["unpriced"] == 0
    assert (lines["annex-2"]["dollars"], lines["annex-2"]["unpriced"]) == (0.0, 2)


@pytest.mark.parametrize(("bound", "launched"), [("0.02", 0), ("0.04", 2), (None, 2)])
def test_nothing_is_launched_beyond_the_bound_of_its_price_by_either_api(
    cloud: Cloud, ec2: Any, bound: str | None, launched: int
) -> None:
    cloud.set_prices(spot={"m5.large": [[-10, 0.03]]}, on_demand={"m5.large": 0.09})
    overrides = [{"InstanceType": "m5.large"} | ({"MaxPrice": bound} if bound else {})]
    named = {"LaunchTemplateId": template(ec2), "Version": "1"}
    configs = [{"LaunchTemplateSpecification": named, "Overrides": overrides}]
    ec2.create_fleet(**ec2_fleet_config("", 2, LaunchTemplateConfigs=configs))
    assert len(cloud.running_instances()) == launched
    price = {"SpotPrice": bound} if bound else {}
    config = {"TargetCapacity": 2, "LaunchSpecifications": [specification(**price)], "Type": "request"}
    role = "arn:aws:iam::123456789012:role/fleet"
    ec2.request_spot_fleet(SpotFleetRequestConfig={**config, "IamFleetRole": role})
    assert len(cloud.running_instances()) == 2 * launched


def test_a_price_that_rises_beyond_the_bound_ends_spot_instances_and_no_others(cloud: Cloud, ec2: Any) -> None:
    cloud.set_prices(spot={"m5.large": [[-10, 0.03], [2, 0.2]]}, on_demand={"m5.large": 0.09})
    mixed = {"TotalTargetCapacity": 3, "OnDemandTargetCapacity": 1, "DefaultTargetCapacityType": "spot"}
    create_fleet(ec2, TargetCapacitySpecification=mixed)
    assert len(cloud.running_instances()) == 3
    until("Spot Instances are interrupted", lambda: len(cloud.running_instances()) == 1)
    running = instances(ec2, Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
    assert [each.get("InstanceLifecycle") for each in running] == [None]


def test_spot_price_history_has_the_changes_of_a_time_and_the_price_at_its_beginning(cloud: Cloud, ec2: Any) -> None:
    day_s = 86_400
    changes = [[-90 * day_s, 0.02], [-50 * day_s, 0.05], [-10 * day_s, 0.03], [3600, 0.9]]
    cloud.set_prices(spot={"m5.large us-east-1b": changes, "c5.large": [[-day_s, 0.01]]})
    since = datetime.now(UTC) - timedelta(days=30)

    def prices(**asked: Any) -> list[float]:
        pages = ec2.get_paginator("describe_spot_price_history").paginate(InstanceTypes=["m5.large"], **asked)
        return [float(each["SpotPrice"]) for page in pages for each in page["SpotPriceHistory"]]

    assert prices(StartTime=since) == [0.03, 0.05]
    assert prices(StartTime=since, MaxResults=1) == [0.03, 0.05]
    assert prices() == [0.03]
    assert prices(StartTime=since, AvailabilityZone="us-east-1a") == []
    assert prices(ProductDescriptions=["Windows"]) == []
    every = ec2.describe_spot_price_history()["SpotPriceHistory"]
    assert {(each["InstanceType"], each["AvailabilityZone"]) for each in every} == {
        ("m5.large", "us-east-1b"),
        ("c5.large", "us-east-1a"),
    }


def test_without_prices_everything_is_launched_and_nothing_is_priced(cloud: Cloud, ec2: Any) -> None:
    request(ec2, 2)
    unleased = cloud.meter()["unleased"]
    assert (unleased["dollars"], unleased["unpriced"]) == (0.0, 2)
    cloud.set_prices(on_demand={"m5.large": 1})
    cloud.reset()
    assert ec2.describe_spot_price_history()["SpotPriceHistory"] == []


@pytest.mark.parametrize(
    ("weight", "bound"), [({}, 0.04), ({"WeightedCapacity": 2}, 0.08), ({"WeightedCapacity": 0.5}, 0.02)]
)
def test_a_bound_is_of_a_unit(weight: dict[str, float], bound: float) -> None:
    priced = market((0, 0.02))
    assert priced.bound(specification(SpotPrice="0.04", **weight)) == pytest.approx(bound)
    assert priced.bound(specification(**weight)) == 0.10
