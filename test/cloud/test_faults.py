"""Faults on demand have AWS's form: botocore parses them as it parses AWS's own errors."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError, ReadTimeoutError

from test.cloud import Cloud, CloudError
from test.cloud.cloud import ACCESS_KEY_ID
from test.cloud.orders import fleet_config, request

CODES = [
    ("ec2", "throttle", "RequestLimitExceeded", 503),
    ("ec2", "internal", "InternalError", 500),
    ("ec2", "denied", "UnauthorizedOperation", 403),
    ("events", "throttle", "ThrottlingException", 400),
    ("events", "internal", "InternalException", 500),
    ("events", "denied", "AccessDeniedException", 400),
    ("lambda", "throttle", "TooManyRequestsException", 429),
    ("lambda", "internal", "ServiceException", 500),
    ("lambda", "denied", "AccessDeniedException", 403),
]
CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ec2": ("DescribeSpotFleetRequests", "describe_spot_fleet_requests", {}),
    "events": ("ListRules", "list_rules", {}),
    "lambda": ("GetFunction", "get_function", {"FunctionName": "none"}),
}


@pytest.mark.parametrize(("service", "kind", "code", "status"), CODES)
def test_each_service_says_it_in_its_own_words(cloud: Cloud, service: str, kind: str, code: str, status: int) -> None:
    operation, method, asked = CALLS[service]
    cloud.fault(operation, kind)
    with pytest.raises(ClientError) as raised:
        getattr(cloud.client(service), method)(**asked)
    assert raised.value.response["Error"]["Code"] == code
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    [call] = cloud.calls(operation)
    assert call["fault"] == kind


def test_an_error_of_any_code_can_be_ordered(cloud: Cloud) -> None:
    cloud.fault("RequestSpotFleet", "error", code="MaxSpotFleetRequestCountExceeded")
    with pytest.raises(ClientError, match="MaxSpotFleetRequestCountExceeded"):
        request(cloud.client("ec2"))


def test_a_fault_strikes_so_often_and_no_more_and_may_let_some_pass_first(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    cloud.fault("DescribeSpotFleetRequests", "throttle", 2, skip=1)
    outcomes = []
    for _ in range(4):
        try:
            ec2.describe_spot_fleet_requests()
            outcomes.append(True)
        except ClientError:
            outcomes.append(False)
    assert outcomes == [True, False, False, True]
    assert cloud.faults() == []


@pytest.mark.parametrize("kind", ["reset", "internal"])
@pytest.mark.parametrize(("when", "launched"), [("before", 0), ("after", 1)])
def test_an_answer_is_lost_before_or_after_the_effect(cloud: Cloud, kind: str, when: str, launched: int) -> None:
    cloud.fault("RequestSpotFleet", kind, when=when)
    with pytest.raises((ClientError, ConnectionClosedError, HTTPClientError)):
        request(cloud.client("ec2"), ClientToken="lost_0123")
    assert len(cloud.running_instances()) == launched
    request(cloud.client("ec2"), ClientToken="lost_0123")
    assert len(cloud.running_instances()) == 1


def test_a_call_that_hangs_ends_by_the_clients_own_time_out(cloud: Cloud) -> None:
    from boto3 import Session
    from botocore.config import Config

    patience = Config(read_timeout=0.5, retries={"total_max_attempts": 1})
    session = Session(aws_access_key_id=ACCESS_KEY_ID, aws_secret_access_key="x", region_name="us-east-1")
    cloud.fault("DescribeSpotFleetRequests", "hang")
    started_s = time.monotonic()
    with pytest.raises(ReadTimeoutError):
        session.client("ec2", endpoint_url=cloud.url, config=patience).describe_spot_fleet_requests()
    assert 0.4 < time.monotonic() - started_s < 60


def test_calls_that_hang_can_be_ended(cloud: Cloud) -> None:
    cloud.fault("DescribeSpotFleetRequests", "hang", hang_s=120)
    with ThreadPoolExecutor() as threads:
        call = threads.submit(cloud.client("ec2").describe_spot_fleet_requests)
        cloud.end_hangs()
        with pytest.raises(ConnectionClosedError):
            call.result(30)


def test_targets_fail_inside_an_http_200_while_the_others_are_put(cloud: Cloud) -> None:
    events = cloud.client("events")
    events.put_rule(Name="rule", ScheduleExpression="rate(5 minutes)")
    cloud.fault("PutTargets", "partial", matching="bad")
    arn = "arn:aws:lambda:us-east-1:123456789012:function:f"
    answer = events.put_targets(Rule="rule", Targets=[{"Id": "good", "Arn": arn}, {"Id": "bad", "Arn": arn}])
    assert answer["FailedEntryCount"] == 1
    assert answer["FailedEntries"][0]["TargetId"] == "bad"
    assert [each["Id"] for each in events.list_targets_by_rule(Rule="rule")["Targets"]] == ["good"]
    cloud.fault("RemoveTargets", "partial")
    assert events.remove_targets(Rule="rule", Ids=["good"])["FailedEntryCount"] == 1
    assert len(events.list_targets_by_rule(Rule="rule")["Targets"]) == 1


def test_one_fleet_of_several_fails_to_cancel_inside_an_http_200(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    stuck, other = request(ec2), request(ec2)
    cloud.fault("CancelSpotFleetRequests", "partial", matching=stuck)
    answer = ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[stuck, other], TerminateInstances=True)
    assert [each["SpotFleetRequestId"] for each in answer["SuccessfulFleetRequests"]] == [other]
    assert answer["UnsuccessfulFleetRequests"][0]["Error"]["Code"] == "unexpectedError"
    assert [each["fleet"] for each in cloud.running_instances()] == [stuck]


def test_an_unknown_fault_is_refused_with_the_known_kinds(cloud: Cloud) -> None:
    with pytest.raises(CloudError, match="throttle"):
        cloud.fault("RequestSpotFleet", "gremlin")


def test_the_audit_shows_caller_request_time_and_result(cloud: Cloud) -> None:
    cloud.client("ec2", "AKIAANOTHER").request_spot_fleet(SpotFleetRequestConfig=fleet_config(3))
    requested, launched, call = cloud.audit()
    assert requested["effect"] == "fleet requested"
    assert (launched["effect"], launched["count"]) == ("instances launched", 3)
    assert (call["operation"], call["status"], call["access_key_id"]) == ("RequestSpotFleet", 200, "AKIAANOTHER")
    assert requested["time"] <= launched["time"] <= call["time"] <= time.time()
