"""Scenes that make the emulated AWS return each kind of response that AWS is known to have returned.

The kind of a response decides which members it has: an error's code, or the state of the object that it shows.  A scene
brings the account into the required state and returns the parameters of the call.  A recording that needs no scene has
its own parameters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from test.cloud import Cloud
from test.cloud.orders import allow, deploy, fleet_config, of, policy
from test.cloud.recording import Recording
from test.cloud.shapes import values

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
RULE, STATE = "rule-1", "SpotFleetRequestState"


def kinds(recording: Recording) -> set[str]:
    """Return the kinds of a response; empty if it shows no state."""
    response = recording.response()
    if recording.is_error:
        return {str(response["Error"]["Code"])}
    return {str(value) for path in KINDS.get(recording.operation, ()) for value in values(response, path)}


def _template(cloud: Cloud, **data: Any) -> list[dict[str, Any]]:
    made = cloud.client("ec2").create_launch_template(
        LaunchTemplateName="one", LaunchTemplateData={"ImageId": "ami-12345678", "InstanceType": "m5.large"} | data
    )["LaunchTemplate"]
    named = {"LaunchTemplateId": made["LaunchTemplateId"], "Version": "1"}
    return [{"LaunchTemplateSpecification": named, "Overrides": [{"InstanceType": "m5.large", "WeightedCapacity": 1}]}]


def _fleet(cloud: Cloud, **more: Any) -> str:
    """Request a fleet as annexes do: a one-time request with a token and times."""
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


def _like(cloud: Cloud, response: Asked) -> str:
    """Request a fleet with the recorded fleet's own request."""
    config = {key: value for key, value in response["SpotFleetRequestConfig"].items() if "Fulfilled" not in key}
    now_s = int(time.time())
    new = {"ClientToken": f"token-{now_s}", "ValidFrom": now_s - 10, "ValidUntil": now_s + 3600}
    if "LaunchTemplateConfigs" in config:
        new["LaunchTemplateConfigs"] = _template(cloud)
    config |= {key: value for key, value in new.items() if key in config}
    if response.get("Tags"):
        config["TagSpecifications"] = [{"ResourceType": "spot-fleet-request", "Tags": response["Tags"]}]
    return str(cloud.client("ec2").request_spot_fleet(SpotFleetRequestConfig=config)["SpotFleetRequestId"])


def fleet_in(cloud: Cloud, recording: Recording, state: str) -> Asked | None:
    """Bring a fleet like the recorded one into that state; return None if no fleet here can be in it."""
    [response, *_] = [each for each in recording.response()["SpotFleetRequestConfigs"] if each[STATE] == state]
    if state not in {"active", "cancelled", "cancelled_running", "cancelled_terminating"}:
        return None
    trouble = "all" if response.get("ActivityStatus") == "error" else "silence" if state == "cancelled" else ""
    cloud.behave(fleet_trouble=trouble)
    fleet_id = _like(cloud, response)
    if state != "active":
        cloud.client("ec2").cancel_spot_fleet_requests(
            SpotFleetRequestIds=[fleet_id], TerminateInstances=state != "cancelled_running"
        )
    return _ids(fleet_id)


def to_cancel(cloud: Cloud) -> Asked:
    return _ids(_of_template(cloud)) | {"TerminateInstances": True}


def to_cancel_alone(cloud: Cloud) -> Asked:
    return _ids(_of_template(cloud)) | {"TerminateInstances": False}


def to_cancel_what_is_over(cloud: Cloud) -> Asked:
    cloud.behave(fleet_trouble="silence")  # no instance, so it is cancelled immediately
    asked = to_cancel(cloud)
    cloud.client("ec2").cancel_spot_fleet_requests(**asked)
    return asked


def to_cancel_nothing(_: Cloud) -> Asked:
    return _ids("sfr-11112222-3333-4444-5555-666677778888") | {"TerminateInstances": True}


def history_with(cloud: Cloud, recording: Recording, kind: str) -> Asked | None:
    """Create a history with events of that type, and with a next page if the recorded one has one."""
    cloud.behave(fleet_trouble="no-capacity" if kind in {"error", "information"} else "")
    asked = {"SpotFleetRequestId": _fleet(cloud, TargetCapacity=2), "StartTime": time.time() - 60}
    return asked | ({"MaxResults": 3} if "NextToken" in recording.response() else {})


def _instance(cloud: Cloud, **of_template: Any) -> str:
    more: dict[str, Any] = {"OnDemandTargetCapacity": 1} if "DisableApiTermination" in of_template else {}
    fleet_id = _fleet(cloud, LaunchTemplateConfigs=_template(cloud, **of_template), **more)
    [instance] = [each for each in cloud.running_instances() if each["fleet"] == fleet_id]
    return str(instance["id"])


