"""The parts that the CloudFormation templates are put together from.  What a reader of a template may ask, since JSON
takes no comments:

* The function's Timeout is less than the five minutes between two ticks: runs for one lease do not pile up.
* No ReservedConcurrentExecutions: a new account has 10 in all, and to reserve any fails the deployment.
* Lambda's own two retries of a failed asynchronous call are left on: they finish a run that was cut off
  between removing the target and removing the rule, which no tick would reach again.
* TerminateInstances is allowed for instances of Spot Fleets only: an aws: tag cannot be set by hand.  This
  is the condition that AWS's own AWSEC2SpotFleetServiceRolePolicy has.
* The Describe calls with Resource "*" know no narrower resource.
* No name is given to anything: CloudFormation makes names that begin with the stack's, so that two stacks in one
  account, or in two regions of it, never meet, and a policy can still say which are meant.
* The instance role's policy is a resource of its own: inside the role, it could not name the role.
* No instance may list the bucket: an instance reads the one object whose name its own tag tells.
"""

from __future__ import annotations

from typing import Any

Part = dict[str, Any]

POLICY_VERSION = "2012-10-17"
LONGEST_LEASE_DAYS = 30  # ANNEX_MAX_LEASE's default; the lease function tries for a day more to delete the object
TAGGING_POLICY = "policy/service-role/AmazonEC2SpotFleetTaggingRole"


def sub(text: str) -> Part:
    return {"Fn::Sub": text}


def attribute(resource: str, name: str) -> Part:
    return {"Fn::GetAtt": [resource, name]}


def arn(service: str, resource: str) -> Part:
    return sub(f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{resource}")


def statement(actions: list[str], resource: Any, **more: Any) -> Part:
    return {"Effect": "Allow", "Action": actions, "Resource": resource, **more}


def document(*statements: Part) -> Part:
    return {"Version": POLICY_VERSION, "Statement": list(statements)}


def trust(service: str) -> Part:
    """Who may take a role."""
    return document({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})


def lease_permissions() -> list[Part]:
    """What lease.py calls, and nothing else."""
    own_fleets = {"StringLike": {"ec2:ResourceTag/aws:ec2spot:fleet-request-id": "sfr-*"}}
    return [
        statement(["ec2:DescribeSpotFleetRequests", "ec2:DescribeInstances"], "*"),
        statement(
            ["ec2:CancelSpotFleetRequests", "ec2:DescribeSpotFleetInstances"], arn("ec2", "spot-fleet-request/*")
        ),
        statement(["ec2:TerminateInstances"], arn("ec2", "instance/*"), Condition=own_fleets),
        statement(["events:RemoveTargets", "events:DeleteRule"], arn("events", "rule/*")),
        statement(["logs:CreateLogStream", "logs:PutLogEvents"], attribute("LeaseLog", "Arn")),
    ]


def lease_role(permissions: list[Part]) -> Part:
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": trust("lambda.amazonaws.com"),
            "Policies": [{"PolicyName": "EndAnnexes", "PolicyDocument": document(*permissions)}],
        },
    }


def lease_function(code: str, runtime: str) -> Part:
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Description": "Ends an HTCondor annex when its lease is over, and sees that it is gone",
            "Runtime": runtime,
            "Handler": "index.handler",
            "Code": {"ZipFile": code},
            "Role": attribute("LeaseRole", "Arn"),
            "Timeout": 240,
            "MemorySize": 256,
            "LoggingConfig": {"LogGroup": {"Ref": "LeaseLog"}},
        },
    }


def lease_permission() -> Part:
    return {
        "Type": "AWS::Lambda::Permission",
        "Properties": {
            "Action": "lambda:InvokeFunction",
            "FunctionName": attribute("LeaseFunction", "Arn"),
            "Principal": "events.amazonaws.com",
            "SourceArn": arn("events", "rule/*"),
        },
    }


def lease_resources(code: str, runtime: str, permissions: list[Part]) -> Part:
    return {
        "LeaseLog": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 90}},
        "LeaseRole": lease_role(permissions),
        "LeaseFunction": lease_function(code, runtime),
        "LeasePermission": lease_permission(),
    }


def bucket() -> Part:
    """Private, encrypted, and forgetful."""
    encryption = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    expiry = {
        "Id": "ExpireAnnexes",
        "Prefix": "annex/",
        "Status": "Enabled",
        "ExpirationInDays": LONGEST_LEASE_DAYS + 2,
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }
    closed = ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"]
    return {
        "Type": "AWS::S3::Bucket",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {
            "BucketEncryption": {"ServerSideEncryptionConfiguration": [encryption]},
            "LifecycleConfiguration": {"Rules": [expiry]},
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "PublicAccessBlockConfiguration": dict.fromkeys(closed, True),
        },
    }


def bucket_policy() -> Part:
    """Nothing of it goes over a wire in the clear."""
    refusal = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [attribute("Bucket", "Arn"), sub("${Bucket.Arn}/*")],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {"Bucket": {"Ref": "Bucket"}, "PolicyDocument": document(refusal)},
    }


def instance_resources(permissions: list[Part]) -> Part:
    """A role for instances, with these permissions and the right to look at them; and its profile."""
    introspection = ["iam:ListRolePolicies", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies"]
    policy = document(*permissions, statement(introspection, attribute("InstanceRole", "Arn")))
    role = {"Ref": "InstanceRole"}
    return {
        "InstanceRole": {
            "Type": "AWS::IAM::Role",
            "Properties": {"AssumeRolePolicyDocument": trust("ec2.amazonaws.com")},
        },
        "InstancePolicy": {
            "Type": "AWS::IAM::RolePolicy",
            "Properties": {"PolicyName": "ReadConfiguration", "RoleName": role, "PolicyDocument": policy},
        },
        "InstanceProfile": {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": [role]}},
    }


def security_group() -> Part:
    """Of the default VPC.  Without inbound rules, and so without a way in: instances connect out."""
    return {
        "Type": "AWS::EC2::SecurityGroup",
        "Properties": {"GroupDescription": "HTCondor annexes: nothing comes in, instances connect to their pool"},
    }


def fleet_role() -> Part:
    """What Spot Fleet launches, tags and ends instances with."""
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": trust("spotfleet.amazonaws.com"),
            "ManagedPolicyArns": [sub(f"arn:${{AWS::Partition}}:iam::aws:{TAGGING_POLICY}")],
        },
    }


def template(description: str, resources: Part, outputs: dict[str, tuple[str, Part]]) -> Part:
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": description,
        "Resources": resources,
        "Outputs": {name: {"Description": words, "Value": value} for name, (words, value) in outputs.items()},
    }
