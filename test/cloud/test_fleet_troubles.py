"""A fleet in trouble: AWS accepts it, starts no instances and records the reason in its history."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from test.cloud import Cloud
from test.cloud.fleet_troubles import TROUBLES
from test.cloud.orders import described, request

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def history(ec2: Any, fleet_id: str, **asked: Any) -> list[dict[str, Any]]:
    asked = {"StartTime": LONG_AGO} | asked
    return list(ec2.describe_spot_fleet_request_history(SpotFleetRequestId=fleet_id, **asked)["HistoryRecords"])


def kinds(records: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["EventType"], each["EventInformation"]["EventSubType"]) for each in records]


def test_the_history_of_a_good_fleet_has_its_states_and_its_instances(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    fleet_id = request(ec2, 2)
    response = history(ec2, fleet_id)
    assert kinds(response)[:2] == [("fleetRequestChange", "submitted"), ("fleetRequestChange", "active")]
    assert kinds(response)[2:] == [("instanceChange", "launched")] * 2
    assert {each["EventInformation"]["InstanceId"] for each in response[2:]} == {
        each["id"] for each in cloud.running_instances()
    }
    assert described(ec2, fleet_id)["ActivityStatus"] == "fulfilled"


def test_a_role_that_cannot_launch_leaves_the_fleet_active_with_an_error(cloud: Cloud) -> None:
    cloud.behave(fleet_trouble="role")
    ec2 = cloud.client("ec2")
    fleet_id = request(ec2, 2)
    seen = described(ec2, fleet_id)
    assert (seen["SpotFleetRequestState"], seen["ActivityStatus"]) == ("active", "error")
    assert kinds(history(ec2, fleet_id, EventType="error")) == [("error", "iamFleetRoleInvalid")]
    assert cloud.running_instances() == []


def test_a_fleet_beyond_a_quota_is_cancelled_at_once(cloud: Cloud) -> None:
    cloud.behave(fleet_trouble="fleet-quota")
    ec2 = cloud.client("ec2")
    fleet_id = request(ec2, 2)
    assert described(ec2, fleet_id)["SpotFleetRequestState"] == "cancelled"
    [error] = history(ec2, fleet_id, EventType="error")
    assert error["EventInformation"] == {"EventSubType": "spotInstanceCountLimitExceeded"}


def test_events_are_listed_late_in_pages_and_from_a_time_on(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    fleet_id = request(ec2, 4)
    first = ec2.describe_spot_fleet_request_history(SpotFleetRequestId=fleet_id, StartTime=LONG_AGO, MaxResults=4)
    rest = history(ec2, fleet_id, NextToken=first["NextToken"])
    assert (len(first["HistoryRecords"]), len(rest)) == (4, 2)
    assert history(ec2, fleet_id, StartTime=datetime.fromtimestamp(time.time() + 60, UTC)) == []
    cloud.behave(history_late_s=30.0)
    assert history(ec2, fleet_id) == []


@pytest.mark.parametrize("trouble", sorted(set(TROUBLES) - {"", "some", "dying"}))
def test_in_trouble_nothing_is_started(cloud: Cloud, trouble: str) -> None:
    cloud.behave(fleet_trouble=trouble)
    request(cloud.client("ec2"), 2)
    assert cloud.running_instances() == []


def test_an_unknown_trouble_is_refused(cloud: Cloud) -> None:
    with pytest.raises(Exception, match="fleet_trouble is one of"):
        cloud.behave(fleet_trouble="rain")
