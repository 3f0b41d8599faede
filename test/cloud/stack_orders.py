"""CloudFormation requests of the emulator's own tests: the stack of one enforcer, as its owner sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from test.cloud import Cloud
from test.cloud.orders import until

NAME, GROUP = "HTCondorAnnexLease", "/aws/lambda/HTCondorAnnexLease"
PRINT_EVENT = """
import json, os
def handler(event, context):
    tick = event.get("resources", [""])[0].endswith("rule/HTCondorAnnexLease")
    print(json.dumps({"receipt": "htcondor-annex-lease", "tick": tick, "max_lease_s": os.environ["MAX_LEASE_S"]}))
"""
PATTERN = '{ $.receipt = "htcondor-annex-lease" && $.tick IS TRUE }'
ARN = {"Fn::GetAtt": ["Function", "Arn"]}
ROLE = {
    "AssumeRolePolicyDocument": {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    },
    "Policies": [
        {
            "PolicyName": "log",
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                        "Resource": {"Fn::GetAtt": ["Log", "Arn"]},
                    }
                ],
            },
        }
    ],
}
FUNCTION = {
    "FunctionName": NAME,
    "Description": "ends annexes",
    "Runtime": "python3.13",
    "Handler": "index.handler",
    "Code": {"ZipFile": PRINT_EVENT},
    "Role": {"Fn::GetAtt": ["Role", "Arn"]},
    "Timeout": 10,
    "MemorySize": 128,
    "Environment": {"Variables": {"MAX_LEASE_S": {"Ref": "MaxLease"}}},
    "LoggingConfig": {"LogGroup": {"Ref": "Log"}},
}
RULE = {
    "Name": NAME,
    "ScheduleExpression": "rate(5 minutes)",
    "State": "ENABLED",
    "Targets": [
        {"Id": "lease", "Arn": ARN, "RetryPolicy": {"MaximumEventAgeInSeconds": 300, "MaximumRetryAttempts": 0}}
    ],
}
CALLS = {
    "FunctionName": {"Ref": "Function"},
    "Qualifier": "$LATEST",
    "MaximumRetryAttempts": 0,
    "MaximumEventAgeInSeconds": 300,
}
PERMISSION = {
    "FunctionName": ARN,
    "Action": "lambda:InvokeFunction",
    "Principal": "events.amazonaws.com",
    "SourceArn": {"Fn::GetAtt": ["Rule", "Arn"]},
}
OTHER_LOG, OTHER_FUNCTION = {"LogGroupName": "other"}, {"FunctionName": "other"}
MAX_LEASE = {"Type": "Number", "Default": 2592000, "MinValue": 300}


def template(
    changed: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    leave_out: str = "",
    parameter: Mapping[str, Any] = MAX_LEASE,
) -> str:
    """Return the template of one enforcer, with some properties of some resources changed."""
    changed = changed or {}
    resources: dict[str, tuple[str, Mapping[str, Any]]] = {
        "Log": ("AWS::Logs::LogGroup", {"LogGroupName": GROUP, "RetentionInDays": 90}),
        "Role": ("AWS::IAM::Role", ROLE),
        "Function": ("AWS::Lambda::Function", FUNCTION),
        "Calls": ("AWS::Lambda::EventInvokeConfig", CALLS),
        "Rule": ("AWS::Events::Rule", RULE),
        "Permission": ("AWS::Lambda::Permission", PERMISSION),
    }
    made = {
        name: {"Type": kind, "Properties": {**properties, **changed.get(name, {})}}
        for name, (kind, properties) in resources.items()
        if name != leave_out
    }
    outputs = {"ARN": {"Value": ARN}}
    return json.dumps({"Parameters": {"MaxLease": parameter}, "Resources": made, "Outputs": outputs})


class Stack:
    """One stack of a cloud, as its owner sees it."""

    def __init__(self, cloud: Cloud, name: str = "one", cloudformation: Any = None) -> None:
        self.name = name
        self.cloudformation = cloudformation or cloud.client("cloudformation")

    def begin(self, body: str, **parameters: Any) -> None:
        """Create it without waiting for the end."""
        self._ask(self.cloudformation.create_stack, body, parameters)

    def create(self, body: str, **parameters: Any) -> str:
        """Create it; return the resulting status."""
        self.begin(body, **parameters)
        return self.settled()

    def update(self, body: str, **parameters: Any) -> str:
        """Update it; return the resulting status."""
        self._ask(self.cloudformation.update_stack, body, parameters)
        return self.settled()

    def _ask(self, call: Any, body: str, parameters: dict[str, Any]) -> None:
        """Make the call; a parameter that is None keeps its value."""
        given = [
            {"ParameterKey": key} | ({"UsePreviousValue": True} if value is None else {"ParameterValue": value})
            for key, value in parameters.items()
        ]
        call(StackName=self.name, TemplateBody=body, Parameters=given, Capabilities=["CAPABILITY_IAM"])

    def delete(self) -> str:
        stack_id = self.answered()["StackId"]
        self.cloudformation.delete_stack(StackName=self.name)
        self.name = stack_id
        return self.settled()

    def settled(self) -> str:
        until("the stack is settled", lambda: not self.status.endswith("_IN_PROGRESS"))
        return self.status

    @property
    def status(self) -> str:
        return str(self.answered()["StackStatus"])

    def answered(self) -> dict[str, Any]:
        [answered] = self.cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        return dict(answered)

    def parameter(self) -> str:
        [answered] = self.answered()["Parameters"]
        return str(answered["ParameterValue"])

    def events(self, logical_id: str) -> list[str]:
        """Return the statuses of a resource's events, oldest first."""
        answered = self.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        return [each["ResourceStatus"] for each in reversed(answered) if each["LogicalResourceId"] == logical_id]

    def reasons(self) -> str:
        answered = self.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        return "\n".join(
            each["ResourceStatusReason"] for each in answered if each["ResourceStatus"].endswith("_FAILED")
        )


def configuration(cloud: Cloud) -> dict[str, Any]:
    return dict(cloud.client("lambda").get_function(FunctionName=NAME)["Configuration"])


def receipts(cloud: Cloud) -> list[dict[str, Any]]:
    events = cloud.client("logs").filter_log_events(logGroupName=GROUP, filterPattern=PATTERN)["events"]
    return [json.loads(each["message"]) for each in events]


def there(cloud: Cloud) -> list[str]:
    """Return the names of all rules, functions and log groups, which must be unique."""
    rules = [each["Name"] for each in cloud.client("events").list_rules()["Rules"]]
    functions = [each["FunctionName"] for each in cloud.client("lambda").list_functions()["Functions"]]
    groups = [each["logGroupName"] for each in cloud.client("logs").describe_log_groups()["logGroups"]]
    return rules + functions + groups
