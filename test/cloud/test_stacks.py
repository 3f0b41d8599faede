"""Stacks are made, changed, rolled back and deleted as by CloudFormation; a name is one's own or somebody else's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud
from test.cloud.test_iam import of
from test.cloud.test_lifecycle import until

NAME, GROUP = "HTCondorAnnexLease", "/aws/lambda/HTCondorAnnexLease"
TELL = """
import json, os
def handler(event, context):
    tick = event.get("resources", [""])[0].endswith("rule/HTCondorAnnexLease")
    print(json.dumps({"receipt": "htcondor-annex-lease", "tick": tick, "max_lease_s": os.environ["MAX_LEASE_S"]}))
"""
PATTERN = '{ $.receipt = "htcondor-annex-lease" && $.tick IS TRUE }'
ARN = {"Fn::GetAtt": ["Function", "Arn"]}
ROLE = {
    "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]},
    "Policies": [{"PolicyName": "log", "PolicyDocument": {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
         "Resource": {"Fn::GetAtt": ["Log", "Arn"]}}]}}],
}
FUNCTION = {
    "FunctionName": NAME, "Description": "ends annexes", "Runtime": "python3.13", "Handler": "index.handler",
    "Code": {"ZipFile": TELL}, "Role": {"Fn::GetAtt": ["Role", "Arn"]}, "Timeout": 10, "MemorySize": 128,
    "Environment": {"Variables": {"MAX_LEASE_S": {"Ref": "MaxLease"}}}, "LoggingConfig": {"LogGroup": {"Ref": "Log"}},
}
RULE = {
    "Name": NAME, "ScheduleExpression": "rate(5 minutes)", "State": "ENABLED",
    "Targets": [{"Id": "lease", "Arn": ARN,
                 "RetryPolicy": {"MaximumEventAgeInSeconds": 300, "MaximumRetryAttempts": 0}}],
}
CALLS = {"FunctionName": {"Ref": "Function"}, "Qualifier": "$LATEST", "MaximumRetryAttempts": 0,
         "MaximumEventAgeInSeconds": 300}
PERMISSION = {"FunctionName": ARN, "Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com",
              "SourceArn": {"Fn::GetAtt": ["Rule", "Arn"]}}
MAX_LEASE = {"Type": "Number", "Default": 2592000, "MinValue": 300}


def template(
    changed: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    leave_out: str = "",
    parameter: Mapping[str, Any] = MAX_LEASE,
) -> str:
    """The stack of one enforcer, with some properties of some resources changed."""
    changed = changed or {}
    resources: dict[str, tuple[str, Mapping[str, Any]]] = {
        "Log": ("AWS::Logs::LogGroup", {"LogGroupName": GROUP, "RetentionInDays": 90}),
        "Role": ("AWS::IAM::Role", ROLE),
        "Function": ("AWS::Lambda::Function", FUNCTION),
        "Calls": ("AWS::Lambda::EventInvokeConfig", CALLS),
        "Rule": ("AWS::Events::Rule", RULE),
        "Permission": ("AWS::Lambda::Permission", PERMISSION),
    }
    made = {name: {"Type": kind, "Properties": {**properties, **changed.get(name, {})}}
            for name, (kind, properties) in resources.items() if name != leave_out}
    outputs = {"ARN": {"Value": ARN}}
    return json.dumps({"Parameters": {"MaxLease": parameter}, "Resources": made, "Outputs": outputs})


class Stack:
    """One stack of a cloud, as its maker sees it."""

    def __init__(self, cloud: Cloud, name: str = "one", cloudformation: Any = None) -> None:
        self.name = name
        self.cloudformation = cloudformation or cloud.client("cloudformation")

    def create(self, body: str, **parameters: Any) -> str:
        return self._asked(self.cloudformation.create_stack, body, parameters)

    def update(self, body: str, **parameters: Any) -> str:
        return self._asked(self.cloudformation.update_stack, body, parameters)

    def _asked(self, call: Any, body: str, parameters: dict[str, Any]) -> str:
        """The state that comes of it.  A parameter that is given as None keeps its value."""
        given = [{"ParameterKey": key} | ({"UsePreviousValue": True} if value is None else {"ParameterValue": value})
                 for key, value in parameters.items()]
        call(StackName=self.name, TemplateBody=body, Parameters=given, Capabilities=["CAPABILITY_IAM"])
        return self.settled()

    def delete(self) -> str:
        stack_id = self.told()["StackId"]
        self.cloudformation.delete_stack(StackName=self.name)
        self.name = stack_id
        return self.settled()

    def settled(self) -> str:
        until("the stack is settled", lambda: not self.status.endswith("_IN_PROGRESS"))
        return self.status

    @property
    def status(self) -> str:
        return str(self.told()["StackStatus"])

    def told(self) -> dict[str, Any]:
        [told] = self.cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        return dict(told)

    def parameter(self) -> str:
        [told] = self.told()["Parameters"]
        return str(told["ParameterValue"])

    def events(self, logical_id: str) -> list[str]:
        """Of a resource, the oldest first."""
        told = self.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        return [each["ResourceStatus"] for each in reversed(told) if each["LogicalResourceId"] == logical_id]

    def reasons(self) -> str:
        told = self.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        return "\n".join(each["ResourceStatusReason"] for each in told if each["ResourceStatus"].endswith("_FAILED"))


@pytest.fixture
def stack(cloud: Cloud) -> Stack:
    """One that is there."""
    cloud.behave(logs_late_s=0.0)
    stack = Stack(cloud)
    assert stack.create(template()) == "CREATE_COMPLETE", stack.reasons()
    return stack


def configuration(cloud: Cloud) -> dict[str, Any]:
    return dict(cloud.client("lambda").get_function(FunctionName=NAME)["Configuration"])


def receipts(cloud: Cloud) -> list[dict[str, Any]]:
    events = cloud.client("logs").filter_log_events(logGroupName=GROUP, filterPattern=PATTERN)["events"]
    return [json.loads(each["message"]) for each in events]


def there(cloud: Cloud) -> list[str]:
    """What has a name that only one can have."""
    rules = [each["Name"] for each in cloud.client("events").list_rules()["Rules"]]
    functions = [each["FunctionName"] for each in cloud.client("lambda").list_functions()["Functions"]]
    groups = [each["logGroupName"] for each in cloud.client("logs").describe_log_groups()["logGroups"]]
    return rules + functions + groups


def test_a_tick_of_the_stacks_rule_leaves_its_receipt_in_the_stacks_log(cloud: Cloud, stack: Stack) -> None:
    cloud.client("lambda").invoke(FunctionName=NAME, Payload=b"{}")
    assert receipts(cloud) == [], "a call by hand is no tick"
    cloud.tick()
    [receipt] = receipts(cloud)
    assert receipt["max_lease_s"] == "2592000"
    assert stack.told()["Outputs"][0]["OutputValue"] == configuration(cloud)["FunctionArn"]


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
    stack.cloudformation.update_stack(StackName="one", UsePreviousTemplate=True, Parameters=given,
                                      Capabilities=["CAPABILITY_IAM"])
    assert (stack.settled(), stack.parameter()) == ("UPDATE_COMPLETE", "7200")


@pytest.mark.parametrize(("parameter", "given", "words"), [
    (MAX_LEASE, {"MaxLease": "many"}, "'MaxLease' must be a number"),
    (MAX_LEASE, {"MaxLease": "299"}, "must be a number not less than 300"),
    (MAX_LEASE, {"MaxLease": None}, "Cannot specify usePreviousValue as true"),
    (MAX_LEASE, {"Other": "1"}, r"\[Other\] do not exist in the template"),
    ({"Type": "Number"}, {}, r"\[MaxLease\] must have values"),
    ({"Type": "String", "AllowedValues": ["a"], "Default": "b"}, {}, "must be one of AllowedValues"),
    ({"Type": "String", "AllowedPattern": "[a-z]+", "ConstraintDescription": "letters"}, {"MaxLease": "1"}, "letters"),
])
def test_a_parameter_that_does_not_do_is_refused_at_once(
    cloud: Cloud, parameter: dict[str, Any], given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ClientError, match=words):
        Stack(cloud).create(template(parameter=parameter), **given)
    assert cloud.client("cloudformation").describe_stacks()["Stacks"] == []


def test_a_template_that_is_too_long_or_refers_to_nothing_is_refused_at_once(cloud: Cloud) -> None:
    with pytest.raises(ClientError, match="less than or equal to 51200"):
        Stack(cloud).create(template({"Function": {"Code": {"ZipFile": "#" * 51200}}}))
    with pytest.raises(ClientError, match=r"Unresolved resource dependencies \[Log\]"):
        Stack(cloud).create(template(leave_out="Log"))


OTHER_LOG, OTHER_FUNCTION = {"LogGroupName": "other"}, {"FunctionName": "other"}


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


def test_what_a_stack_may_not_make_it_does_not_take_away_either(enforcing: Cloud) -> None:
    """Its maker may delete the function of that name, but make none."""
    first = Stack(enforcing)
    assert first.create(template()) == "CREATE_COMPLETE", first.reasons()
    before = there(enforcing)
    allowed = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    denied = {"Effect": "Deny", "Action": ["lambda:CreateFunction", "events:PutRule"], "Resource": "*"}
    keys = enforcing.user("maker", {"Version": "2012-10-17", "Statement": [allowed, denied]})
    second = Stack(enforcing, "second", of(enforcing, keys, "cloudformation"))
    assert second.create(template({"Log": OTHER_LOG})) == "ROLLBACK_COMPLETE"
    assert "AccessDenied" in second.reasons()
    assert there(enforcing) == before


def test_a_resource_with_its_own_name_cannot_be_replaced(cloud: Cloud, stack: Stack) -> None:
    before = configuration(cloud)
    assert stack.update(template({"Function": {"PackageType": "Image"}})) == "UPDATE_ROLLBACK_COMPLETE"
    assert ("CloudFormation cannot update a stack when a custom-named resource requires replacing. "
            f"Rename {NAME} and update the stack again.") in stack.reasons()
    assert configuration(cloud) == before


def test_what_replaces_is_there_before_the_old_goes(cloud: Cloud, stack: Stack) -> None:
    assert stack.update(template({"Rule": {"Name": "renamed"}})) == "UPDATE_COMPLETE", stack.reasons()
    assert stack.events("Rule")[-4:] == ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE", "DELETE_IN_PROGRESS",
                                         "DELETE_COMPLETE"]
    assert stack.events("one")[-2:] == ["UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE"]
    assert [each["Name"] for each in cloud.client("events").list_rules()["Rules"]] == ["renamed"]
    [statement] = json.loads(cloud.client("lambda").get_policy(FunctionName=NAME)["Policy"])["Statement"]
    assert statement["Condition"]["ArnLike"]["AWS:SourceArn"].endswith("rule/renamed")


def test_an_update_that_fails_leaves_all_as_it_was(cloud: Cloud, stack: Stack) -> None:
    cloud.client("events").put_rule(Name="taken", ScheduleExpression="rate(1 day)")
    policy = json.loads(cloud.client("lambda").get_policy(FunctionName=NAME)["Policy"])
    ids = stack.cloudformation.describe_stack_resources(StackName="one")["StackResources"]
    changed: dict[str, dict[str, Any]] = {
        "Log": {"RetentionInDays": 30}, "Function": {"Description": "new"}, "Rule": {"Name": "taken"}}
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


def test_what_was_begun_goes_with_the_rest_of_a_stack_that_failed(cloud: Cloud) -> None:
    cloud.fault("PutTargets", "error", status=500, code="InternalException")
    assert Stack(cloud).create(template()) == "ROLLBACK_COMPLETE"
    assert there(cloud) == []


def test_a_stack_that_is_deleted_leaves_nothing(cloud: Cloud, stack: Stack) -> None:
    cloud.tick()
    assert stack.delete() == "DELETE_COMPLETE"
    assert there(cloud) == []
    assert Stack(cloud).create(template()) == "CREATE_COMPLETE"


def test_a_resource_may_be_meant_to_stay(cloud: Cloud) -> None:
    body = json.loads(template())
    body["Resources"]["Log"]["DeletionPolicy"] = "Retain"
    stack = Stack(cloud)
    assert stack.create(json.dumps(body)) == "CREATE_COMPLETE"
    assert stack.delete() == "DELETE_COMPLETE"
    assert there(cloud) == [GROUP]


def test_a_function_is_changed_by_one_call_after_the_other(cloud: Cloud, stack: Stack) -> None:
    functions = cloud.client("lambda")
    told = functions.update_function_configuration(FunctionName=NAME, Description="closing")
    assert (told["LastUpdateStatus"], told["Description"]) == ("InProgress", "closing")
    with pytest.raises(ClientError, match=r"ResourceConflictException.*An update is in progress"):
        functions.update_function_configuration(FunctionName=NAME, Description="open")
    until("the update is over", lambda: configuration(cloud)["LastUpdateStatus"] == "Successful")
    with pytest.raises(ClientError, match="No updates are to be performed"):
        stack.update(template())
    assert configuration(cloud)["Description"] == "closing", "CloudFormation does not look at what is there"


def test_settings_of_asynchronous_calls_are_changed_one_by_one(cloud: Cloud, stack: Stack) -> None:
    assert stack.update(template({"Calls": {"MaximumRetryAttempts": 1}})) == "UPDATE_COMPLETE"
    functions = cloud.client("lambda")
    told = functions.update_function_event_invoke_config(FunctionName=NAME, MaximumEventAgeInSeconds=600)
    assert (told["MaximumRetryAttempts"], told["MaximumEventAgeInSeconds"]) == (1, 600)
    assert told["FunctionArn"].endswith(":$LATEST")
    told = functions.put_function_event_invoke_config(FunctionName=NAME, MaximumEventAgeInSeconds=60)
    assert "MaximumRetryAttempts" not in told
    functions.delete_function_event_invoke_config(FunctionName=NAME)
    for call in (functions.get_function_event_invoke_config, functions.delete_function_event_invoke_config):
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            call(FunctionName=NAME)
    with pytest.raises(ClientError, match="at least one of error handling or destination"):
        functions.put_function_event_invoke_config(FunctionName=NAME)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        functions.get_function_event_invoke_config(FunctionName=NAME, Qualifier="7")


def test_a_rule_that_somebody_switches_off_ticks_no_more_and_is_drift(cloud: Cloud, stack: Stack) -> None:
    cloud.client("events").disable_rule(Name=NAME)
    cloud.tick()
    assert receipts(cloud) == []
    stack.cloudformation.detect_stack_drift(StackName="one")

    def drifted() -> list[str]:
        told = stack.cloudformation.describe_stack_resource_drifts(
            StackName="one", StackResourceDriftStatusFilters=["MODIFIED"])
        return [each["LogicalResourceId"] for each in told["StackResourceDrifts"]]

    until("drift was found", lambda: drifted() == ["Rule"])
    cloud.client("events").enable_rule(Name=NAME)
    cloud.tick()
    assert len(receipts(cloud)) == 1


@pytest.mark.parametrize(("policy", "words"), [
    ({"MaximumEventAgeInSeconds": 86401}, "retryPolicy.MaximumEventAgeInSeconds"),
    ({"MaximumRetryAttempts": 186}, "retryPolicy.MaximumRetryAttempts"),
])
def test_a_target_cannot_be_tried_for_ever(cloud: Cloud, policy: dict[str, int], words: str) -> None:
    body = template({"Rule": {"Targets": [{"Id": "lease", "Arn": ARN, "RetryPolicy": policy}]}})
    stack = Stack(cloud)
    assert stack.create(body) == "ROLLBACK_COMPLETE"
    assert words in stack.reasons()


NEEDED = {
    "Rule": ["events:DescribeRule", "events:PutRule", "events:PutTargets", "events:ListTargetsByRule"],
    "Calls": ["lambda:PutFunctionEventInvokeConfig", "lambda:GetFunctionEventInvokeConfig"],
}


@pytest.mark.parametrize(("logical_id", "action"), [(name, each) for name in NEEDED for each in NEEDED[name]])
def test_the_maker_of_a_stack_needs_the_rights_of_the_handlers(enforcing: Cloud, logical_id: str, action: str) -> None:
    statements = [{"Effect": "Allow", "Action": "*", "Resource": "*"},
                  {"Effect": "Deny", "Action": action, "Resource": "*"}]
    keys = enforcing.user("maker", {"Version": "2012-10-17", "Statement": statements})
    stack = Stack(enforcing, "one", of(enforcing, keys, "cloudformation"))
    assert stack.create(template()) in {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED"}
    assert action in stack.reasons()
    assert "CREATE_FAILED" in stack.events(logical_id)
