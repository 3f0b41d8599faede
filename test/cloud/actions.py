"""Which permissions a call needs: the action and the resource, as IAM's own tables have them.

A call that has no line here needs `service:Operation` on `*`, so that only a policy for every resource covers
it: stricter than AWS at worst, never laxer.

Source: AWS, "Service Authorization Reference".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from moto.ec2.models import ec2_backends

from test.cloud import principals
from test.cloud.ec2_base import Acting
from test.cloud.fleets import Fleets
from test.cloud.policies import Need
from test.cloud.request import Request
from test.cloud.views import ACCOUNT

Parameters = Mapping[str, Any]
Regions = Mapping[str, Fleets]

# Operations whose action has another name.
ACTIONS: Mapping[tuple[str, str], str] = {
    ("lambda", "Invoke"): "InvokeFunction",
    ("lambda", "InvokeAsync"): "InvokeFunction",
    ("s3", "HeadObject"): "GetObject",
    ("s3", "HeadBucket"): "ListBucket",
    ("s3", "ListObjects"): "ListBucket",
    ("s3", "ListObjectsV2"): "ListBucket",
    ("s3", "ListObjectVersions"): "ListBucketVersions",
    ("s3", "ListMultipartUploads"): "ListBucketMultipartUploads",
    ("s3", "ListBuckets"): "ListAllMyBuckets",
    ("s3", "CopyObject"): "PutObject",
    ("s3", "CreateMultipartUpload"): "PutObject",
    ("s3", "UploadPart"): "PutObject",
    ("s3", "CompleteMultipartUpload"): "PutObject",
    ("s3", "GetBucketEncryption"): "GetEncryptionConfiguration",
    ("s3", "PutBucketEncryption"): "PutEncryptionConfiguration",
    ("s3", "DeleteBucketEncryption"): "PutEncryptionConfiguration",
    ("s3", "GetPublicAccessBlock"): "GetBucketPublicAccessBlock",
    ("s3", "PutPublicAccessBlock"): "PutBucketPublicAccessBlock",
    ("s3", "DeletePublicAccessBlock"): "PutBucketPublicAccessBlock",
    ("s3", "GetBucketLifecycleConfiguration"): "GetLifecycleConfiguration",
    ("s3", "PutBucketLifecycleConfiguration"): "PutLifecycleConfiguration",
    ("s3", "DeleteBucketLifecycle"): "PutLifecycleConfiguration",
    ("s3", "DeleteBucketTagging"): "PutBucketTagging",
    ("s3", "DeleteBucketOwnershipControls"): "PutBucketOwnershipControls",
}
OF_ALL_RESOURCES = frozenset({"ListBuckets", "ListFunctions", "GetAccountSettings", "ValidateTemplate", "ListStacks"})


def needs(request: Request, regions: Regions) -> list[Need]:
    """Everything that the caller must be permitted for this call to work."""
    asked, service, operation = request.parameters(), request.service, request.operation
    action = f"{service}:{ACTIONS.get((service, operation), operation)}"
    if operation in OF_ALL_RESOURCES or service not in RESOURCES:
        return [Need(action, "*")]
    if operation == "DeleteObjects":
        return list(_deletions(asked))
    own = [Need(action, arn, context) for arn, context in RESOURCES[service](request, asked, regions)]
    if asked.get("DryRun") and not Acting.chosen.now.dry_run_looks_at_all:
        return own
    return own + list(_passed_on(request, asked))


Found = Iterator[tuple[str, dict[str, list[str]]]]


def _s3(_: Request, asked: Parameters, __: Regions) -> Found:
    bucket = f"arn:aws:s3:::{asked.get('Bucket', '')}"
    if "Key" in asked:
        yield f"{bucket}/{asked['Key']}", {}
    else:
        yield bucket, {"s3:prefix": [str(asked["Prefix"])]} if "Prefix" in asked else {}


def _deletions(asked: Parameters) -> Iterator[Need]:
    """A version that is named needs another permission than the newest."""
    for each in asked["Delete"]["Objects"]:
        action = "s3:DeleteObjectVersion" if each.get("VersionId") else "s3:DeleteObject"
        yield Need(action, f"arn:aws:s3:::{asked['Bucket']}/{each['Key']}")
        if each.get("VersionId") == "null" and Acting.chosen.now.null_version_is_the_object:
            yield Need("s3:DeleteObject", f"arn:aws:s3:::{asked['Bucket']}/{each['Key']}")


def _events(request: Request, asked: Parameters, _: Regions) -> Found:
    name = asked.get("Name") if "Name" in asked else asked.get("Rule")
    targets = [str(each["Arn"]) for each in asked.get("Targets") or [] if "Arn" in each]
    context = {"events:targetarn": targets} if targets else {}
    yield asked.get("ResourceARN") or _arn(request, "events", f"rule/{name or '*'}"), context


def _lambda(request: Request, asked: Parameters, _: Regions) -> Found:
    """With a qualifier, on both (LIKELY: developer guide, "Fine-tuning the Resources section": qualified ARNs)."""
    name = str(asked.get("FunctionName") or asked.get("Resource") or asked.get("ResourceArn") or "*")
    arn = name if name.startswith("arn:") else _arn(request, "lambda", f"function:{name}")
    yield arn, {}
    if asked.get("Qualifier"):
        yield f"{arn}:{asked['Qualifier']}", {}


def _cloudformation(request: Request, asked: Parameters, _: Regions) -> Found:
    name = str(asked.get("StackName") or "")
    if name.startswith("arn:"):
        yield name, {}
    else:
        yield (_arn(request, "cloudformation", f"stack/{name}/*") if name else "*"), {}


def _logs(request: Request, asked: Parameters, _: Regions) -> Found:
    identifier = str(asked.get("logGroupIdentifier") or "").rpartition(":log-group:")[2]
    group = asked.get("logGroupName") or identifier or asked.get("logGroupNamePrefix") or "*"
    yield _arn(request, "logs", f"log-group:{group}:*"), {}


def _kms(request: Request, asked: Parameters, _: Regions) -> Found:
    """Keys by their ARN: of aliases we ask nothing but DescribeKey, whose resource is the key as well."""
    key = str(asked.get("KeyId") or "*")
    yield (key if key.startswith("arn:") else _arn(request, "kms", f"key/{key}")), {}


def _sts(_: Request, asked: Parameters, __: Regions) -> Found:
    yield str(asked.get("RoleArn", "*")), {}


SERVICE_LINKED = {  # the names of their roles
    "spot.amazonaws.com": "AWSServiceRoleForEC2Spot",
    "spotfleet.amazonaws.com": "AWSServiceRoleForEC2SpotFleet",
}
IAM_RESOURCES = {
    "InstanceProfileName": "instance-profile",  # before the role: AddRoleToInstanceProfile is about the profile
    "RoleName": "role",
    "UserName": "user",
    "GroupName": "group",
}


def _iam(_: Request, asked: Parameters, __: Regions) -> Found:
    context = {"iam:policyarn": [str(asked["PolicyArn"])]} if "PolicyArn" in asked else {}
    if "AWSServiceName" in asked:
        context["iam:awsservicename"] = [str(asked["AWSServiceName"])]
        yield _service_linked(str(asked["AWSServiceName"])), context
        return
    if "DeletionTaskId" in asked:  # task/aws-service-role/SERVICE/ROLE/...
        yield f"arn:aws:iam::{ACCOUNT}:role/{'/'.join(str(asked['DeletionTaskId']).split('/')[1:4])}", context
        return
    for parameter, kind in IAM_RESOURCES.items():
        if parameter in asked:
            yield _iam_arn(kind, str(asked[parameter]), str(asked.get("Path", "/"))), context
            return
    yield str(asked.get("PolicyArn", "*")), {}


def _service_linked(service: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{service}/{SERVICE_LINKED.get(service, '*')}"


def _iam_arn(kind: str, name: str, path: str = "/") -> str:
    """With the path that it was made with, or is to be made with."""
    iam = principals.iam()
    known = {"role": iam.roles, "instance-profile": iam.instance_profiles, "user": iam.users}.get(kind, {})
    found = next((each.arn for each in known.values() if each.name == name), None)
    return str(found or f"arn:aws:iam::{ACCOUNT}:{kind}{path}{name}")


EC2_LISTS = {  # parameter -> kind of resource, for the operations that work on what it names
    "SpotFleetRequestIds": "spot-fleet-request",
    "SpotFleetRequestId": "spot-fleet-request",
    "InstanceIds": "instance",
    "InstanceId": "instance",
    "GroupId": "security-group",
}
EC2_KINDS = {
    "sfr": "spot-fleet-request",
    "i": "instance",
    "sg": "security-group",
    "lt": "launch-template",
    "vpc": "vpc",
    "subnet": "subnet",
}
EC2_OF_ALL = ("Describe", "Get", "Search")
EC2_BY_RESOURCE = frozenset({"DescribeSpotFleetInstances", "DescribeSpotFleetRequestHistory"})


def _ec2(request: Request, asked: Parameters, regions: Regions) -> Found:
    operation = request.operation
    if operation.startswith(EC2_OF_ALL) and operation not in EC2_BY_RESOURCE:
        yield "*", {}
    elif operation in {"CreateTags", "DeleteTags"}:
        for each in asked["Resources"]:
            for arn, context in _tagged(request, EC2_KINDS.get(each.partition("-")[0], "*"), each, regions):
                yield arn, context | _of_tags(asked.get("Tags") or [])
    elif operation == "RequestSpotFleet":
        yield _arn(request, "ec2", "spot-fleet-request/*"), {}
    elif operation == "CreateSecurityGroup":
        yield _arn(request, "ec2", "security-group/*"), {}
        yield _arn(request, "ec2", f"vpc/{asked.get('VpcId', '*')}"), {}
    else:
        yield from _named(request, asked, regions)


def _named(request: Request, asked: Parameters, regions: Regions) -> Found:
    for parameter, kind in EC2_LISTS.items():
        if parameter in asked:
            value = asked[parameter]
            for name in value if isinstance(value, list) else [value]:
                yield from _tagged(request, kind, name, regions)
            return
    yield "*", {}


def _tagged(request: Request, kind: str, name: str, regions: Regions) -> Found:
    tags = _tags(kind, name, request.region, regions)
    context = {
        f"{prefix}:resourcetag/{key.lower()}": [value] for key, value in tags.items() for prefix in ("ec2", "aws")
    }
    yield _arn(request, "ec2", f"{kind}/{name}"), context


def _tags(kind: str, name: str, region: str, regions: Regions) -> Mapping[str, str]:
    fleets = regions[region]
    if kind == "instance" and name in fleets.instances:
        return fleets.instances[name].tags.at(fleets.clock())
    if kind == "spot-fleet-request" and name in fleets.fleets:
        return fleets.fleets[name].tags.at(fleets.clock())
    described = ec2_backends[ACCOUNT][region].describe_tags(filters={"resource-id": [name]})
    return {each["key"]: each["value"] for each in described}


RESOURCES: Mapping[str, Callable[[Request, Parameters, Regions], Found]] = {
    "s3": _s3,
    "events": _events,
    "lambda": _lambda,
    "cloudformation": _cloudformation,
    "logs": _logs,
    "kms": _kms,
    "sts": _sts,
    "iam": _iam,
    "ec2": _ec2,
}


def _arn(request: Request, service: str, rest: str) -> str:
    return f"arn:aws:{service}:{request.region}:{ACCOUNT}:{rest}"


def _passed_on(request: Request, asked: Parameters) -> Iterator[Need]:
    """The roles that a call hands to a service, and the tags that it puts on what it makes."""
    match request.operation:
        case "RequestSpotFleet":
            yield from _spot_fleet(request, asked["SpotFleetRequestConfig"])
        case "CreateFunction" | "UpdateFunctionConfiguration" if "Role" in asked:
            yield _pass_role(str(asked["Role"]), "lambda.amazonaws.com")
        case "CreateStack" | "UpdateStack" | "DeleteStack" | "ContinueUpdateRollback" if asked.get("RoleARN"):
            yield _pass_role(str(asked["RoleARN"]), "cloudformation.amazonaws.com")
        case "PutRule" if asked.get("Tags"):
            yield Need("events:TagResource", _arn(request, "events", f"rule/{asked['Name']}"))
        case "AddRoleToInstanceProfile":
            yield _pass_role(_iam_arn("role", str(asked["RoleName"])), "ec2.amazonaws.com")
        case "CreateSecurityGroup" if asked.get("TagSpecifications"):
            yield _tagging(_arn(request, "ec2", "security-group/*"), request.operation, asked["TagSpecifications"])


PASSED_BY_FLEETS = {
    "ec2": ("ec2.amazonaws.com",),
    "spotfleet": ("spotfleet.amazonaws.com",),
    "both": ("ec2.amazonaws.com", "spotfleet.amazonaws.com"),
}


def _spot_fleet(request: Request, config: Parameters) -> Iterator[Need]:
    """Yield what Spot Fleet asks of its caller; where the evidence is doubtful, as Behaviour says.

    ec2:RunInstances, always (certain): AWS, EC2 user guide, "Spot Fleet permissions"; AWS's mail of 2020, quoted in
    github.com/dan-v/rattlesnakeos-stack/issues/164.  CreateTags on `*` (the guide: "For Resource, you must specify *",
    doubtful: aws-rfdk names spot-fleet-request/*) and for the launch.  PassRole as ec2 (near certain: AWS's managed
    policies AWSThinkboxDeadlineSpotEventPluginAdminPolicy and BatchServiceRolePolicy) and as spotfleet.
    """
    yield Need("ec2:RunInstances", "*")
    yield from _passed_by_fleets(str(config["IamFleetRole"]))
    if config.get("TagSpecifications"):
        everything = Acting.chosen.now.fleet_tagging == "everything"
        tagged = "*" if everything else _arn(request, "ec2", "spot-fleet-request/*")
        yield _tagging(tagged, "RequestSpotFleet", config["TagSpecifications"])
    for specification in config.get("LaunchSpecifications") or []:
        if specification.get("TagSpecifications"):
            yield _tagging(_arn(request, "ec2", "instance/*"), "RunInstances", specification["TagSpecifications"])
    for profile in {str(each) for each in map(_profile_of, config.get("LaunchSpecifications") or []) if each}:
        for role_arn in roles_of(profile):
            yield from _passed_by_fleets(role_arn)


def _passed_by_fleets(role_arn: str) -> Iterator[Need]:
    for service in PASSED_BY_FLEETS[Acting.chosen.now.passed_as]:
        yield _pass_role(role_arn, service)


def _profile_of(specification: Parameters) -> str | None:
    profile = specification.get("IamInstanceProfile") or {}
    name = profile.get("Arn") or profile.get("Name")
    return str(name) if name else None


def roles_of(profile: str) -> list[str]:
    """The roles of an instance profile, by its name or ARN."""
    name = profile.rpartition("/")[2]
    found = next((each for each in principals.iam().instance_profiles.values() if each.name == name), None)
    return [role.arn for role in found.roles] if found is not None else []


def _pass_role(role_arn: str, service: str) -> Need:
    return Need("iam:PassRole", role_arn, {"iam:passedtoservice": [service]})


def _of_tags(tags: list[Parameters]) -> dict[str, list[str]]:
    """aws:TagKeys is there only if the call names tags: CERTAIN, IAM user guide, "Controlling access using tags"."""
    keys: dict[str, list[str]] = {"aws:tagkeys": [str(tag["Key"]) for tag in tags]} if tags else {}
    return keys | {f"aws:requesttag/{str(tag['Key']).lower()}": [str(tag.get("Value", ""))] for tag in tags}


def _tagging(resource: str, operation: str, groups: list[Parameters]) -> Need:
    tags = [tag for group in groups for tag in group.get("Tags") or []]
    return Need("ec2:CreateTags", resource, {"ec2:createaction": [operation], **_of_tags(tags)})
