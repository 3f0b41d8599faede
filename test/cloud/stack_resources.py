"""The resource types of our templates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from test.cloud.stack_iam import InstanceProfile, Role, RolePolicy
from test.cloud.stack_kinds import Client, ExistingError, HandlerError, Kind, Made, Properties
from test.cloud.stack_lambda import EventInvokeConfig, Function, Permission
from test.cloud.stack_s3 import Bucket, BucketPolicy


class LogGroup(Kind):
    NAME = "LogGroupName"
    CREATE_ONLY = ("LogGroupName",)

    def create(self, client: Client, name: str, properties: Properties) -> Made:  # noqa: ARG002
        client("logs").create_log_group(logGroupName=name)
        return Made(name)

    def finish(self, client: Client, made: Made, properties: Properties) -> Made:
        return self.update(client, made.physical_id, properties)

    def update(self, client: Client, name: str, properties: Properties) -> Made:
        logs = client("logs")
        if "RetentionInDays" in properties:
            logs.put_retention_policy(logGroupName=name, retentionInDays=properties["RetentionInDays"])
        else:
            logs.delete_retention_policy(logGroupName=name)
        return Made(name, {"Arn": _group(client, name)["arn"]})

    def read(self, client: Client, name: str) -> Properties | None:
        group = _group(client, name)
        return {"RetentionInDays": group.get("retentionInDays")} if group else None

    def delete(self, client: Client, name: str) -> None:
        client("logs").delete_log_group(logGroupName=name)


def _group(client: Client, name: str) -> dict[str, Any]:
    """Return a log group; empty if it does not exist."""
    groups = client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return next((each for each in groups if each["logGroupName"] == name), {})


class Rule(Kind):
    """A rule; PutRule would silently change an existing one, so the handler first reads it, as its permissions show."""

    NAME = "Name"
    CREATE_ONLY = ("Name", "EventBusName")
    SETTINGS = ("Description", "ScheduleExpression", "EventPattern", "State")

    def create(self, client: Client, name: str, properties: Properties) -> Made:
        events = client("events")
        try:
            events.describe_rule(Name=name)
        except events.exceptions.ResourceNotFoundException:
            return self._put(events, name, properties)
        raise ExistingError(f"Resource of type 'AWS::Events::Rule' with identifier '{name}' already exists.")

    def _put(self, events: Any, name: str, properties: Properties) -> Made:
        settings = {key: properties[key] for key in self.SETTINGS if key in properties}
        return Made(name, {"Arn": events.put_rule(Name=name, **settings)["RuleArn"]})

    def finish(self, client: Client, made: Made, properties: Properties) -> Made:
        if targets := properties.get("Targets"):
            response = client("events").put_targets(Rule=made.physical_id, Targets=targets)
            if response["FailedEntryCount"]:
                raise HandlerError(str(response["FailedEntries"]))
        return made

    def update(self, client: Client, name: str, properties: Properties) -> Made:
        events = client("events")
        made = self._put(events, name, properties)
        wanted = {each["Id"] for each in properties.get("Targets", [])}
        there = {each["Id"] for each in events.list_targets_by_rule(Rule=name)["Targets"]}
        if there - wanted:
            events.remove_targets(Rule=name, Ids=sorted(there - wanted))
        return self.finish(client, made, properties)

    def read(self, client: Client, name: str) -> Properties | None:
        events = client("events")
        rule = events.describe_rule(Name=name)
        response = {key: rule.get(key) for key in self.SETTINGS}
        return response | {"Targets": events.list_targets_by_rule(Rule=name)["Targets"]}

    def delete(self, client: Client, name: str) -> None:
        events = client("events")
        if targets := [each["Id"] for each in events.list_targets_by_rule(Rule=name)["Targets"]]:
            events.remove_targets(Rule=name, Ids=targets)
        events.delete_rule(Name=name)


class SecurityGroup(Kind):
    NAME = "GroupName"
    CREATE_ONLY = ("GroupName", "GroupDescription", "VpcId")

    def create(self, client: Client, name: str, properties: Properties) -> Made:
        ec2, description = client("ec2"), properties["GroupDescription"]
        vpc = {"VpcId": properties["VpcId"]} if "VpcId" in properties else {}
        group_id = ec2.create_security_group(GroupName=name, Description=description, **vpc)["GroupId"]
        return Made(group_id, {"GroupId": group_id})

    def finish(self, client: Client, made: Made, properties: Properties) -> Made:  # noqa: ARG002
        client("ec2").describe_security_groups(GroupIds=[made.physical_id])
        return made

    def update(self, client: Client, name: str, properties: Properties) -> Made:  # noqa: ARG002
        return Made(name, {"GroupId": name})

    def read(self, client: Client, name: str) -> Properties | None:
        [group] = client("ec2").describe_security_groups(GroupIds=[name])["SecurityGroups"]
        return {"GroupDescription": group["Description"], "SecurityGroupIngress": group["IpPermissions"]}

    def delete(self, client: Client, name: str) -> None:
        client("ec2").delete_security_group(GroupId=name)


TYPES: Mapping[str, Kind] = {
    "AWS::EC2::SecurityGroup": SecurityGroup(),
    "AWS::Events::Rule": Rule(),
    "AWS::IAM::InstanceProfile": InstanceProfile(),
    "AWS::IAM::Role": Role(),
    "AWS::IAM::RolePolicy": RolePolicy(),
    "AWS::Lambda::EventInvokeConfig": EventInvokeConfig(),
    "AWS::Lambda::Function": Function(),
    "AWS::Lambda::Permission": Permission(),
    "AWS::Logs::LogGroup": LogGroup(),
    "AWS::S3::Bucket": Bucket(),
    "AWS::S3::BucketPolicy": BucketPolicy(),
}
