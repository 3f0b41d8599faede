"""Capacity: 10,000 instances in one request, and a short time for each call."""

from __future__ import annotations

import time

import pytest

from test.cloud import Cloud
from test.cloud.orders import fleet_config, instances, request, specification

pytestmark = pytest.mark.timeout(120)


def test_ten_thousand_instances_start_are_seen_and_end_within_two_minutes(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    started_s = time.monotonic()
    fleet = request(ec2, 10_000)
    assert len(instances(ec2)) == 10_000
    ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=True)
    assert instances(ec2, Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}]) == []
    assert time.monotonic() - started_s < 120


def test_every_field_of_a_request_is_kept_as_it_arrived(cloud: Cloud) -> None:
    spec = specification(
        KeyName="key",
        UserData="aGVsbG8=",
        WeightedCapacity=2.0,
        EbsOptimized=True,
        Placement={"AvailabilityZone": "us-east-1b", "Tenancy": "dedicated"},
        SecurityGroups=[{"GroupId": "sg-12345678"}],
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8, "DeleteOnTermination": True}}],
        NetworkInterfaces=[{"DeviceIndex": 0, "AssociatePublicIpAddress": True, "Groups": ["sg-12345678"]}],
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}],
    )
    config = fleet_config(
        4,
        LaunchSpecifications=[spec],
        ClientToken="kept_0123",
        ValidUntil=1_900_000_000,
        Type="request",
        InstanceInterruptionBehavior="terminate",
        OnDemandTargetCapacity=0,
        TagSpecifications=[{"ResourceType": "spot-fleet-request", "Tags": [{"Key": "c", "Value": "d"}]}],
    )
    cloud.client("ec2").request_spot_fleet(SpotFleetRequestConfig=config)
    [fleet] = cloud.fleets()
    assert fleet["config"] == config
    [call] = cloud.calls("RequestSpotFleet")
    assert call["params"]["SpotFleetRequestConfig"] == config


def test_tags_of_the_request_are_on_its_instances_and_on_the_fleet(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    tags = [{"Key": "htcondor:annex-id", "Value": "one"}]
    spec = specification(TagSpecifications=[{"ResourceType": "instance", "Tags": tags}])
    own = [{"ResourceType": "spot-fleet-request", "Tags": tags}]
    fleet = request(ec2, 2, LaunchSpecifications=[spec], TagSpecifications=own)
    found = instances(ec2, Filters=[{"Name": "tag:htcondor:annex-id", "Values": ["one"]}])
    assert len(found) == 2
    [response] = ec2.describe_spot_fleet_requests(SpotFleetRequestIds=[fleet])["SpotFleetRequestConfigs"]
    assert response["Tags"] == tags


def test_connections_are_kept_and_a_call_takes_milliseconds(cloud: Cloud) -> None:
    events = cloud.client("events")
    events.put_rule(Name="warm", ScheduleExpression="rate(5 minutes)")
    times_s = []
    for number in range(50):
        started_s = time.perf_counter()
        events.put_rule(Name=f"rule-{number}", ScheduleExpression="rate(5 minutes)")
        times_s.append(time.perf_counter() - started_s)
    assert min(times_s) < 0.03, times_s  # a delayed acknowledgement alone costs each call 0.04 s
