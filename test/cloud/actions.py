"""The permissions that a call needs: the action and the resource, as in IAM's own tables.

A call without an entry here needs `service:Operation` on `*`, so only a policy for every resource covers it.  That is
stricter than AWS at worst, never laxer.

Source: AWS, "Service Authorization Reference".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from test.cloud import actions_ec2, principals
from test.cloud.actions_ec2 import PASSING_ON
from test.cloud.ec2_base import Acting
from test.cloud.needs import Found, Parameters, Regions, arn_of, pass_role, tagging
from test.cloud.policies import Need
from test.cloud.request import Request
from test.cloud.views import ACCOUNT

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
    """Return everything that the caller must be permitted to do for this call to work."""
    asked, service, operation = request.parameters(), request.service, request.operation
    action = f"{service}:{ACTIONS.get((service, operation), operation)}"
    if operation in OF_ALL_RESOURCES or service not in RESOURCES:
        return [Need(action, "*")]
    if operation == "DeleteObjects":
        return list(_deletions(asked))
    own = [Need(action, arn, context) for arn, context in RESOURCES[service](request, asked, regions)]
    if asked.get("DryRun") and not Acting.chosen.now.dry_run_looks_at_all:
        return own
    return own + list(_passed_on(request, asked, regions))


def _s3(_: Request, asked: Parameters, __: Regions) -> Found:
    bucket = f"arn:aws:s3:::{asked.get('Bucket', '')}"
    if "Key" in asked:
        yield f"{bucket}/{asked['Key']}", {}
    else:
        yield bucket, {"s3:prefix": [str(asked["Prefix"])]} if "Prefix" in asked else {}


def _deletions(asked: Parameters) -> Iterator[Need]:
    """Yield a need for each object; deleting a named version needs another permission than deleting the newest."""
    for each in asked["Delete"]["Objects"]:
        action = "s3:DeleteObjectVersion" if each.get("VersionId") else "s3:DeleteObject"
        yield Need(action, f"arn:aws:s3:::{asked['Bucket']}/{each['Key']}")
        if each.get("VersionId") == "null" and Acting.chosen.now.null_version_is_the_object:
            yield Need("s3:DeleteObject", f"arn:aws:s3:::{asked['Bucket']}/{each['Key']}")


def _events(request: Request, asked: Parameters, _: Regions) -> Found:
    name = asked.get("Name") if "Name" in asked else asked.get("Rule")
    targets = [str(each["Arn"]) for each in asked.get("Targets") or [] if "Arn" in each]
    context = {"events:targetarn": targets} if targets else {}
    yield asked.get("ResourceARN") or arn_of(request, "events", f"rule/{name or '*'}"), context


def _lambda(request: Request, asked: Parameters, _: Regions) -> Found:
    """Yield the function and, if the call has a qualifier, its qualified ARN too.

    LIKELY: developer guide, "Fine-tuning the Resources section": qualified ARNs.
    """
    name = str(asked.get("FunctionName") or asked.get("Resource") or asked.get("ResourceArn") or "*")
    arn = name if name.startswith("arn:") else arn_of(request, "lambda", f"function:{name}")
    yield arn, {}
    if asked.get("Qualifier"):
        yield f"{arn}:{asked['Qualifier']}", {}


def _cloudformation(request: Request, asked: Parameters, _: Regions) -> Found:
    name = str(asked.get("StackName") or "")
    if name.startswith("arn:"):
        yield name, {}
    else:
        yield (arn_of(request, "cloudformation", f"stack/{name}/*") if name else "*"), {}


def _logs(request: Request, asked: Parameters, _: Regions) -> Found:
    identifier = str(asked.get("logGroupIdentifier") or "").rpartition(":log-group:")[2]
    group = asked.get("logGroupName") or identifier or asked.get("logGroupNamePrefix") or "*"
    yield arn_of(request, "logs", f"log-group:{group}:*"), {}


def _kms(request: Request, asked: Parameters, _: Regions) -> Found:
    """Yield the key by its ARN; for aliases we only call DescribeKey, whose resource is the key as well."""
    key = str(asked.get("KeyId") or "*")
    yield (key if key.startswith("arn:") else arn_of(request, "kms", f"key/{key}")), {}


def _ssm(request: Request, asked: Parameters, _: Regions) -> Found:
    """Yield the parameters; those that AWS publishes have no account (user guide, "Working with public parameters")."""
    for name in asked.get("Names") or [asked.get("Name", "*")]:
        arn = arn_of(request, "ssm", f"parameter/{str(name).partition(':')[0].lstrip('/')}")
        yield (arn.replace(f":{ACCOUNT}:", "::") if str(name).startswith("/aws/service/") else arn), {}


def _sts(_: Request, asked: Parameters, __: Regions) -> Found:
    yield str(asked.get("RoleArn", "*")), {}


SERVICE_LINKED = {  # service -> the name of its role
    "spot.amazonaws.com": "AWSServiceRoleForEC2Spot",
    "spotfleet.amazonaws.com": "AWSServiceRoleForEC2SpotFleet",
    "ec2fleet.amazonaws.com": "AWSServiceRoleForEC2Fleet",
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
    """Return the ARN with the path of the existing entity, otherwise with the path that it will be created with."""
    iam = principals.iam()
    known = {"role": iam.roles, "instance-profile": iam.instance_profiles, "user": iam.users}.get(kind, {})
    found = next((each.arn for each in known.values() if each.name == name), None)
    return str(found or f"arn:aws:iam::{ACCOUNT}:{kind}{path}{name}")


RESOURCES: Mapping[str, Callable[[Request, Parameters, Regions], Found]] = {
    "s3": _s3,
    "events": _events,
    "lambda": _lambda,
    "cloudformation": _cloudformation,
    "logs": _logs,
    "kms": _kms,
    "ssm": _ssm,
    "sts": _sts,
    "iam": _iam,
    "ec2": actions_ec2.found,
}


def _passed_on(request: Request, asked: Parameters, regions: Regions) -> Iterator[Need]:
    """Yield the needs for the roles that a call passes to a service, and for the tags of what it creates."""
    match request.operation:
        case operation if operation in PASSING_ON:
            yield from PASSING_ON[operation](request, asked, regions)
        case "CreateFunction" | "UpdateFunctionConfiguration" if "Role" in asked:
            yield pass_role(str(asked["Role"]), "lambda.amazonaws.com")
        case "CreateStack" | "UpdateStack" | "DeleteStack" | "ContinueUpdateRollback" if asked.get("RoleARN"):
            yield pass_role(str(asked["RoleARN"]), "cloudformation.amazonaws.com")
        case "PutRule" if asked.get("Tags"):
            yield Need("events:TagResource", arn_of(request, "events", f"rule/{asked['Name']}"))
        case "AddRoleToInstanceProfile":
            yield pass_role(_iam_arn("role", str(asked["RoleName"])), "ec2.amazonaws.com")
        case "CreateSecurityGroup" if asked.get("TagSpecifications"):
            yield tagging(arn_of(request, "ec2", "security-group/*"), request.operation, asked["TagSpecifications"])
