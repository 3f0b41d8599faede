"""Functions that run when rules fire: their own zip, in their own process, up to their own time limit."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Iterator

import pytest
from moto.awslambda.models import LambdaFunction

from test.cloud import Cloud
from test.cloud.keys import FUNCTION_KEY
from test.cloud.orders import ECHO, HEAD, RAISE, SLEEP, deploy, invoke, request, until

LEFT = HEAD + "    return context.get_remaining_time_in_millis()"
CALL = "import boto3\n" + HEAD + "    return len(boto3.client('ec2').describe_instances()['Reservations'])"


def test_the_one_private_seam_of_moto_is_still_there_as_it_was() -> None:
    """The emulator overrides LambdaFunction._invoke_lambda(event) -> (payload, errored, log), which invoke calls."""
    parameters = inspect.signature(LambdaFunction._invoke_lambda).parameters
    assert list(parameters) == ["self", "event"]
    source = inspect.getsource(LambdaFunction.invoke)
    assert "res, errored, logs = self._invoke_lambda(event=body)" in source
    names = set(inspect.getsource(LambdaFunction).split())
    assert {"self.code_bytes", "self.code_sha_256", "self.environment_vars", "self.handler"} <= names


def test_a_function_runs_from_its_own_zip_with_its_own_environment(cloud: Cloud) -> None:
    deploy(cloud, ECHO)
    payload, error = invoke(cloud, "one", {"a": 1})
    assert isinstance(payload, list)
    assert (payload[:2], error) == ([{"a": 1}, "variable"], None)
    [ended] = cloud.effects("function ended")
    assert "called with {'a': 1}" in ended["log"]


def test_its_calls_reach_the_same_cloud_under_its_roles_key(cloud: Cloud) -> None:
    deploy(cloud, CALL, timeout_s=30)
    request(cloud.client("ec2"), 3)
    assert invoke(cloud, "one") == (3, None)
    [call] = cloud.calls("DescribeInstances")
    assert call["access_key_id"] == FUNCTION_KEY


def test_an_environment_stays_warm_for_the_next_event(cloud: Cloud) -> None:
    deploy(cloud, ECHO)
    (first, _), (second, _) = invoke(cloud, "one"), invoke(cloud, "one")
    assert first == second


def test_new_code_gets_a_new_environment(cloud: Cloud) -> None:
    from test.cloud.orders import zipped

    deploy(cloud, ECHO, timeout_s=60)
    invoke(cloud, "one")
    cloud.client("lambda").update_function_code(FunctionName="one", ZipFile=zipped(LEFT))
    payload, _ = invoke(cloud, "one")
    assert isinstance(payload, int)
    assert 5000 < payload <= 60_000


def test_an_exception_of_a_function_is_an_unhandled_error(cloud: Cloud) -> None:
    deploy(cloud, RAISE)
    payload, error = invoke(cloud, "one")
    assert isinstance(payload, dict)
    assert (payload["errorType"], payload["errorMessage"], error) == ("ValueError", "no", "Unhandled")


def test_a_function_is_ended_at_its_time_limit(cloud: Cloud) -> None:
    deploy(cloud, SLEEP, timeout_s=1)
    payload, error = invoke(cloud, "one")
    assert isinstance(payload, dict)
    assert "Task timed out after 1.00 seconds" in payload["errorMessage"]
    assert error == "Unhandled"


@pytest.fixture(scope="module")
def fast() -> Iterator[Cloud]:
    with Cloud(speed=600) as cloud:  # rate(5 minutes) is 0.5 s, a retry after a minute 0.1 s
        yield cloud


def rule(cloud: Cloud, arn: str, name: str, state: str = "ENABLED") -> None:
    events = cloud.client("events")
    events.put_rule(Name=name, ScheduleExpression="rate(5 minutes)", State=state)
    events.put_targets(Rule=name, Targets=[{"Id": name, "Arn": arn, "Input": json.dumps({"rule": name})}])


def test_a_rule_fires_at_its_rate_for_as_long_as_it_is_there(fast: Cloud) -> None:
    fast.reset()
    arn, before_s = deploy(fast, ECHO), time.time()
    rule(fast, arn, "ticking")
    until("three ticks", lambda: len(fast.effects("function ended")) >= 3)
    times_s = [each["time"] for each in fast.effects("rule fired")[:3]]
    assert times_s[2] - before_s >= 3 * 0.5, "each a period after the one before, however late that was noticed"
    assert fast.effects("function started")[0]["event"] == {"rule": "ticking"}
    events = fast.client("events")
    events.remove_targets(Rule="ticking", Ids=["ticking"])
    events.delete_rule(Name="ticking")
    fired = len(fast.effects("rule fired"))
    rule(fast, "arn:aws:lambda:us-east-1:123456789012:function:one", "later")
    until("another rule's tick", lambda: len(fast.effects("rule fired")) > fired + 1)
    assert {each["rule"] for each in fast.effects("rule fired")[fired + 1 :]} == {"later"}


def test_a_disabled_rule_or_one_without_permission_calls_nothing(fast: Cloud) -> None:
    fast.reset()
    rule(fast, deploy(fast, ECHO, "open"), "off", state="DISABLED")
    rule(fast, deploy(fast, ECHO, "closed", permit=False), "shut")
    until("the clock has looked", lambda: fast.effects("rule not permitted"))
    assert fast.effects("function started") == []


def test_lambda_asks_a_failed_function_twice_again(fast: Cloud) -> None:
    fast.reset()
    deploy(fast, RAISE)
    fast.client("lambda").invoke(FunctionName="one", InvocationType="Event", Payload=b"{}")
    until("three tries", lambda: len(fast.effects("function ended")) >= 3)


def test_the_meter_counts_what_outlives_a_lease_and_what_never_had_one(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    request(ec2, 2, ClientToken=f"short_{int(time.time() - 10)}_0123456789abcdef")
    request(ec2, 1, ClientToken="other_0123")
    until("time goes by", lambda: cloud.meter()["annexes"]["short"]["instance_seconds"] > 0.2)
    response = cloud.meter()
    assert response["annexes"]["short"]["live"] == 2
    assert response["unleased"]["live"] == 1
    ec2.terminate_instances(InstanceIds=[each["id"] for each in cloud.running_instances()])
    cloud.client("ec2").cancel_spot_fleet_requests(
        SpotFleetRequestIds=[each["id"] for each in cloud.fleets()], TerminateInstances=True
    )
    stopped = cloud.meter()
    assert cloud.meter()["annexes"]["short"] == stopped["annexes"]["short"]
