"""Who needs which rights: a table of the calls that the code makes, and the IAM policies that follow from it.

Three kinds of people: `setup` runs -setup, -check-setup and -teardown; `daemon` is annexd itself, where it lends its
own keys; `user` is whoever orders with keys of their own.  annexd makes the same calls with a user's keys as with its
own, so the two may do the same; they are two files because sites narrow them in different ways.

What CloudFormation does for its caller needs the caller's rights.  Those rights are granted only by way of
CloudFormation, so that nobody can make a role with them by hand.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

SETUP: Final = "setup"
DAEMON: Final = "daemon"
USER: Final = "user"
ROLES: Final = (SETUP, DAEMON, USER)

ANYTHING: Final = "*"  # of operations for which AWS knows no narrower resource
STACK: Final = "arn:{partition}:cloudformation:*:*:stack/{stack}/*"
FUNCTION: Final = "arn:{partition}:lambda:*:*:function:{stack}-LeaseFunction-*"
ROLE: Final = "arn:{partition}:iam::*:role/{stack}-*"
LEASE_ROLE: Final = "arn:{partition}:iam::*:role/{stack}-LeaseRole-*"
INSTANCE_ROLE: Final = "arn:{partition}:iam::*:role/{stack}-InstanceRole-*"
FLEET_ROLE: Final = "arn:{partition}:iam::*:role/{stack}-FleetRole-*"
SERVICE_ROLES: Final = "arn:{partition}:iam::*:role/aws-service-role/spot*.amazonaws.com/AWSServiceRoleForEC2Spot*"
SERVICE_ROLES_UNMADE: Final = "arn:{partition}:iam::*:role/AWSServiceRoleForEC2Spot*"  # no path is known yet
PROFILE: Final = "arn:{partition}:iam::*:instance-profile/{stack}-*"
LOG: Final = "arn:{partition}:logs:*:*:log-group:{stack}-*"
BUCKET: Final = "arn:{partition}:s3:::{bucket}-bucket-*"  # a bucket's name is in lower case
OBJECTS: Final = "arn:{partition}:s3:::{bucket}-bucket-*/*"
ANNEX_OBJECTS: Final = "arn:{partition}:s3:::{bucket}-bucket-*/annex/*"
RULE: Final = "arn:{partition}:events:*:*:rule/annex-*"  # as annexd names annexes
FLEET: Final = "arn:{partition}:ec2:*:*:spot-fleet-request/*"
INSTANCE: Final = "arn:{partition}:ec2:*:*:instance/*"
GROUP: Final = "arn:{partition}:ec2:*:*:security-group/*"
VPC: Final = "arn:{partition}:ec2:*:*:vpc/*"

Condition = dict[str, dict[str, str]]
BY_CLOUDFORMATION: Final[Condition] = {"ForAnyValue:StringEquals": {"aws:CalledVia": "cloudformation.amazonaws.com"}}
OWN_FLEETS: Final[Condition] = {"Null": {"ec2:ResourceTag/htcondor:annex-id": "false"}}
OF_A_FLEET: Final[Condition] = {"StringLike": {"ec2:ResourceTag/aws:ec2spot:fleet-request-id": "sfr-*"}}
NEW_FLEETS: Final[Condition] = {"StringEquals": {"ec2:CreateAction": "RequestSpotFleet"}}
LEASE_TARGETS: Final[Condition] = {"ForAllValues:ArnLike": {"events:TargetArn": FUNCTION}}
TAGGING_POLICY: Final[Condition] = {
    "ArnEquals": {"iam:PolicyARN": "arn:{partition}:iam::aws:policy/service-role/AmazonEC2SpotFleetTaggingRole"}
}


SPOT_SERVICES: Final[Condition] = {"StringLike": {"iam:AWSServiceName": "spot*.amazonaws.com"}}


def passed_to(service: str) -> Condition:
    return {"StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}}


class Right(NamedTuple):
    """One action on one kind of resource, for the calls that need it (`service:Operation`, as AWS's models name it)."""

    action: str
    resource: str
    calls: tuple[str, ...]
    condition: Condition


def right(action: str, resource: str, *calls: str, condition: Condition | None = None) -> Right:
    """For the call of the same name as the action, unless others are named."""
    return Right(action, resource, calls or (action,), condition or {})


def by_cloudformation(resource: str, *actions: str, condition: Condition | None = None) -> list[Right]:
    """What its handlers for our resource types do, by AWS's own resource schemas."""
    return [Right(action, resource, (), BY_CLOUDFORMATION | (condition or {})) for action in actions]


STACK_RIGHTS: Final = [
    right("cloudformation:CreateStack", STACK),
    right("cloudformation:UpdateStack", STACK),
    right("cloudformation:DeleteStack", STACK),
    right("cloudformation:ContinueUpdateRollback", STACK),
    right("cloudformation:DescribeStacks", STACK),
    right("cloudformation:DescribeStackEvents", STACK),
    right("cloudformation:DescribeStackResources", STACK),
    right("cloudformation:GetTemplate", STACK),
    right("cloudformation:DetectStackDrift", STACK),
    right("cloudformation:DetectStackResourceDrift", STACK, "cloudformation:DetectStackDrift"),
    right("cloudformation:BatchDescribeTypeConfigurations", ANYTHING, "cloudformation:DetectStackDrift"),
    right("cloudformation:DescribeStackDriftDetectionStatus", ANYTHING),
    right("cloudformation:DescribeStackResourceDrifts", STACK),
]
CHECK_RIGHTS: Final = [
    right("ec2:DescribeRegions", ANYTHING),
    right("ec2:DescribeSecurityGroups", ANYTHING),
    right("events:ListRules", ANYTHING),
    right("servicequotas:GetServiceQuota", ANYTHING),
    right("lambda:GetFunction", FUNCTION),
    right("lambda:GetPolicy", FUNCTION),
    right("lambda:InvokeFunction", FUNCTION, "lambda:Invoke"),
    right("iam:GetRole", ROLE),
    right("iam:ListRolePolicies", ROLE),
    right("iam:GetRolePolicy", ROLE),
    right("iam:ListAttachedRolePolicies", ROLE),
    right("iam:GetInstanceProfile", PROFILE),
    right("s3:GetBucketLocation", BUCKET),
    right("s3:GetBucketPolicy", BUCKET),
    right("s3:GetBucketPolicyStatus", BUCKET),
    right("s3:GetBucketOwnershipControls", BUCKET),
    right("s3:GetBucketPublicAccessBlock", BUCKET, "s3:GetPublicAccessBlock"),
    right("s3:GetEncryptionConfiguration", BUCKET, "s3:GetBucketEncryption"),
    right("s3:GetLifecycleConfiguration", BUCKET, "s3:GetBucketLifecycleConfiguration"),
]
TEARDOWN_RIGHTS: Final = [
    right("ec2:DescribeSpotFleetRequests", ANYTHING),
    right("ec2:DescribeInstances", ANYTHING),
    right("events:ListTargetsByRule", RULE),
    right("s3:ListBucketVersions", BUCKET, "s3:ListObjectVersions"),
    right("s3:ListBucketMultipartUploads", BUCKET, "s3:ListMultipartUploads"),
    right("s3:DeleteObjectVersion", OBJECTS, "s3:DeleteObjects"),
    right("s3:AbortMultipartUpload", OBJECTS),
]
SERVICE_ROLE_RIGHTS: Final = [
    right("iam:GetRole", SERVICE_ROLES),
    right("iam:GetRole", SERVICE_ROLES_UNMADE),
    right("iam:CreateServiceLinkedRole", SERVICE_ROLES, condition=SPOT_SERVICES),
    right("iam:DeleteServiceLinkedRole", SERVICE_ROLES),
    right("iam:GetServiceLinkedRoleDeletionStatus", SERVICE_ROLES),
]
HANDLER_RIGHTS: Final = [
    *by_cloudformation(LOG, "logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:PutRetentionPolicy"),
    *by_cloudformation(LOG, "logs:TagResource", "logs:ListTagsForResource", "logs:GetDataProtectionPolicy"),
    *by_cloudformation(ANYTHING, "logs:DescribeLogGroups"),
    *by_cloudformation(ROLE, "iam:CreateRole", "iam:DeleteRole", "iam:UpdateAssumeRolePolicy"),
    *by_cloudformation(ROLE, "iam:PutRolePolicy", "iam:DeleteRolePolicy"),
    *by_cloudformation(FLEET_ROLE, "iam:AttachRolePolicy", "iam:DetachRolePolicy", condition=TAGGING_POLICY),
    *by_cloudformation(LEASE_ROLE, "iam:PassRole", condition=passed_to("lambda")),
    *by_cloudformation(INSTANCE_ROLE, "iam:PassRole", condition=passed_to("ec2")),
    *by_cloudformation(PROFILE, "iam:CreateInstanceProfile", "iam:DeleteInstanceProfile"),
    *by_cloudformation(PROFILE, "iam:AddRoleToInstanceProfile", "iam:RemoveRoleFromInstanceProfile"),
    *by_cloudformation(FUNCTION, "lambda:CreateFunction", "lambda:DeleteFunction", "lambda:UpdateFunctionCode"),
    *by_cloudformation(FUNCTION, "lambda:UpdateFunctionConfiguration", "lambda:TagResource", "lambda:ListTags"),
    *by_cloudformation(FUNCTION, "lambda:GetFunctionCodeSigningConfig", "lambda:GetRuntimeManagementConfig"),
    *by_cloudformation(FUNCTION, "lambda:AddPermission", "lambda:RemovePermission"),
    *by_cloudformation(BUCKET, "s3:CreateBucket", "s3:DeleteBucket", "s3:ListBucket", "s3:PutBucketTagging"),
    *by_cloudformation(BUCKET, "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration"),
    *by_cloudformation(BUCKET, "s3:PutBucketPublicAccessBlock", "s3:PutBucketOwnershipControls"),
    *by_cloudformation(BUCKET, "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"),
    *by_cloudformation(BUCKET, "s3:GetAccelerateConfiguration", "s3:GetAnalyticsConfiguration", "s3:GetBucketCORS"),
    *by_cloudformation(BUCKET, "s3:GetInventoryConfiguration", "s3:GetBucketLogging", "s3:GetMetricsConfiguration"),
    *by_cloudformation(BUCKET, "s3:GetBucketNotification", "s3:GetBucketVersioning", "s3:GetBucketWebsite"),
    *by_cloudformation(BUCKET, "s3:GetReplicationConfiguration", "s3:GetBucketObjectLockConfiguration"),
    *by_cloudformation(BUCKET, "s3:GetBucketTagging", "s3:GetIntelligentTieringConfiguration"),
    *by_cloudformation(BUCKET, "s3:GetBucketMetadataTableConfiguration"),
    *by_cloudformation(GROUP, "ec2:CreateSecurityGroup", "ec2:DeleteSecurityGroup", "ec2:CreateTags"),
    *by_cloudformation(VPC, "ec2:CreateSecurityGroup"),
]
ORDER_RIGHTS: Final = [
    right("lambda:GetFunction", FUNCTION),
    right("lambda:GetPolicy", FUNCTION),
    right("events:PutRule", RULE),
    right("events:TagResource", RULE, "events:PutRule"),
    right("events:PutTargets", RULE, condition=LEASE_TARGETS),
    right("events:RemoveTargets", RULE),
    right("events:DeleteRule", RULE),
    right("events:DescribeRule", RULE),
    right("events:ListTargetsByRule", RULE),
    right("events:ListRules", ANYTHING),
    right("s3:PutObject", ANNEX_OBJECTS),
    right("s3:DeleteObject", ANNEX_OBJECTS),
    right("ec2:RequestSpotFleet", ANYTHING),
    right("ec2:CreateTags", FLEET, "ec2:RequestSpotFleet", condition=NEW_FLEETS),
    right("iam:PassRole", FLEET_ROLE, "ec2:RequestSpotFleet", condition=passed_to("spotfleet")),
    right("iam:PassRole", INSTANCE_ROLE, "ec2:RequestSpotFleet", condition=passed_to("ec2")),
    right("ec2:DescribeSpotFleetRequests", ANYTHING),
    right("ec2:DescribeInstances", ANYTHING),
    right("ec2:CancelSpotFleetRequests", FLEET, condition=OWN_FLEETS),
    right("ec2:TerminateInstances", INSTANCE, condition=OF_A_FLEET),
]
RIGHTS: Final = {
    SETUP: [*STACK_RIGHTS, *CHECK_RIGHTS, *TEARDOWN_RIGHTS, *SERVICE_ROLE_RIGHTS, *HANDLER_RIGHTS],
    DAEMON: ORDER_RIGHTS,
    USER: ORDER_RIGHTS,
}
NEEDS_NO_RIGHT: Final = frozenset({"sts:GetCallerIdentity"})


def policy(role: str, stack: str, partition: str = "aws") -> dict[str, Any]:
    """The IAM policy of one of ROLES, for a stack of this name."""
    return {"Version": "2012-10-17", "Statement": list(_statements(role, stack, partition))}


def _statements(role: str, stack: str, partition: str) -> Iterator[dict[str, Any]]:
    """One for each kind of resource and condition."""
    groups: dict[tuple[str, str], tuple[Right, list[str]]] = {}
    for each in RIGHTS[role]:
        key = each.resource, repr(each.condition)
        groups.setdefault(key, (each, []))[1].append(each.action)
    names = {"stack": stack, "bucket": stack.lower(), "partition": partition}
    for each, actions in groups.values():
        statement = {"Effect": "Allow", "Action": sorted(actions), "Resource": each.resource.format(**names)}
        condition = {
            operator: {key: value.format(**names) for key, value in tests.items()}
            for operator, tests in each.condition.items()
        }
        yield statement | ({"Condition": condition} if condition else {})
