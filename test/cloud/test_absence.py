"""A fleet that a list omits may still exist; only NotFound for its ID means that it is gone."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud
from test.cloud.orders import described, instances, request


def listed(ec2: Any, **asked: Any) -> list[str]:
    pages = ec2.get_paginator("describe_spot_fleet_requests").paginate(**asked)
    return [each["SpotFleetRequestId"] for page in pages for each in page["SpotFleetRequestConfigs"]]


def test_a_list_may_leave_out_a_fleet_that_its_id_finds(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    left_out, other = request(ec2), request(ec2)
    cloud.fault("DescribeSpotFleetRequests", "omit", matching=left_out)
    assert listed(ec2) == [other]
    assert listed(ec2) == [left_out, other]
    cloud.fault("DescribeSpotFleetRequests", "omit", matching=left_out)
    assert described(ec2, left_out)["SpotFleetRequestState"] == "active"


@pytest.mark.parametrize(
    ("kind", "size", "seen"),
    [
        ("shift", 2, [0, 1, 3]),
        ("repeat", 2, [0, 1, 1, 2, 3]),
        ("repeat", 1, [0, 0, 1, 2, 3]),
    ],
)
def test_a_fleet_that_moves_between_pages_is_on_none_or_on_two(
    cloud: Cloud, kind: str, size: int, seen: list[int]
) -> None:
    ec2 = cloud.client("ec2")
    fleets = [request(ec2) for _ in range(4)]
    cloud.fault("DescribeSpotFleetRequests", kind)
    assert listed(ec2, MaxResults=size) == [fleets[number] for number in seen]


def test_an_instance_that_moves_between_pages_is_on_none(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    request(ec2, 8)
    cloud.fault("DescribeInstances", "shift")
    assert len(instances(ec2, MaxResults=5)) == 7


def test_a_fleet_that_aws_has_forgotten_is_not_found_while_its_instances_live(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    fleet, other = request(ec2), request(ec2)
    cloud.forget_fleet(fleet)
    assert listed(ec2) == [other]
    with pytest.raises(ClientError, match=r"InvalidSpotFleetRequestId.NotFound"):
        described(ec2, fleet)
    answer = ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=True)
    assert answer["UnsuccessfulFleetRequests"][0]["Error"]["Code"] == "fleetRequestIdDoesNotExist"
    [orphan] = instances(ec2, Filters=[{"Name": "tag:aws:ec2spot:fleet-request-id", "Values": [fleet]}])
    ec2.terminate_instances(InstanceIds=[orphan["InstanceId"]])
    assert [each["fleet"] for each in cloud.running_instances()] == [other]
    assert request(ec2) not in {fleet, other}
