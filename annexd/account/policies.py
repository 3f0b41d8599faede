"""Define the rights of each role: a table of the calls that the code makes, and the IAM policies derived from it.

There are three roles: `setup` runs -setup, -check-setup and -teardown; `daemon` is annexd itself, if it provides its
own keys; `user` orders with the user's own keys.  annexd makes the same calls with a user's keys as with its own, so
both have the same rights; they are two files because sites restrict them in different ways.

CloudFormation acts with its caller's rights.  Those rights are granted only through CloudFormation, so that nobody can
create a role with them by hand.  They are a separate document, since an IAM policy has at most 6,144 characters.

What Spot Fleet requires of its caller, with the evidence (not yet verified on AWS):

* ec2:RunInstances, always, on all resources of the launch.  Spot Fleet user guide, "Spot Fleet permissions":
  required since 30 August 2020; a real refusal without it: github.com/Coalfire-Research/npk/issues/148.  A caller
  of RequestSpotFleet can start instances anyway.
* CreateFleet requires, by EC2 user guide, "EC2 Fleet prerequisites", and the controller policy of
  github.com/aws/karpenter-provider-aws: RunInstances, CreateTags, PassRole as ec2 of the launch template's role.
* The launch template of an EC2 Fleet is created with its tags; versions are added and it is deleted by its tag.
  DescribeLaunchTemplateVersions is for users' own templates, and has no resources.
* ec2:CreateTags on `*` for what RequestSpotFleet, CreateFleet, CreateLaunchTemplate and RunInstances create.  The user
  guide warns that spot-fleet-request as a resource is refused; AWS's own AWSThinkboxDeadlineSpotEventPluginAdminPolicy
  has both.
* ec2:CreateTags on `*`, for the same reason, for the two tags that move or end a lease, and no others.  This right
  allows ending other users' leases in the account, as the right to cancel their fleets does, and extending them up to
  the stack's MaxLease.  No role has DeleteTags: a cancellation cannot be undone.
* DeleteFleets with termination requires ec2:TerminateInstances (EC2 user guide, "Troubleshoot when a fleet
  fails to delete"); on which resources is undocumented.  It is granted on instances of fleets; if that is too narrow,
  annexd deletes a fleet without its instances, and terminates those.
* iam:PassRole names the service whose API is called, ec2, in all of AWS's managed policies that order Spot Fleets
  (BatchServiceRolePolicy, AWSThinkboxDeadlineSpotEventPluginAdminPolicy), and ec2.amazonaws.com.cn in China
  (github.com/aws/karpenter-provider-aws/pull/6839).  AWSThinkboxAWSPortalAdminPolicy lists spotfleet too, as we do.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from annexd.account.template import FUNCTION as ENFORCER
from annexd.account.template import LOG_GROUP
from annexd.annex.lease.lease import TAG_CANCELLED, TAG_LEASE_END

SETUP: Final = "setup"
DAEMON: Final = "daemon"
USER: Final = "user"
ROLES: Final = (SETUP, DAEMON, USER)

ANYTHING: Final = "*"  # for operations without narrower resources
STACK: Final = "arn:{partition}:cloudformation:*:*:stack/{stack}/*"
FUNCTION: Final = f"arn:{{partition}}:lambda:*:*:function:{ENFORCER}"
ROLE: Final = "arn:{partition}:iam::*:role/{stack}-*"
LEASE_ROLE: Final = "arn:{partition}:iam::*:role/{stack}-LeaseRole-*"
INSTANCE_ROLE: Final = "arn:{partition}:iam::*:role/{stack}-InstanceRole-*"
FLEET_ROLE: Final = "arn:{partition}:iam::*:role/{stack}-FleetRole-*"
SERVICE_ROLES: Final = "arn:{partition}:iam::*:role/aws-service-role/spot*.amazonaws.com/AWSServiceRoleForEC2Spot*"
EC2_FLEET_ROLE: Final = "arn:{partition}:iam::*:role/aws-service-role/ec2fleet.amazonaws.com/AWSServiceRoleForEC2Fleet"
EC2_FLEET_ROLE_UNMADE: Final = "arn:{partition}:iam::*:role/AWSServiceRoleForEC2Fleet"
SERVICE_ROLES_UNMADE: Final = "arn:{partition}:iam::*:role/AWSServiceRoleForEC2Spot*"  # no path is known yet
PROFILE: Final = "arn:{partition}:iam::*:instance-profile/htcondor-annex/*/{stack}-*"
FUNCTION_CALLS: Final = f"{FUNCTION}*"  # also $LATEST, for its settings of asynchronous calls
LOG: Final = f"arn:{{partition}}:logs:*:*:log-group:{LOG_GROUP}:*"
BUCKET: Final = "arn:{partition}:s3:::{bucket}-bucket-*"  # a bucket's name is in lower case
OBJECTS: Final = "arn:{partition}:s3:::{bucket}-bucket-*/*"
ANNEX_OBJECTS: Final = "arn:{partition}:s3:::{bucket}-bucket-*/annex/*"
LOG_AND_TAGS: Final = f"arn:{{partition}}:logs:*:*:log-group:{LOG_GROUP}*"  # calls about tags name it without :*
RULE: Final = f"arn:{{partition}}:events:*:*:rule/{ENFORCER}"
FLEET: Final = "arn:{partition}:ec2:*:*:spot-fleet-request/*"
EC2_FLEET: Final = "arn:{partition}:ec2:*:*:fleet/*"
TEMPLATE: Final = "arn:{partition}:ec2:*:*:launch-template/*"
INSTANCE: Final = "arn:{partition}:ec2:*:*:instance/*"
PUBLISHED: Final = "arn:{partition}:ssm:*::parameter/aws/service/*"  # owned by AWS, so without an account
GROUP: Final = "arn:{partition}:ec2:*:*:security-group/*"
KEY: Final = "arn:{partition}:kms:*:*:key/*"  # for volumes: the key depends on the account
VPC: Final = "arn:{partition}:ec2:*:*:vpc/*"

Condition = dict[str, dict[str, str | list[str]]]
BY_CLOUDFORMATION: Final[Condition] = {"ForAnyValue:StringEquals": {"aws:CalledVia": "cloudformation.amazonaws.com"}}
OWN_FLEETS: Final[Condition] = {"Null": {"ec2:ResourceTag/htcondor:annex-id": "false"}}
OF_A_FLEET: Final[Condition] = {"StringLike": {"ec2:ResourceTag/aws:ec2spot:fleet-request-id": "sfr-*"}}
OF_AN_EC2_FLEET: Final[Condition] = {"StringLike": {"ec2:ResourceTag/aws:ec2:fleet-id": "fleet-*"}}
MADE_BY_ORDERS: Final = ["RequestSpotFleet", "RunInstances", "CreateFleet", "CreateLaunchTemplate"]
NEW_CAPACITY: Final[Condition] = {"StringEquals": {"ec2:CreateAction": [*MADE_BY_ORDERS]}}
LEASE_TAGS: Final[Condition] = {
    "ForAllValues:StringEquals": {"aws:TagKeys": [TAG_LEASE_END, TAG_CANCELLED]},
    "Null": {"aws:TagKeys": "false"},  # ForAllValues alone is true for a call without tag keys
}
TAGGING_POLICY: Final[Condition] = {
    "ArnEquals": {"iam:PolicyARN": "arn:{partition}:iam::aws:policy/service-role/AmazonEC2SpotFleetTaggingRole"}
}


SPOT_SERVICES: Final[Condition] = {"StringLike": {"iam:AWSServiceName": "spot*.amazonaws.com"}}
EC2_FLEET_SERVICE: Final[Condition] = {"StringEquals": {"iam:AWSServiceName": "ec2fleet.amazonaws.com"}}


def passed_to(*services: str) -> Condition:
    return {"StringEquals": {"iam:PassedToService": list(services)}}


EC2: Final = ("ec2.amazonaws.com", "ec2.amazonaws.com.cn")  # in China either one, depending on the service
TO_LAMBDA: Final = passed_to("lambda.amazonaws.com")
TO_INSTANCES: Final = passed_to(*EC2)
TO_FLEETS: Final = passed_to(*EC2, "spotfleet.amazonaws.com")


class Right(NamedTuple):
    """One action on one kind of resource, for the calls that need it (`service:Operation`, as AWS's models name it)."""

    action: str
    resource: str
    calls: tuple[str, ...]
    condition: Condition


def right(action: str, resource: str, *calls: str, condition: Condition | None = None) -> Right:
    """Build a Right; without `calls` it is for the call with the action's name."""
    return Right(action, resource, calls or (action,), condition or {})


def by_cloudformation(resource: str, *actions: str, condition: Condition | None = None) -> list[Right]:
    """Build the rights that its handlers for our resource types use, by AWS's own resource schemas."""
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
    right("ec2:DescribeVpcs", ANYTHING),
    right("ec2:DescribeSubnets", ANYTHING),
    right("ec2:DescribeRouteTables", ANYTHING),
    right("events:DescribeRule", RULE),
    right("events:ListTargetsByRule", RULE),
    right("ec2:GetEbsEncryptionByDefault", ANYTHING),
    right("ec2:GetEbsDefaultKmsKeyId", ANYTHING),
    right("kms:DescribeKey", KEY),
    right("kms:ListGrants", KEY),
    right("kms:GetKeyPolicy", KEY),
    right("sts:DecodeAuthorizationMessage", ANYTHING),
    right("servicequotas:GetServiceQuota", ANYTHING),
    right("servicequotas:GetAWSDefaultServiceQuota", ANYTHING),
    right("lambda:GetFunction", FUNCTION),
    right("lambda:ListTags", FUNCTION, "lambda:GetFunction"),  # without it GetFunction does not return the stack
    right("lambda:GetPolicy", FUNCTION),
    right("lambda:GetFunctionConcurrency", FUNCTION),
    right("lambda:GetFunctionEventInvokeConfig", FUNCTION_CALLS),
    right("lambda:GetAccountSettings", ANYTHING),
    right("lambda:UpdateFunctionConfiguration", FUNCTION),  # the description that closes and opens it
    right("logs:DescribeLogGroups", ANYTHING),
    right("logs:FilterLogEvents", LOG),
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
    right("ec2:DescribeFleets", ANYTHING),
    right("ec2:DescribeInstances", ANYTHING),
    right("ec2:DescribeLaunchTemplates", ANYTHING),
    right("ec2:DeleteLaunchTemplate", TEMPLATE, condition=OWN_FLEETS),
    right("s3:ListBucketVersions", BUCKET, "s3:ListObjectVersions"),
    right("s3:ListBucketMultipartUploads", BUCKET, "s3:ListMultipartUploads"),
    right("s3:DeleteObjectVersion", OBJECTS, "s3:DeleteObjects"),
    right("s3:DeleteObject", OBJECTS, "s3:DeleteObjects"),  # UNKNOWN whether the version "null" needs it, too.
    right("s3:AbortMultipartUpload", OBJECTS),
]
SERVICE_ROLE_RIGHTS: Final = [
    right("iam:GetRole", SERVICE_ROLES),
    right("iam:GetRole", SERVICE_ROLES_UNMADE),
    right("iam:CreateServiceLinkedRole", SERVICE_ROLES, condition=SPOT_SERVICES),
    right("iam:GetRole", EC2_FLEET_ROLE),
    right("iam:GetRole", EC2_FLEET_ROLE_UNMADE),
    right("iam:CreateServiceLinkedRole", EC2_FLEET_ROLE, condition=EC2_FLEET_SERVICE),
]
HANDLER_RIGHTS: Final = [
    *by_cloudformation(LOG_AND_TAGS, "logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:PutRetentionPolicy"),
    *by_cloudformation(LOG_AND_TAGS, "logs:TagResource", "logs:ListTagsForResource", "logs:GetDataProtectionPolicy"),
    *by_cloudformation(ANYTHING, "logs:DescribeIndexPolicies", "logs:DescribeResourcePolicies"),
    *by_cloudformation(ROLE, "iam:CreateRole", "iam:DeleteRole", "iam:UpdateAssumeRolePolicy"),
    *by_cloudformation(ROLE, "iam:PutRolePolicy", "iam:DeleteRolePolicy"),
    *by_cloudformation(FLEET_ROLE, "iam:AttachRolePolicy", "iam:DetachRolePolicy", condition=TAGGING_POLICY),
    *by_cloudformation(LEASE_ROLE, "iam:PassRole", condition=TO_LAMBDA),
    *by_cloudformation(INSTANCE_ROLE, "iam:PassRole", condition=TO_INSTANCES),
    *by_cloudformation(PROFILE, "iam:CreateInstanceProfile", "iam:DeleteInstanceProfile"),
    *by_cloudformation(PROFILE, "iam:AddRoleToInstanceProfile", "iam:RemoveRoleFromInstanceProfile"),
    *by_cloudformation(FUNCTION, "lambda:CreateFunction", "lambda:DeleteFunction", "lambda:UpdateFunctionCode"),
    *by_cloudformation(FUNCTION, "lambda:TagResource"),
    *by_cloudformation(FUNCTION, "lambda:GetFunctionCodeSigningConfig", "lambda:GetRuntimeManagementConfig"),
    *by_cloudformation(FUNCTION, "lambda:GetFunctionRecursionConfig", "lambda:GetFunctionScalingConfig"),
    *by_cloudformation(FUNCTION, "lambda:AddPermission", "lambda:RemovePermission"),
    *by_cloudformation(FUNCTION_CALLS, "lambda:PutFunctionEventInvokeConfig"),
    *by_cloudformation(FUNCTION_CALLS, "lambda:UpdateFunctionEventInvokeConfig"),
    *by_cloudformation(FUNCTION_CALLS, "lambda:DeleteFunctionEventInvokeConfig"),
    *by_cloudformation(RULE, "events:PutRule", "events:DeleteRule", "events:PutTargets", "events:RemoveTargets"),
    *by_cloudformation(BUCKET, "s3:CreateBucket", "s3:DeleteBucket", "s3:ListBucket", "s3:PutBucketTagging"),
    *by_cloudformation(BUCKET, "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration"),
    *by_cloudformation(BUCKET, "s3:PutBucketPublicAccessBlock", "s3:PutBucketOwnershipControls"),
    *by_cloudformation(BUCKET, "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"),
    *by_cloudformation(BUCKET, "s3:GetAccelerateConfiguration", "s3:GetAnalyticsConfiguration", "s3:GetBucketCORS"),
    *by_cloudformation(BUCKET, "s3:GetInventoryConfiguration", "s3:GetBucketLogging", "s3:GetMetricsConfiguration"),
    *by_cloudformation(BUCKET, "s3:GetBucketNotification", "s3:GetBucketVersioning", "s3:GetBucketWebsite"),
    *by_cloudformation(BUCKET, "s3:GetReplicationConfiguration", "s3:GetBucketObjectLockConfiguration"),
    *by_cloudformation(BUCKET, "s3:GetBucketTagging", "s3:GetIntelligentTieringConfiguration"),
    *by_cloudformation(BUCKET, "s3:GetBucketMetadataTableConfiguration", "s3:GetBucketAbac"),
    *by_cloudformation(BUCKET, "s3:TagResource", "s3:ListTagsForResource"),
    *by_cloudformation(GROUP, "ec2:CreateSecurityGroup", "ec2:DeleteSecurityGroup", "ec2:CreateTags"),
    *by_cloudformation(GROUP, "ec2:AuthorizeSecurityGroupEgress", "ec2:RevokeSecurityGroupEgress"),
    *by_cloudformation(VPC, "ec2:CreateSecurityGroup"),
]
ORDERS_BY: Final = ("RequestSpotFleet", "CreateFleet", "CreateLaunchTemplate")
ORDER_RIGHTS: Final = [
    right("lambda:GetFunction", FUNCTION),
    right("logs:FilterLogEvents", LOG),
    right("s3:PutObject", ANNEX_OBJECTS),
    right("s3:DeleteObject", ANNEX_OBJECTS),
    right("ssm:GetParameter", PUBLISHED),  # the image of resolve:ssm:PARAMETER
    right("ec2:DescribeImages", ANYTHING),  # the name of its root device
    right("ec2:RequestSpotFleet", ANYTHING),
    right("ec2:CreateFleet", ANYTHING),
    right("ec2:RunInstances", ANYTHING, "ec2:RequestSpotFleet", "ec2:CreateFleet"),
    right("ec2:CreateTags", ANYTHING, *(f"ec2:{each}" for each in ORDERS_BY), condition=NEW_CAPACITY),
    right("ec2:CreateLaunchTemplate", TEMPLATE),
    right("ec2:CreateLaunchTemplateVersion", TEMPLATE, condition=OWN_FLEETS),
    right("ec2:DeleteLaunchTemplate", TEMPLATE, condition=OWN_FLEETS),
    right("ec2:DescribeLaunchTemplateVersions", ANYTHING),
    right("ec2:CreateTags", ANYTHING, condition=LEASE_TAGS),
    right("iam:PassRole", FLEET_ROLE, "ec2:RequestSpotFleet", condition=TO_FLEETS),
    right("iam:PassRole", INSTANCE_ROLE, "ec2:RequestSpotFleet", "ec2:CreateFleet", condition=TO_FLEETS),
    right("ec2:DescribeSpotFleetRequests", ANYTHING),
    right("ec2:DescribeFleets", ANYTHING),
    right("ec2:DescribeInstances", ANYTHING),
    right("ec2:DescribeSpotFleetRequestHistory", FLEET, condition=OWN_FLEETS),  # why no instance runs
    right("ec2:DescribeFleetHistory", EC2_FLEET, condition=OWN_FLEETS),
    right("ec2:GetConsoleOutput", INSTANCE, condition=OWN_FLEETS),  # why a machine turned itself off
    right("ec2:CancelSpotFleetRequests", FLEET, condition=OWN_FLEETS),
    right("ec2:DeleteFleets", EC2_FLEET, condition=OWN_FLEETS),
    right("ec2:TerminateInstances", INSTANCE, condition=OF_A_FLEET),
    right("ec2:TerminateInstances", INSTANCE, "ec2:DeleteFleets", "ec2:TerminateInstances", condition=OF_AN_EC2_FLEET),
]
QUOTE_RIGHTS: Final = [  # without one of them a quote has less data, and names the missing one
    right("ec2:DescribeSpotPriceHistory", ANYTHING),
    right("ec2:DescribeImages", ANYTHING),
    right("ec2:DescribeSubnets", ANYTHING),
    right("ec2:DescribeInstanceTypes", ANYTHING),
    right("pricing:GetProducts", ANYTHING),
    right("servicequotas:GetServiceQuota", ANYTHING),
    right("servicequotas:GetAWSDefaultServiceQuota", ANYTHING),
]
DOCUMENTS: Final = {  # by file name
    "setup": [*STACK_RIGHTS, *CHECK_RIGHTS, *TEARDOWN_RIGHTS, *SERVICE_ROLE_RIGHTS],
    "setup-stack": HANDLER_RIGHTS,
    "daemon": [*ORDER_RIGHTS, *QUOTE_RIGHTS],
    "user": [*ORDER_RIGHTS, *QUOTE_RIGHTS],
}
DOCUMENTS_OF: Final = {SETUP: ("setup", "setup-stack"), DAEMON: ("daemon",), USER: ("user",)}


