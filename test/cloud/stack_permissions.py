"""The permissions that CloudFormation's handlers need of its caller, besides those of the calls that ours make.

They are from AWS's own resource schemas (`handlers.*.permissions`, as published for each resource type; read in
November 2026 in pulumi/pulumi-aws-native, aws-cloudformation-schema/), without those for properties that our templates
do not set: KMS, VPCs, code in S3, replication, and so on.  AttachRolePolicy, DetachRolePolicy and PassRole are checked
by the calls themselves, which name the policy and the service.  A real handler may make calls that the emulated one
does not need, such as tagging with the stack's name.  So every permission is checked here, whether or not its call is
made.
"""

from __future__ import annotations

from collections.abc import Mapping

Verbs = Mapping[str, tuple[str, ...]]

ROLE_READ = ("iam:GetRole", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies", "iam:GetRolePolicy")
BUCKET_READ = (
    "s3:GetAccelerateConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetAnalyticsConfiguration",
    "s3:GetBucketCORS",
    "s3:GetEncryptionConfiguration",
    "s3:GetInventoryConfiguration",
    "s3:GetBucketLogging",
    "s3:GetMetricsConfiguration",
    "s3:GetBucketNotification",
    "s3:GetBucketVersioning",
    "s3:GetReplicationConfiguration",
    "s3:GetBucketWebsite",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketTagging",
    "s3:GetBucketOwnershipControls",
    "s3:GetIntelligentTieringConfiguration",
    "s3:GetBucketMetadataTableConfiguration",
    "s3:GetBucketAbac",
    "s3:ListTagsForResource",
    "s3:ListBucket",
)
BUCKET_PUT = (
    "s3:PutBucketTagging",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketOwnershipControls",
    "s3:ListBucket",
)
HANDLERS: Mapping[str, Verbs] = {
    "AWS::EC2::SecurityGroup": {
        "create": (
            "ec2:CreateSecurityGroup",
            "ec2:DescribeSecurityGroups",
            "ec2:CreateTags",
            "ec2:AuthorizeSecurityGroupEgress",
            "ec2:RevokeSecurityGroupEgress",
        ),
        "read": ("ec2:DescribeSecurityGroups",),
        "update": ("ec2:DescribeSecurityGroups",),
        "delete": ("ec2:DescribeSecurityGroups", "ec2:DeleteSecurityGroup", "ec2:DescribeInstances"),
    },
    # From 2024, in commit 0d8c3d79 there: today's schema of this type shows no handlers.
    "AWS::Events::Rule": {
        "create": ("events:DescribeRule", "events:PutRule", "events:PutTargets"),
        "read": ("events:DescribeRule", "events:ListTargetsByRule"),
        "update": ("events:DescribeRule", "events:PutRule", "events:RemoveTargets", "events:PutTargets"),
        "delete": ("events:DescribeRule", "events:DeleteRule", "events:RemoveTargets", "events:ListTargetsByRule"),
    },
    "AWS::IAM::InstanceProfile": {
        "create": ("iam:CreateInstanceProfile", "iam:AddRoleToInstanceProfile", "iam:GetInstanceProfile"),
        "read": ("iam:GetInstanceProfile",),
        "update": (
            "iam:RemoveRoleFromInstanceProfile",
            "iam:AddRoleToInstanceProfile",
            "iam:GetInstanceProfile",
        ),
        "delete": ("iam:GetInstanceProfile", "iam:RemoveRoleFromInstanceProfile", "iam:DeleteInstanceProfile"),
    },
    "AWS::IAM::Role": {
        "create": ("iam:CreateRole", "iam:PutRolePolicy", *ROLE_READ),
        "read": ROLE_READ,
        "update": (
            "iam:UpdateAssumeRolePolicy",
            "iam:DeleteRolePolicy",
            "iam:PutRolePolicy",
            *ROLE_READ,
        ),
        "delete": ("iam:DeleteRole", "iam:DeleteRolePolicy", *ROLE_READ[:3]),
    },
    "AWS::IAM::RolePolicy": {
        "create": ("iam:PutRolePolicy", "iam:GetRolePolicy"),
        "read": ("iam:GetRolePolicy",),
        "update": ("iam:PutRolePolicy", "iam:GetRolePolicy"),
        "delete": ("iam:DeleteRolePolicy", "iam:GetRolePolicy"),
    },
    "AWS::Lambda::EventInvokeConfig": {
        "create": ("lambda:PutFunctionEventInvokeConfig",),
        "read": ("lambda:GetFunctionEventInvokeConfig",),
        "update": ("lambda:UpdateFunctionEventInvokeConfig",),
        "delete": ("lambda:DeleteFunctionEventInvokeConfig",),
    },
    "AWS::Lambda::Function": {
        "create": (
            "lambda:CreateFunction",
            "lambda:GetFunction",
            "lambda:GetFunctionCodeSigningConfig",
            "lambda:GetRuntimeManagementConfig",
            "lambda:TagResource",
        ),
        "read": (
            "lambda:GetFunction",
            "lambda:GetFunctionCodeSigningConfig",
            "lambda:GetFunctionRecursionConfig",
            "lambda:GetFunctionScalingConfig",
        ),
        "update": (
            "lambda:GetFunction",
            "lambda:ListTags",
            "lambda:TagResource",
            "lambda:UpdateFunctionConfiguration",
            "lambda:UpdateFunctionCode",
            "lambda:GetRuntimeManagementConfig",
            "lambda:GetFunctionCodeSigningConfig",
        ),
        "delete": ("lambda:DeleteFunction", "lambda:GetFunction"),
    },
    "AWS::Lambda::Permission": {
        "create": ("lambda:AddPermission",),
        "read": ("lambda:GetPolicy",),
        "delete": ("lambda:RemovePermission",),
    },
    "AWS::Logs::LogGroup": {
        "create": ("logs:DescribeLogGroups", "logs:CreateLogGroup", "logs:PutRetentionPolicy", "logs:TagResource"),
        "read": (
            "logs:DescribeLogGroups",
            "logs:ListTagsForResource",
            "logs:GetDataProtectionPolicy",
            "logs:DescribeIndexPolicies",
            "logs:DescribeResourcePolicies",
        ),
        "update": ("logs:DescribeLogGroups", "logs:PutRetentionPolicy", "logs:TagResource"),
        "delete": ("logs:DescribeLogGroups", "logs:DeleteLogGroup"),
    },
    "AWS::S3::Bucket": {
        "create": ("s3:CreateBucket", "s3:TagResource", *BUCKET_PUT),
        "read": BUCKET_READ,
        "update": BUCKET_PUT,
        "delete": ("s3:DeleteBucket", "s3:ListBucket"),
    },
    "AWS::S3::BucketPolicy": {
        "create": ("s3:GetBucketPolicy", "s3:PutBucketPolicy"),
        "read": ("s3:GetBucketPolicy",),
        "update": ("s3:GetBucketPolicy", "s3:PutBucketPolicy"),
        "delete": ("s3:GetBucketPolicy", "s3:DeleteBucketPolicy"),
    },
}
ARNS = {
    "AWS::EC2::SecurityGroup": "arn:aws:ec2:{region}:{account}:security-group/{name}",
    "AWS::Events::Rule": "arn:aws:events:{region}:{account}:rule/{name}",
    "AWS::IAM::InstanceProfile": "arn:aws:iam::{account}:instance-profile/{name}",
    "AWS::IAM::Role": "arn:aws:iam::{account}:role/{name}",
    "AWS::IAM::RolePolicy": "arn:aws:iam::{account}:role/{name}",
    "AWS::Lambda::EventInvokeConfig": "arn:aws:lambda:{region}:{account}:function:{name}",
    "AWS::Lambda::Function": "arn:aws:lambda:{region}:{account}:function:{name}",
    "AWS::Lambda::Permission": "arn:aws:lambda:{region}:{account}:function:{name}",
    "AWS::Logs::LogGroup": "arn:aws:logs:{region}:{account}:log-group:{name}:*",
    "AWS::S3::Bucket": "arn:aws:s3:::{name}",
    "AWS::S3::BucketPolicy": "arn:aws:s3:::{name}",
}
ON_ANYTHING = ("ec2:Describe", "logs:Describe")  # AWS supports no narrower resource for these


def needed(kind: str, verb: str, name: str, region: str, account: str) -> list[tuple[str, str]]:
    """Return the (action, resource) pairs; `name` is the resource's `Kind.subject`."""
    arn = ARNS[kind].format(name=name, region=region, account=account)
    return [(action, "*" if action.startswith(ON_ANYTHING) else arn) for action in HANDLERS.get(kind, {}).get(verb, ())]
