"""How the emulated AWS comes to give an answer of each kind that AWS is known to have given.

A kind is what of an answer decides which members it has: an error's code, or the state of what it tells of.  A scene
makes the account so and returns the parameters of the call; recordings that need none have their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from test.cloud import Cloud
from test.cloud.orders import deploy, fleet_config
from test.cloud.recording import Recording
from test.cloud.shapes import values
from test.cloud.test_iam import allow, of, policy

Asked = dict[str, Any]
Scene = Callable[[Cloud], Asked]
KINDS: Mapping[str, tuple[str, ...]] = {  # the paths whose values are states
    "DescribeSpotFleetRequests": ("SpotFleetRequestConfigs[].SpotFleetRequestState",),
    "DescribeInstances": ("Reservations[].Instances[].State.Name",),
    "CancelSpotFleetRequests": (
        "SuccessfulFleetRequests[].CurrentSpotFleetRequestState",
        "UnsuccessfulFleetRequests[].Error.Code",
    ),
    "DescribeSpotFleetRequestHistory": ("HistoryRecords[].EventType",),
    "TerminateInstances": ("TerminatingInstances[].CurrentState.Name",),
}
RULE, TAGGED = "rule-1", ", with tags"


def kinds(recording: Recording) -> set[str]:
    """Of what an answer tells; empty if it tells of no state."""
    told = recording.told()
    if recording.is_error:
        return {str(told["Error"]["Code"])}
    states = {str(value) for path in KINDS.get(recording.operation, ()) for value in values(told, path)}
    if recording.operation == "DescribeSpotFleetRequests" and list(values(told, "SpotFleetRequestConfigs[].Tags")):
        return {f"{each}{TAGGED}" for each in states}
    return states


def _template(cloud: Cloud, **data: Any) -> list[dict[str, Any]]:
    made = cloud.client("ec2").create_launch_template(
        LaunchTemplateName="one", LaunchTemplateData={"ImageId": "ami-12345678", "InstanceType": "m5.large"} | data
    )["LaunchTemplate"]
    named = {"LaunchTemplateId": made["LaunchTemplateId"], "Version": "1"}
    return [{"LaunchTemplateSpecification": named, "Overrides": [{"InstanceType": "m5.large", "WeightedCapacity": 1}]}]


def _fleet(cloud: Cloud, **more: Any) -> str:
    """An annex's: a one-time request with a token and times."""
    now_s = int(time.time())
    whole: dict[str, Any] = {
        "ClientToken": f"token-{now_s}",
        "Type": "request",
        "ValidFrom": now_s - 10,
        "ValidUntil": now_s + 3600,
        "TerminateInstancesWithExpiration": False,
        "AllocationStrategy": "capacityOptimized",
    }
    config = fleet_config(**(whole | more))
    if "LaunchTemplateConfigs" in config:
        del config["LaunchSpecifications"]
    del config["SpotPrice"]
    return str(cloud.client("ec2").request_spot_fleet(SpotFleetRequestConfig=config)["SpotFleetRequestId"])


def _of_template(cloud: Cloud) -> str:
    return _fleet(cloud, LaunchTemplateConfigs=_template(cloud))


def _ids(fleet_id: str) -> Asked:
    return {"SpotFleetRequestIds": [fleet_id]}


def active(cloud: Cloud) -> Asked:
    cloud.behave(fleet_trouble="all")  # as what was recorded
    return _ids(_of_template(cloud))


def cancelled(cloud: Cloud) -> Asked:
    cloud.behave(fleet_trouble="silence")  # no instance: over at once
    return ending(cloud)


def ending(cloud: Cloud) -> Asked:
    fleet_id = _of_template(cloud)
    cloud.client("ec2").cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet_id], TerminateInstances=True)
    return _ids(fleet_id)


def leaving_instances(cloud: Cloud) -> Asked:
    fleet_id = _of_template(cloud)
    cloud.client("ec2").cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet_id], TerminateInstances=False)
    return _ids(fleet_id)


def to_cancel(cloud: Cloud) -> Asked:
    return _ids(_of_template(cloud)) | {"TerminateInstances": True}


def to_cancel_alone(cloud: Cloud) -> Asked:
    return _ids(_of_template(cloud)) | {"TerminateInstances": False}


def to_cancel_what_is_over(cloud: Cloud) -> Asked:
    return cancelled(cloud) | {"TerminateInstances": True}


def to_cancel_nothing(_: Cloud) -> Asked:
    return _ids("sfr-11112222-3333-4444-5555-666677778888") | {"TerminateInstances": True}


def with_tags(cloud: Cloud) -> Asked:
    tags = [{"ResourceType": "spot-fleet-request", "Tags": [{"Key": "Environment", "Value": "Production"}]}]
    return _ids(_fleet(cloud, TagSpecifications=tags))


