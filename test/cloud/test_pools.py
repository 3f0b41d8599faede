"""Pools without capacity: launches in other pools, the messages in the history, and Spot interruptions."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from test.cloud import Cloud, CloudError
from test.cloud.orders import (
    create_fleet,
    described,
    described_fleet,
    ec2_fleet_config,
    instances,
    request,
    specification,
    template,
    until,
)

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
FULL = {"m5.large us-east-1a spot": 0}
TWO = [
    specification(Placement={"AvailabilityZone": "us-east-1a"}),
    specification(Placement={"AvailabilityZone": "us-east-1b"}),
]
NO_SPOT = "There is no Spot capacity available that matches your request."
WORDS = {
    "no-spot-capacity": ("error", "spotFleetRequestConfigurationInvalid", rf"m5.large, ami-\w+, Linux/UNIX: {NO_SPOT}"),
    "zone": (
        "error",
        "spotFleetRequestConfigurationInvalid",
        r"m5.large, ami-\w+, Linux/UNIX: We .* sufficient m5.large capacity .*\(us-east-1a\).* us-east-1e, us-east-1f.",
    ),
    "blacklisted": (
        "information",
        "launchSpecTemporarilyBlacklisted",
        r'.*"m5.large, ami-\w+, Linux/UNIX, us-east-1a while launching spot instance".*Error message: ' + NO_SPOT,
    ),
}


def bad_news(cloud: Cloud, fleet_id: str) -> list[tuple[str, str, str]]:
    ec2 = cloud.client("ec2")
    if fleet_id.startswith("sfr-"):
        response = ec2.describe_spot_fleet_request_history(SpotFleetRequestId=fleet_id, StartTime=LONG_AGO)
    else:
        response = ec2.describe_fleet_history(FleetId=fleet_id, StartTime=LONG_AGO)
    return [
        (each["EventType"], each["EventInformation"]["EventSubType"], each["EventInformation"]["EventDescription"])
        for each in response["HistoryRecords"]
        if each["EventType"] in ("error", "information")
    ]


def zones(cloud: Cloud) -> Counter[str]:
    running = [{"Name": "instance-state-name", "Values": ["running"]}]
    return Counter(each["Placement"]["AvailabilityZone"] for each in instances(cloud.client("ec2"), Filters=running))


@pytest.mark.parametrize("message", WORDS)
@pytest.mark.parametrize("api", ["spot-fleet", "ec2-fleet"])
def test_a_pool_without_capacity_starts_nothing_and_the_history_says_so(cloud: Cloud, api: str, message: str) -> None:
    cloud.behave(capacity_words=message)
    cloud.set_capacity(**FULL)
    ec2 = cloud.client("ec2")
    fleet_id = request(ec2, 2) if api == "spot-fleet" else create_fleet(ec2, 2)
    seen = described(ec2, fleet_id) if api == "spot-fleet" else described_fleet(ec2, fleet_id)
    [(kind, sub_type, description)] = bad_news(cloud, fleet_id)
    assert (kind, sub_type) == WORDS[message][:2]
    assert re.fullmatch(WORDS[message][2], description)
    assert (seen["ActivityStatus"], zones(cloud)) == ("error", Counter())


def test_a_one_time_spot_fleet_asks_no_other_pool_and_one_that_maintains_does(cloud: Cloud) -> None:
    cloud.set_capacity(**FULL)
    ec2 = cloud.client("ec2")
    request(ec2, 4, Type="request", AllocationStrategy="diversified", LaunchSpecifications=TWO)
    assert zones(cloud) == {"us-east-1b": 2}
    request(ec2, 4, Type="maintain", AllocationStrategy="diversified", LaunchSpecifications=TWO)
    assert zones(cloud) == {"us-east-1b": 6}


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_one_time_ec2_fleet_asks_the_other_pools_or_does_not(cloud: Cloud, elsewhere: bool) -> None:
    cloud.behave(ec2_fleets_ask_elsewhere=elsewhere)
    cloud.set_capacity(**{"m5.large us-east-1a spot": 1})
    ec2 = cloud.client("ec2")
    config = ec2_fleet_config(template(ec2), 4)
    config["LaunchTemplateConfigs"][0]["Overrides"] = [
        {"AvailabilityZone": "us-east-1a"},
        {"AvailabilityZone": "us-east-1b"},
    ]
    fleet_id = ec2.create_fleet(**config)["FleetId"]
    assert zones(cloud) == ({"us-east-1a": 1, "us-east-1b": 3} if elsewhere else {"us-east-1a": 1})
    assert described_fleet(ec2, fleet_id)["ActivityStatus"] == ("fulfilled" if elsewhere else "error")


def test_a_pool_without_capacity_is_tried_again_after_some_minutes(cloud: Cloud) -> None:
    cloud.set_capacity(**FULL)
    cloud.behave(capacity_retry_s=0.5)
    ec2 = cloud.client("ec2")
    fleet_id = request(ec2, 2)
    until("it is refused again", lambda: described(ec2, fleet_id) and len(bad_news(cloud, fleet_id)) > 1)
    cloud.set_capacity(**dict.fromkeys(FULL))
    until("it is filled", lambda: described(ec2, fleet_id)["ActivityStatus"] == "fulfilled")
    assert zones(cloud) == {"us-east-1a": 2}


def test_markets_and_types_and_zones_are_pools_of_their_own(cloud: Cloud) -> None:
    cloud.set_capacity(**FULL, **{"m5.large us-east-1b on-demand": 0, "c5.large * spot": 0})
    ec2 = cloud.client("ec2")
    request(ec2, 1, LaunchSpecifications=TWO[1:])
    request(ec2, 1, LaunchSpecifications=[specification(InstanceType="m5.xlarge")])
    request(ec2, 1, LaunchSpecifications=[specification(InstanceType="c5.large")])
    assert zones(cloud) == {"us-east-1a": 1, "us-east-1b": 1}
    plain = {"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "on-demand"}
    refused = ec2.create_fleet(
        **ec2_fleet_config(
            template(ec2, Placement={"AvailabilityZone": "us-east-1b"}), TargetCapacitySpecification=plain
        )
    )["FleetId"]
    [(_, _, description)] = bad_news(cloud, refused)
    assert "sufficient m5.large capacity in the Availability Zone you requested (us-east-1b)" in description


def test_several_subnets_or_zones_of_one_specification_are_as_many_pools(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    subnets = {each["AvailabilityZone"]: each["SubnetId"] for each in ec2.describe_subnets()["Subnets"]}
    both = [subnets["us-east-1a"], subnets["us-east-1b"]]
    ec2_fleet: dict[str, Any] = ec2_fleet_config(template(ec2), 2, SpotOptions={"AllocationStrategy": "diversified"})
    ec2_fleet["LaunchTemplateConfigs"][0]["Overrides"] = [{"SubnetId": ",".join(both)}]
    ec2.create_fleet(**ec2_fleet)
    for more in ({"SubnetId": ", ".join(both)}, {"Placement": {"AvailabilityZone": "us-east-1a, us-east-1b"}}):
        request(ec2, 2, AllocationStrategy="diversified", LaunchSpecifications=[specification(**more)])
    assert zones(cloud) == {"us-east-1a": 3, "us-east-1b": 3}


@pytest.mark.parametrize("timed", [True, False])
def test_aws_takes_spot_instances_back_for_which_it_has_no_room(cloud: Cloud, timed: bool) -> None:
    cloud.behave(interruptions_are_timed=timed)
    ec2 = cloud.client("ec2")
    request(ec2, 3, Type="request")
    cloud.set_capacity(**{"m5.large us-east-1a spot": 1})
    reclaimed = instances(ec2, Filters=[{"Name": "state-reason-code", "Values": ["Server.SpotInstanceTermination"]}])
    message = {each["StateTransitionReason"] for each in reclaimed}
    assert (len(reclaimed), zones(cloud)) == (2, {"us-east-1a": 1})
    pattern = r"Service initiated \(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d GMT\)" if timed else "Server.SpotInstanceTermination"
    assert all(re.fullmatch(pattern, each) for each in message)


def test_an_unknown_market_is_refused(cloud: Cloud) -> None:
    with pytest.raises(CloudError, match="spot or on-demand"):
        cloud.set_capacity(**{"m5.large us-east-1a bazaar": 0})
