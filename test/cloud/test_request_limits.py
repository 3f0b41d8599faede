"""EC2's published request limits, separate for each API."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud
from test.cloud.buckets import Buckets
from test.cloud.orders import request, until

NONE: dict[str, Any] = {}


def throttled(call: Any, **asked: Any) -> bool:
    try:
        call(**asked)
    except ClientError as error:
        answered = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        if answered != ("RequestLimitExceeded", 503):
            raise
        return True
    return False


class Time:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("operation", "asked", "burst", "per_s"),
    [
        ("DescribeSpotFleetRequests", NONE, 50, 3),
        ("DescribeSpotFleetInstances", NONE, 100, 5),
        ("CancelSpotFleetRequests", NONE, 50, 5),
        ("RequestSpotFleet", NONE, 50, 5),
        ("TerminateInstances", {"InstanceIds": ["i-1"]}, 100, 5),
        ("CreateTags", NONE, 100, 10),
        ("DescribeInstances", {"Filters": []}, 100, 20),
        ("DescribeInstances", NONE, 50, 10),
        ("ModifyInstanceAttribute", NONE, 50, 5),
    ],
)
def test_an_api_takes_its_burst_and_then_so_many_a_second(
    operation: str, asked: dict[str, Any], burst: int, per_s: int
) -> None:
    clock = Time()
    buckets = Buckets(clock)
    assert sum(buckets.takes("r", operation, asked, 1.0) for _ in range(burst + 50)) == burst
    clock.now_s += 0.9
    assert not buckets.takes("r", operation, asked, 1.0), "tokens come once a second"
    clock.now_s += 0.1
    assert sum(buckets.takes("r", operation, asked, 1.0) for _ in range(50)) == per_s
    clock.now_s += 10_000
    assert sum(buckets.takes("r", operation, asked, 1.0) for _ in range(burst + 50)) == burst, "no more than fit"


def test_terminated_instances_are_paid_one_by_one() -> None:
    clock = Time()
    buckets = Buckets(clock)
    fifty = {"InstanceIds": ["i-1"] * 50}
    assert sum(buckets.takes("r", "TerminateInstances", fifty, 1.0) for _ in range(30)) == 20
    clock.now_s += 2
    assert not buckets.takes("r", "TerminateInstances", fifty, 1.0)
    assert buckets.takes("r", "TerminateInstances", {"InstanceIds": ["i-1"] * 40}, 1.0)


def test_every_api_and_region_has_its_own_bucket() -> None:
    buckets = Buckets(Time())
    while buckets.takes("r", "CancelSpotFleetRequests", NONE, 1.0):
        pass
    assert buckets.takes("r", "RequestSpotFleet", NONE, 1.0)
    assert buckets.takes("other", "CancelSpotFleetRequests", NONE, 1.0)


def test_buckets_fill_faster_where_time_does() -> None:
    clock = Time()
    buckets = Buckets(clock)
    while buckets.takes("r", "DescribeSpotFleetRequests", NONE, 60.0):
        pass
    clock.now_s += 0.1
    assert sum(buckets.takes("r", "DescribeSpotFleetRequests", NONE, 60.0) for _ in range(50)) == 6 * 3


def test_too_many_calls_are_throttled_without_effect_until_the_bucket_fills(cloud: Cloud) -> None:
    cloud.behave(ec2_limits=0.01)  # no token is added during the calls
    ec2, other = cloud.client("ec2"), cloud.client("lambda")
    answers = [throttled(ec2.describe_spot_fleet_requests) for _ in range(80)]
    assert not any(answers[:50])
    assert any(answers[50:])
    assert not throttled(request, ec2=ec2), "another API's bucket is full"
    other.list_functions()
    until(
        "the burst is used up",
        lambda: throttled(ec2.cancel_spot_fleet_requests, SpotFleetRequestIds=["sfr-1"], TerminateInstances=True),
    )
    cloud.behave(ec2_limits=1.0)
    until("a token comes", lambda: not throttled(ec2.describe_spot_fleet_requests))
    assert len(cloud.running_instances()) == 1
    cloud.reset()
    assert not any(throttled(ec2.describe_spot_fleet_requests) for _ in range(60)), "off, unless it is chosen"