def history(cloud: Cloud) -> Asked:
    return {"SpotFleetRequestId": _fleet(cloud, TargetCapacity=2), "StartTime": time.time() - 60, "MaxResults": 3}


def bad_history(cloud: Cloud) -> Asked:
    cloud.behave(fleet_trouble="no-capacity")
    return {"SpotFleetRequestId": _of_template(cloud), "StartTime": time.time() - 60, "EventType": "error"}


def _instance(cloud: Cloud, **of_template: Any) -> str:
    more: dict[str, Any] = {"OnDemandTargetCapacity": 1} if of_template else {}
    fleet_id = _fleet(cloud, LaunchTemplateConfigs=_template(cloud, **of_template), **more)
    [instance] = [each for each in cloud.running_instances() if each["fleet"] == fleet_id]
    return str(instance["id"])


def running(cloud: Cloud) -> Asked:
    cloud.behave(whole_instances=True)
    return {"InstanceIds": [_instance(cloud)]}


def shutting_down(cloud: Cloud) -> Asked:
    asked = running(cloud)
    cloud.client("ec2").terminate_instances(**asked)
    return asked


def terminated(cloud: Cloud) -> Asked:
    asked = shutting_down(cloud)
    often = {"Delay": 0.2, "MaxAttempts": 300}
    cloud.client("ec2").get_waiter("instance_terminated").wait(**asked, WaiterConfig=often)
    return asked


def to_terminate(cloud: Cloud) -> Asked:
    return {"InstanceIds": [_instance(cloud)]}


def protected(cloud: Cloud) -> Asked:
    return {"InstanceIds": [_instance(cloud, DisableApiTermination=True)]}


def spot(cloud: Cloud) -> Asked:
    return {"InstanceId": _instance(cloud), "DisableApiTermination": {"Value": False}}


def to_tag(cloud: Cloud) -> Asked:
    return {"Resources": [_instance(cloud)], "Tags": [{"Key": "one", "Value": "1"}]}


def tagged(cloud: Cloud) -> Asked:
    asked = to_tag(cloud)
    cloud.client("ec2").create_tags(**asked)
    return {"Filters": [{"Name": "resource-id", "Values": asked["Resources"]}]}


def to_order(_: Cloud) -> Asked:
    return {"SpotFleetRequestConfig": fleet_config()}


def dry(_: Cloud) -> Asked:
    return {"SpotFleetRequestConfig": fleet_config(), "DryRun": True}


def _rule(cloud: Cloud) -> None:
    cloud.client("events").put_rule(Name=RULE, ScheduleExpression="rate(5 minutes)", Description="what it is for")


def rule(cloud: Cloud) -> Asked:
    _rule(cloud)
    return {"Name": RULE}


def with_targets(cloud: Cloud) -> Asked:
    _rule(cloud)
    target = {"Id": "one", "Arn": "arn:aws:lambda:us-east-1:123456789012:function:one"}
    cloud.client("events").put_targets(Rule=RULE, Targets=[target])
    return {"Rule": RULE}


def to_delete(cloud: Cloud) -> Asked:
    with_targets(cloud)
    return {"Name": RULE}


def log_group(cloud: Cloud) -> Asked:
    cloud.client("logs").create_log_group(logGroupName="/one")
    return {"logGroupNamePrefix": "/one"}


def log_events(cloud: Cloud) -> Asked:
    cloud.behave(logs_late_s=0.0)
    logs = cloud.client("logs")
    logs.create_log_group(logGroupName="/one")
    logs.create_log_stream(logGroupName="/one", logStreamName="stream")
    events = [{"timestamp": int(time.time() * 1000), "message": "one"}]
    logs.put_log_events(logGroupName="/one", logStreamName="stream", logEvents=events)
    return {"logGroupName": "/one"}


def _function(cloud: Cloud) -> Asked:
    deploy(cloud, "def handler(event, context): pass\n")
    return {"FunctionName": "one"}


def function(cloud: Cloud) -> Asked:
    asked = _function(cloud)
    cloud.client("lambda").update_function_configuration(
        **asked, Description="what it is for", MemorySize=512, EphemeralStorage={"Size": 512}
    )
    cloud.client("lambda").get_waiter("function_updated").wait(**asked, WaiterConfig={"Delay": 0.1})
    return asked


def to_describe(cloud: Cloud) -> Asked:
    cloud.behave(update_s=60.0)
    return _function(cloud) | {"Description": "what it is for"}


def without_permission(cloud: Cloud) -> Asked:
    deploy(cloud, "def handler(event, context): pass\n", permit=False)
    return {"FunctionName": "one"}


def reserved(cloud: Cloud) -> Asked:
    asked = _function(cloud)
    cloud.client("lambda").put_function_concurrency(**asked, ReservedConcurrentExecutions=1)
    return asked


def asynchronous(cloud: Cloud) -> Asked:
    asked = _function(cloud)
    cloud.client("lambda").put_function_event_invoke_config(
        **asked, MaximumRetryAttempts=0, MaximumEventAgeInSeconds=300
    )
    return asked


