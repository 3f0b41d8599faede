"""Stacks are created, updated, rolled back and deleted as by CloudFormation, without harm to another's resources."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud
from test.cloud.orders import until
from test.cloud.stack_orders import (
    ARN,
    GROUP,
    MAX_LEASE,
    NAME,
    OTHER_FUNCTION,
    OTHER_LOG,
    Stack,
    configuration,
    receipts,
    template,
    there,
)


@pytest.fixture
def stack(cloud: Cloud) -> Stack:
    """Create a stack."""
    cloud.behave(logs_late_s=0.0)
    stack = Stack(cloud)
    assert stack.create(template()) == "CREATE_COMPLETE", stack.reasons()
    return stack


def test_a_tick_of_the_stacks_rule_leaves_its_receipt_in_the_stacks_log(cloud: Cloud, stack: Stack) -> None:
    cloud.client("lambda").invoke(FunctionName=NAME, Payload=b"{}")
    assert receipts(cloud) == [], "a call by hand is no tick"
    cloud.tick()
    [receipt] = receipts(cloud)
    assert receipt["max_lease_s"] == "2592000"
    assert stack.answered()["Outputs"][0]["OutputValue"] == configuration(cloud)["FunctionArn"]


def test_a_stack_has_what_its_template_says(cloud: Cloud, stack: Stack) -> None:
    functions, events = cloud.client("lambda"), cloud.client("events")
    calls = functions.get_function_event_invoke_config(FunctionName=NAME, Qualifier="$LATEST")
    assert (calls["MaximumRetryAttempts"], calls["MaximumEventAgeInSeconds"]) == (0, 300)
    [target] = events.list_targets_by_rule(Rule=NAME)["Targets"]
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 300, "MaximumRetryAttempts": 0}
    [statement] = json.loads(functions.get_policy(FunctionName=NAME)["Policy"])["Statement"]
    assert statement["Condition"] == {"ArnLike": {"AWS:SourceArn": events.describe_rule(Name=NAME)["Arn"]}}
    [group] = cloud.client("logs").describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]
    assert group["retentionInDays"] == 90
    assert stack.parameter() == "2592000"


def test_an_update_that_changes_nothing_is_none(stack: Stack) -> None:
    for body in (template(), json.dumps(json.loads(template()) | {"Description": "other words"}, indent=4)):
        with pytest.raises(ClientError, match=r"No updates are to be performed\."):
            stack.update(body)
    assert stack.status == "CREATE_COMPLETE"


def test_a_parameter_alone_is_an_update(cloud: Cloud, stack: Stack) -> None:
    assert stack.update(template(), MaxLease="3600") == "UPDATE_COMPLETE"
    assert configuration(cloud)["Environment"]["Variables"] == {"MAX_LEASE_S": "3600"}
    with pytest.raises(ClientError, match="No updates are to be performed"):
        stack.update(template(), MaxLease=None)
    assert stack.update(template({"Log": {"RetentionInDays": 30}}), MaxLease=None) == "UPDATE_COMPLETE"
    assert stack.parameter() == "3600"
    assert stack.update(template()) == "UPDATE_COMPLETE", "what is left out is the default again"
    assert stack.parameter() == "2592000"


def test_an_update_may_keep_the_template(stack: Stack) -> None:
    given = [{"ParameterKey": "MaxLease", "ParameterValue": "7200"}]
    stack.cloudformation.update_stack(
        StackName="one", UsePreviousTemplate=True, Parameters=given, Capabilities=["CAPABILITY_IAM"]
    )
    assert (stack.settled(), stack.parameter()) == ("UPDATE_COMPLETE", "7200")


@pytest.mark.parametrize(
    ("parameter", "given", "message"),
    [
        (MAX_LEASE, {"MaxLease": "many"}, "'MaxLease' must be a number"),
        (MAX_LEASE, {"MaxLease": "299"}, "must be a number not less than 300"),
        (MAX_LEASE, {"MaxLease": None}, "Cannot specify usePreviousValue as true"),
        (MAX_LEASE, {"Other": "1"}, r"\[Other\] do not exist in the template"),
        ({"Type": "Number"}, {}, r"\[MaxLease\] must have values"),
        ({"Type": "String", "AllowedValues": ["a"], "Default": "b"}, {}, "must be one of AllowedValues"),
        (
            {"Type": "String", "AllowedPattern": "[a-z]+", "ConstraintDescription": "letters"},
            {"MaxLease": "1"},
            "letters",
        ),
    ],
)
def test_a_parameter_that_does_not_do_is_refused_at_once(
    cloud: Cloud, parameter: dict[str, Any], given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        Stack(cloud).create(template(parameter=parameter), **given)
    assert cloud.client("cloudformation").describe_stacks()["Stacks"] == []


def test_a_template_that_is_too_long_or_refers_to_nothing_is_refused_at_once(cloud: Cloud) -> None:
    with pytest.raises(ClientError, match="less than or equal to 51200"):
        Stack(cloud).create(template({"Function": {"Code": {"ZipFile": "#" * 51200}}}))
    with pytest.raises(ClientError, match=r"Unresolved resource dependencies \[Log\]"):
        Stack(cloud).create(template(leave_out="Log"))


def test_a_second_stack_that_wants_the_names_rolls_back_and_leaves_the_first(cloud: Cloud, stack: Stack) -> None:
    before, choices = there(cloud), [{}, {"Log": OTHER_LOG}, {"Log": OTHER_LOG, "Function": OTHER_FUNCTION}]
    for changed in choices:
        second = Stack(cloud, "second")
        assert second.create(template(changed)) == "ROLLBACK_COMPLETE"
        assert "HandlerErrorCode: AlreadyExists" in second.reasons()
        assert there(cloud) == before
        second.delete()
    assert (there(cloud), stack.status) == (before, "CREATE_COMPLETE")
    cloud.tick()
    assert len(receipts(cloud)) == 1


def test_a_resource_with_its_own_name_cannot_be_replaced(cloud: Cloud, stack: Stack) -> None:
    before = configuration(cloud)
    assert stack.update(template({"Function": {"PackageType": "Image"}})) == "UPDATE_ROLLBACK_COMPLETE"
    assert (
        "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
        f"Rename {NAME} and update the stack again."
    ) in stack.reasons()
    assert configuration(cloud) == before


def test_a_replacement_exists_before_the_old_resource_goes(cloud: Cloud, stack: Stack) -> None:
    assert stack.update(template({"Rule": {"Name": "renamed"}})) == "UPDATE_COMPLETE", stack.reasons()
    assert stack.events("Rule")[-4:] == [
        "UPDATE_IN_PROGRESS",
        "UPDATE_COMPLETE",
        "DELETE_IN_PROGRESS",
        "DELETE_COMPLETE",
    ]
    assert stack.events("one")[-2:] == ["UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE"]
    assert [each["Name"] for each in cloud.client("events").list_rules()["Rules"]] == ["renamed"]
    [statement] = json.loads(cloud.client("lambda").get_policy(FunctionName=NAME)["Policy"])["Statement"]
    assert statement["Condition"]["ArnLike"]["AWS:SourceArn"].endswith("rule/renamed")


def test_an_update_that_fails_leaves_all_as_it_was(cloud: Cloud, stack: Stack) -> None:
    cloud.client("events").put_rule(Name="taken", ScheduleExpression="rate(1 day)")
    policy = json.loads(cloud.client("lambda").get_policy(FunctionName=NAME)["Policy"])
    ids = stack.cloudformation.describe_stack_resources(StackName="one")["StackResources"]
    changed: dict[str, dict[str, Any]] = {
        "Log": {"RetentionInDays": 30},
        "Function": {"Description": "new"},
        "Rule": {"Name": "taken"},
    }
    assert stack.update(template(changed), MaxLease="3600") == "UPDATE_ROLLBACK_COMPLETE"
    assert (configuration(cloud)["Description"], stack.parameter()) == ("ends annexes", "2592000")
    [group] = cloud.client("logs").describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]
    assert group["retentionInDays"] == 90
    assert json.loads(cloud.client("lambda").get_policy(FunctionName=NAME)["Policy"]) == policy
    assert {each["Name"] for each in cloud.client("events").list_rules()["Rules"]} == {NAME, "taken"}
    after = stack.cloudformation.describe_stack_resources(StackName="one")["StackResources"]
    assert [each["PhysicalResourceId"] for each in after] == [each["PhysicalResourceId"] for each in ids]
    cloud.tick(NAME)
    assert len(receipts(cloud)) == 1


def test_a_change_that_failed_half_way_is_taken_back(cloud: Cloud, stack: Stack) -> None:
    cloud.fault("PutTargets", "error", status=500, code="InternalException")
    assert stack.update(template({"Rule": {"State": "DISABLED"}})) == "UPDATE_ROLLBACK_COMPLETE"
    assert cloud.client("events").describe_rule(Name=NAME)["State"] == "ENABLED"


def test_unfinished_resources_of_a_failed_stack_are_removed_too(cloud: Cloud) -> None:
    cloud.fault("PutTargets", "error", status=500, code="InternalException")
    assert Stack(cloud).create(template()) == "ROLLBACK_COMPLETE"
    assert there(cloud) == []


def test_a_stack_that_is_deleted_leaves_nothing(cloud: Cloud, stack: Stack) -> None:
    cloud.tick()
    assert stack.delete() == "DELETE_COMPLETE"
    assert there(cloud) == []
    assert Stack(cloud).create(template()) == "CREATE_COMPLETE"


def test_a_stack_deleted_while_it_is_created_leaves_nothing(cloud: Cloud) -> None:
    cloud.pace_stacks(0.5)
    stack = Stack(cloud, "two")
    stack.begin(template())
    until("a resource exists", lambda: there(cloud))
    assert stack.status == "CREATE_IN_PROGRESS"
    assert stack.delete() == "DELETE_COMPLETE"
    time.sleep(1.0)  # long enough to create two more
    assert there(cloud) == []
    assert stack.status == "DELETE_COMPLETE"


def test_a_resource_may_be_meant_to_stay(cloud: Cloud) -> None:
    body = json.loads(template())
    body["Resources"]["Log"]["DeletionPolicy"] = "Retain"
    stack = Stack(cloud)
    assert stack.create(json.dumps(body)) == "CREATE_COMPLETE"
    assert stack.delete() == "DELETE_COMPLETE"
    assert there(cloud) == [GROUP]


def test_a_rule_that_somebody_switches_off_ticks_no_more_and_is_drift(cloud: Cloud, stack: Stack) -> None:
    cloud.client("events").disable_rule(Name=NAME)
    cloud.tick()
    assert receipts(cloud) == []
    stack.cloudformation.detect_stack_drift(StackName="one")

    def drifted() -> list[str]:
        response = stack.cloudformation.describe_stack_resource_drifts(
            StackName="one", StackResourceDriftStatusFilters=["MODIFIED"]
        )
        return [each["LogicalResourceId"] for each in response["StackResourceDrifts"]]

    until("drift was found", lambda: drifted() == ["Rule"])
    cloud.client("events").enable_rule(Name=NAME)
    cloud.tick()
    assert len(receipts(cloud)) == 1


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"MaximumEventAgeInSeconds": 86401}, "retryPolicy.MaximumEventAgeInSeconds"),
        ({"MaximumRetryAttempts": 186}, "retryPolicy.MaximumRetryAttempts"),
    ],
)
def test_a_target_with_an_invalid_retry_policy_fails_the_stack(
    cloud: Cloud, policy: dict[str, int], message: str
) -> None:
    body = template({"Rule": {"Targets": [{"Id": "lease", "Arn": ARN, "RetryPolicy": policy}]}})
    stack = Stack(cloud)
    assert stack.create(body) == "ROLLBACK_COMPLETE"
    assert message in stack.reasons()