def instance_in(cloud: Cloud, recording: Recording, state: str) -> Asked | None:
    """Bring an instance into that state, with a profile if the recorded one has one.

    Return None if no instance here can be in that state.
    """
    cloud.behave(whole_instances=True)
    profile = any(values(recording.response(), "Reservations[].Instances[].IamInstanceProfile"))
    asked = {"InstanceIds": [_instance(cloud, **({"IamInstanceProfile": {"Name": "one"}} if profile else {}))]}
    if state == "pending":
        return asked
    often = {"Delay": 0.2, "MaxAttempts": 300}
    ec2 = cloud.client("ec2")
    ec2.get_waiter("instance_running").wait(**asked, WaiterConfig=often)
    if state != "running":
        ec2.terminate_instances(**asked)
    if state == "terminated":
        ec2.get_waiter("instance_terminated").wait(**asked, WaiterConfig=often)
    return asked if state in {"running", "shutting-down", "terminated"} else None


def to_terminate(cloud: Cloud) -> Asked:
    return {"InstanceIds": [_instance(cloud)]}


def protected(cloud: Cloud) -> Asked:
    return {"InstanceIds": [_instance(cloud, DisableApiTermination=True)]}


def spot(cloud: Cloud) -> Asked:
    return {"InstanceId": _instance(cloud), "DisableApiTermination": {"Value": False}}


def to_unprotect(cloud: Cloud) -> Asked:
    [instance] = protected(cloud)["InstanceIds"]
    return {"InstanceId": instance, "DisableApiTermination": {"Value": False}}


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


def target(cloud: Cloud) -> Asked:
    asked = with_targets(cloud)
    return asked | {"Targets": cloud.client("events").list_targets_by_rule(**asked)["Targets"]}


def to_make(_: Cloud) -> Asked:
    return {"Name": RULE, "ScheduleExpression": "rate(1 day)", "State": "DISABLED"}


def to_remove(cloud: Cloud) -> Asked:
    return with_targets(cloud) | {"Ids": ["one"]}


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
    ("CancelSpotFleetRequests", "cancelled_terminating"): to_cancel,
    ("CancelSpotFleetRequests", "cancelled_running"): to_cancel_alone,
    ("CancelSpotFleetRequests", "fleetRequestIdDoesNotExist"): to_cancel_nothing,
    ("CancelSpotFleetRequests", "fleetRequestNotInCancellableState"): to_cancel_what_is_over,
    ("TerminateInstances", "shutting-down"): to_terminate,
    ("TerminateInstances", "OperationNotPermitted"): protected,
    ("ModifyInstanceAttribute", "UnsupportedOperation"): spot,
    ("ModifyInstanceAttribute", ""): to_unprotect,
    ("CreateTags", ""): to_tag,
    ("DescribeTags", ""): tagged,
    ("DescribeRule", ""): rule,
    ("ListTargetsByRule", ""): with_targets,
    ("DeleteRule", "ValidationException"): to_delete,
    ("DeleteRule", ""): rule,
    ("PutRule", ""): to_make,
    ("PutTargets", ""): target,
    ("RemoveTargets", ""): to_remove,
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
    ("DescribeFleets", ""): nothing,
    ("DescribeStacks", ""): stack,
    ("UpdateStack", "ValidationError"): unchanged_stack,
}


OF_STATES: Mapping[str, Callable[[Cloud, Recording, str], Asked | None]] = {
    "DescribeSpotFleetRequests": fleet_in,
    "DescribeInstances": instance_in,
    "DescribeSpotFleetRequestHistory": history_with,
}


def play(cloud: Cloud, recording: Recording, kind: str) -> Asked | None:
    """Bring the account into a state; return the parameters of the call, or None if there is no such scene."""
    if recording.operation in OF_STATES and not recording.is_error:
        if kind:
            return OF_STATES[recording.operation](cloud, recording, kind)
        return {"Filters": []} if recording.operation == "DescribeInstances" else {}
    scene = SCENES.get((recording.operation, kind))
    if scene is None:
        return dict(recording.asked) or None
    return {**recording.asked, **scene(cloud)} if not recording.body else scene(cloud)


def client_for(cloud: Cloud, recording: Recording) -> Any:
    """Return the account's own client, or for a refusal that of a user who lacks one permission."""
    if "UnauthorizedOperation" not in kinds(recording):
        return cloud.client(recording.service)
    rights = policy(allow(["ec2:RequestSpotFleet", "iam:PassRole", "ec2:CreateTags"]))
    return of(cloud, cloud.user("one", rights), recording.service)