def role(cloud: Cloud) -> Asked:
    trust = '{"Version": "2012-10-17", "Statement": []}'
    cloud.client("iam").create_role(RoleName="one", AssumeRolePolicyDocument=trust)
    return {"RoleName": "one"}


def bucket(cloud: Cloud) -> Asked:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="one-bucket")
    return {"Bucket": "one-bucket"}


TEMPLATE = """{"Description": "what it is for", "Resources": {"LogGroup": {"Type": "AWS::Logs::LogGroup",
"Properties": {"LogGroupName": "/one"}}}}"""


def stack(cloud: Cloud) -> Asked:
    cloudformation = cloud.client("cloudformation")
    cloudformation.create_stack(StackName="one", TemplateBody=TEMPLATE)
    often = {"Delay": 0.1, "MaxAttempts": 100}
    cloudformation.get_waiter("stack_create_complete").wait(StackName="one", WaiterConfig=often)
    return {"StackName": "one"}


def unchanged_stack(cloud: Cloud) -> Asked:
    return stack(cloud) | {"TemplateBody": TEMPLATE}


def nothing(_: Cloud) -> Asked:
    return {}


SCENES: Mapping[tuple[str, str], Scene] = {
    ("RequestSpotFleet", ""): to_order,
    ("RequestSpotFleet", "DryRunOperation"): dry,
    ("RequestSpotFleet", "UnauthorizedOperation"): dry,
    ("DescribeSpotFleetRequests", "active"): active,
    ("DescribeSpotFleetRequests", f"active{TAGGED}"): with_tags,
    ("DescribeSpotFleetRequests", "cancelled"): cancelled,
    ("DescribeSpotFleetRequests", "cancelled_terminating"): ending,
    ("DescribeSpotFleetRequests", "cancelled_running"): leaving_instances,
    ("CancelSpotFleetRequests", "cancelled_terminating"): to_cancel,
    ("CancelSpotFleetRequests", "cancelled_running"): to_cancel_alone,
    ("CancelSpotFleetRequests", "fleetRequestIdDoesNotExist"): to_cancel_nothing,
    ("CancelSpotFleetRequests", "fleetRequestNotInCancellableState"): to_cancel_what_is_over,
    ("DescribeSpotFleetRequestHistory", "fleetRequestChange"): history,
    ("DescribeSpotFleetRequestHistory", "instanceChange"): history,
    ("DescribeSpotFleetRequestHistory", "error"): bad_history,
    ("DescribeInstances", "running"): running,
    ("DescribeInstances", "shutting-down"): shutting_down,
    ("DescribeInstances", "terminated"): terminated,
    ("TerminateInstances", "shutting-down"): to_terminate,
    ("TerminateInstances", "OperationNotPermitted"): protected,
    ("ModifyInstanceAttribute", "UnsupportedOperation"): spot,
    ("CreateTags", ""): to_tag,
    ("DescribeTags", ""): tagged,
    ("DescribeRule", ""): rule,
    ("ListTargetsByRule", ""): with_targets,
    ("DeleteRule", "ValidationException"): to_delete,
    ("DescribeLogGroups", ""): log_group,
    ("FilterLogEvents", ""): log_events,
    ("GetFunction", ""): function,
    ("GetPolicy", ""): _function,
    ("GetPolicy", "ResourceNotFoundException"): without_permission,
    ("GetFunctionConcurrency", ""): reserved,
    ("GetFunctionEventInvokeConfig", ""): asynchronous,
    ("UpdateFunctionConfiguration", ""): to_describe,
    ("ListRolePolicies", ""): role,
    ("ListAttachedRolePolicies", ""): role,
    ("GetPublicAccessBlock", "NoSuchPublicAccessBlockConfiguration"): bucket,
    ("GetBucketPolicy", "NoSuchBucketPolicy"): bucket,
    ("GetBucketLifecycleConfiguration", "NoSuchLifecycleConfiguration"): bucket,
    ("GetBucketOwnershipControls", "OwnershipControlsNotFoundError"): bucket,
    ("GetBucketEncryption", "ServerSideEncryptionConfigurationNotFoundError"): bucket,
    ("GetAccountSettings", ""): nothing,
    ("GetCallerIdentity", ""): nothing,
    ("DescribeStacks", ""): stack,
    ("UpdateStack", "ValidationError"): unchanged_stack,
}


def client_for(cloud: Cloud, recording: Recording) -> Any:
    """The account's own; where the answer is a refusal, a user's who lacks one right."""
    if "UnauthorizedOperation" not in kinds(recording):
        return cloud.client(recording.service)
    rights = policy(allow(["ec2:RequestSpotFleet", "iam:PassRole", "ec2:CreateTags"]))
    return of(cloud, cloud.user("one", rights), recording.service)
