"""Calls of functions: concurrency, retries, event age, permissions, and the events that rules send."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud
from test.cloud.orders import ECHO, HEAD, RAISE, deploy, invoke, until

RULE_ARN = "arn:aws:events:us-east-1:123456789012:rule/"
CONTEXT = HEAD + "    return [context.invoked_function_arn, os.environ.get('MAX_LEASE_S')]"
UNTIL = HEAD + "    while not os.path.exists({!r}):\n        time.sleep(3)"  # until this file exists


@pytest.fixture(scope="module")
def one_fast_cloud() -> Iterator[Cloud]:
    with Cloud(speed=600) as cloud:
        yield cloud


@pytest.fixture
def fast(one_fast_cloud: Cloud) -> Cloud:
    one_fast_cloud.reset()
    return one_fast_cloud


def send(cloud: Cloud) -> None:
    cloud.client("lambda").invoke(FunctionName="one", InvocationType="Event", Payload=b"{}")


def rule(cloud: Cloud, arn: str, name: str, **more: Any) -> None:
    events = cloud.client("events")
    events.put_rule(Name=name, ScheduleExpression="rate(5 minutes)", **more)
    events.put_targets(Rule=name, Targets=[{"Id": "lease", "Arn": arn}])


def test_a_rule_without_an_input_sends_awss_scheduled_event(cloud: Cloud) -> None:
    rule(cloud, deploy(cloud, ECHO), "ticking")
    cloud.tick()
    [started] = cloud.effects("function started")
    event = started["event"]
    assert {key: event[key] for key in event if key not in {"id", "time"}} == {
        "version": "0",
        "source": "aws.events",
        "detail-type": "Scheduled Event",
        "detail": {},
        "account": "123456789012",
        "region": "us-east-1",
        "resources": [RULE_ARN + "ticking"],
    }
    moment = datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    assert abs(moment - time.time()) < 30


def test_a_disabled_rule_does_not_fire_by_name_either(cloud: Cloud) -> None:
    rule(cloud, deploy(cloud, ECHO), "off", State="DISABLED")
    cloud.tick("off")
    assert cloud.effects("function started") == []
    cloud.client("events").enable_rule(Name="off")
    cloud.tick("off")
    assert len(cloud.effects("function started")) == 1


def permitted(cloud: Cloud, *statements: dict[str, Any]) -> bool:
    arn = deploy(cloud, ECHO, permit=False)
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Sid": str(number), "Resource": arn, **each} for number, each in enumerate(statements)],
    }
    cloud.client("lambda").put_resource_policy(ResourceArn=arn, Policy=json.dumps(document))
    rule(cloud, arn, "ticking")
    cloud.tick()
    assert len(cloud.effects("rule not permitted")) + len(cloud.effects("function started")) == 1
    return bool(cloud.effects("function started"))


EVENTS = {"Service": "events.amazonaws.com"}
ALLOW = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Principal": EVENTS}
DENY = {"Effect": "Deny", "Action": "lambda:*", "Principal": "*"}


def from_rule(name: str) -> dict[str, Any]:
    return {"Condition": {"ArnLike": {"AWS:SourceArn": RULE_ARN + name}}}


@pytest.mark.parametrize(
    ("statements", "may"),
    [
        ([ALLOW], True),
        ([ALLOW | from_rule("ticking")], True),
        ([ALLOW | from_rule("tick*")], True),
        ([ALLOW | from_rule("other")], False),
        ([ALLOW | {"Condition": {"StringEquals": {"AWS:SourceAccount": "210987654321"}}}], False),
        ([ALLOW | {"Principal": {"Service": "s3.amazonaws.com"}}], False),
        ([ALLOW | {"Principal": {"AWS": "arn:aws:iam::123456789012:root"}}], False),
        ([ALLOW | {"Action": "lambda:GetFunction"}], False),
        ([ALLOW, DENY], False),
        ([ALLOW, DENY | {"Principal": EVENTS} | from_rule("ticking")], False),
        ([ALLOW, DENY | from_rule("other")], True),
        ([], False),
    ],
)
def test_the_functions_policy_decides_whether_a_rules_call_arrives(
    cloud: Cloud, statements: list[dict[str, Any]], may: bool
) -> None:
    assert permitted(cloud, *statements) is may


def test_a_function_has_its_variables_and_knows_its_arn(cloud: Cloud) -> None:
    arn = deploy(cloud, CONTEXT)
    variables = {"Variables": {"MAX_LEASE_S": "86400"}}
    cloud.client("lambda").update_function_configuration(FunctionName="one", Environment=variables)
    assert invoke(cloud, "one") == ([arn, "86400"], None)


def test_a_changed_description_is_returned(cloud: Cloud) -> None:
    deploy(cloud, ECHO)
    functions = cloud.client("lambda")
    functions.update_function_configuration(FunctionName="one", Description="closing")
    assert functions.get_function(FunctionName="one")["Configuration"]["Description"] == "closing"


def throttled(cloud: Cloud) -> bool:
    try:
        invoke(cloud, "one")
    except ClientError as error:
        answered = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        if answered != ("TooManyRequestsException", 429):
            raise
        return True
    return False


def test_a_function_with_no_concurrency_is_not_called(cloud: Cloud) -> None:
    rule(cloud, deploy(cloud, ECHO), "ticking")
    functions = cloud.client("lambda")
    functions.put_function_concurrency(FunctionName="one", ReservedConcurrentExecutions=0)
    assert functions.get_function(FunctionName="one")["Concurrency"] == {"ReservedConcurrentExecutions": 0}
    assert throttled(cloud)
    cloud.tick()
    assert cloud.effects("function started") == []
    [effect] = cloud.effects("invocation throttled")
    assert effect["reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    functions.delete_function_concurrency(FunctionName="one")
    assert not throttled(cloud)


def test_an_account_runs_so_many_functions_at_once(cloud: Cloud, tmp_path: Path) -> None:
    deploy(cloud, UNTIL.format(str(tmp_path / "end")), timeout_s=60)
    cloud.behave(concurrency=1)
    send(cloud)
    until("the first runs", lambda: bool(cloud.effects("function started")))
    assert throttled(cloud)
    (tmp_path / "end").touch()
    until("the first has ended", lambda: bool(cloud.effects("function ended")))
    assert not throttled(cloud)


def test_an_account_shows_its_concurrency_and_keeps_a_part_unreserved(cloud: Cloud) -> None:
    deploy(cloud, ECHO)
    functions = cloud.client("lambda")
    functions.put_function_concurrency(FunctionName="one", ReservedConcurrentExecutions=5)
    limit = functions.get_account_settings()["AccountLimit"]
    assert (limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]) == (1000, 995)
    cloud.behave(concurrency=10)
    with pytest.raises(ClientError, match=r"below its minimum value of \[100\]"):
        functions.put_function_concurrency(FunctionName="one", ReservedConcurrentExecutions=1)
    functions.put_function_concurrency(FunctionName="one", ReservedConcurrentExecutions=0)


def test_a_throttled_event_waits_until_there_is_room(fast: Cloud) -> None:
    deploy(fast, ECHO)
    functions = fast.client("lambda")
    functions.put_function_concurrency(FunctionName="one", ReservedConcurrentExecutions=0)
    send(fast)
    until("it was tried three times", lambda: len(fast.effects("invocation throttled")) >= 3)
    functions.delete_function_concurrency(FunctionName="one")
    until("it runs", lambda: bool(fast.effects("function ended")))


def test_an_event_that_is_too_old_is_dropped(fast: Cloud) -> None:
    deploy(fast, ECHO)
    functions = fast.client("lambda")
    functions.put_function_event_invoke_config(FunctionName="one", MaximumEventAgeInSeconds=60)
    functions.put_function_concurrency(FunctionName="one", ReservedConcurrentExecutions=0)
    send(fast)
    until("it is dropped", lambda: bool(fast.effects("event dropped")))
    functions.delete_function_concurrency(FunctionName="one")
    assert fast.effects("function started") == []


def test_a_failed_event_is_tried_again_as_often_as_configured(fast: Cloud) -> None:
    deploy(fast, RAISE)
    functions = fast.client("lambda")
    functions.put_function_event_invoke_config(FunctionName="one", MaximumRetryAttempts=2)
    functions.put_function_event_invoke_config(FunctionName="one", MaximumRetryAttempts=0)
    assert functions.get_function_event_invoke_config(FunctionName="one")["MaximumRetryAttempts"] == 0
    send(fast)
    until("it has failed", lambda: bool(fast.effects("function ended")))
    functions.put_function_event_invoke_config(FunctionName="one", MaximumRetryAttempts=1)
    send(fast)
    until("the second has failed twice", lambda: len(fast.effects("function ended")) == 3)
    until("Lambda would have tried again", lambda: time.time() > fast.effects("function ended")[-1]["time"] + 1.0)
    assert len(fast.effects("function started")) == 3


def test_a_cloud_that_is_idle_has_written_the_log_of_every_call(cloud: Cloud) -> None:
    """Otherwise, a test that replaces the log could meet a group that a late run has created again."""
    cloud.behave(logs_late_s=0.0)
    arn = deploy(cloud, HEAD + "    import time\n    time.sleep(0.5)\n")
    cloud.client("lambda").invoke(FunctionName=arn, InvocationType="Event", Payload=b"{}")
    cloud.wait_until_idle()
    events = cloud.client("logs").filter_log_events(logGroupName="/aws/lambda/one")["events"]
    assert any(each["message"].startswith("REPORT RequestId: ") for each in events)