def policies(role: str, stack: str, partition: str = "aws") -> list[dict[str, Any]]:
    """Return all IAM policies of one of ROLES, for a stack of this name."""
    return [policy(name, stack, partition) for name in DOCUMENTS_OF[role]]


def policy(name: str, stack: str, partition: str = "aws") -> dict[str, Any]:
    """Return one of DOCUMENTS as an IAM policy."""
    return {"Version": "2012-10-17", "Statement": list(_statements(DOCUMENTS[name], stack, partition))}


def _statements(rights: list[Right], stack: str, partition: str) -> Iterator[dict[str, Any]]:
    """Yield one statement for each kind of resource and condition."""
    groups: dict[tuple[str, str], tuple[Right, list[str]]] = {}
    for each in rights:
        key = each.resource, repr(each.condition)
        groups.setdefault(key, (each, []))[1].append(each.action)
    names = {"stack": stack, "bucket": stack.lower(), "partition": partition}
    for each, actions in groups.values():
        statement = {"Effect": "Allow", "Action": sorted(actions), "Resource": each.resource.format(**names)}
        condition = {
            operator: {key: _filled(value, names) for key, value in tests.items()}
            for operator, tests in each.condition.items()
        }
        yield statement | ({"Condition": condition} if condition else {})


def _filled(value: str | list[str], names: dict[str, str]) -> str | list[str]:
    return value.format(**names) if isinstance(value, str) else [each.format(**names) for each in value]
