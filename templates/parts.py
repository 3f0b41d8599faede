"""Define the parts of the CloudFormation templates, with the reasons, since JSON takes no comments.

One enforcer per region and account:
* Function, rule and log group have fixed names, whatever the stack's name: annexd finds the log by the function's
  ARN, and CloudFormation refuses a second stack.  All other resources have names that begin with the stack's.
* The rule is created last, after the permission and the settings of its calls, so that its first tick succeeds; it is
  deleted first.  No property whose change replaces a resource (a name, a path, the function of a permission) may ever
  change: an update would delete an enforcer, or fail since the name exists.  CloudFormation updates role and function
  in place, and the old code runs until the new one is active; the next tick repeats a run that fails meanwhile.

The function:
* Timeout 240 is less than the five minutes between two ticks: runs do not pile up.  1,024 MB: see docs/performance.md.
* The next tick is the retry: neither Lambda nor EventBridge retries a call, or queues one for longer than a tick.
* No ReservedConcurrentExecutions: a new account has only 10, and reserving any fails the deployment.
* Its environment comes from the stack: MaxLease, and the bucket if there is one.

Rights:
* CancelSpotFleetRequests and DeleteFleets on `*` without a condition: tags of a fleet can be removed, and a fleet
  without tags could not be ended; EC2's user guide also warns that spot-fleet-request as a resource is refused.
* Instances are terminated, stamped and unprotected only if a fleet started them: an aws: tag cannot be set by hand.
  AWS's own AWSEC2SpotFleetServiceRolePolicy and AWSEC2FleetServiceRolePolicy have these conditions.  DeleteFleets
  requires TerminateInstances of its caller (EC2 user guide, "Troubleshoot when a fleet fails to delete"); if this grant
  is too narrow, the function deletes fleets without their instances and terminates those one by one.
* Launch templates are deleted only with annexd's tag: one without it costs nothing.
* It may write only the tags in lease.py's STAMPS.
* The Describe calls support no narrower resource than `*`.
* The instance role's policy is a resource of its own: inside the role, it could not name the role.
* The instance profile's path contains the bucket.  The metadata service gives an instance the ARN of its profile with
  the path, so no call is needed.  A call to IAM would need permission and a route to IAM, for which there is no VPC
  endpoint outside of us-east-1 (IAM user guide, "Interface VPC endpoints"); and IAM throttles the whole account.
  A path is not a custom name: CAPABILITY_IAM is enough (CloudFormation API, CreateStack, Capabilities).
* No instance may list the bucket: an instance reads only the object that its own tag, or its fleet's, names.
"""

from __future__ import annotations

from typing import Any

Part = dict[str, Any]

POLICY_VERSION = "2012-10-17"
NAME = "HTCondorAnnexLease"  # of the function and its rule
LOG_GROUP = f"/aws/lambda/{NAME}"
DAY_S = 86_400
DEFAULT_MAX_LEASE_S = 30 * DAY_S  # the same as ANNEX_MAX_LEASE's
SHORTEST_MAX_LEASE_S = 600  # annexd accepts no lease shorter than two ticks
OBJECT_DAYS = 32  # expiry of objects that the function did not delete
LONGEST_MAX_LEASE_S = (OBJECT_DAYS - 1) * DAY_S  # no machine outlives the object with its end
MAX_LEASE = "MaxLease"
VPC_ID = "VpcId"
SUBNET_IDS = "SubnetIds"
OWN_VPC = "OwnVpc"  # the condition that a VPC was chosen
STAMPS = ["htcondor:annex-fleet", "htcondor:annex-id", "htcondor:annex-lease-end"]  # STAMPS of lambda/lease.py
FLEET_TAGS = {"aws:ec2spot:fleet-request-id": "sfr-", "aws:ec2:fleet-id": "fleet-"}  # KINDS of lambda/lease.py
EVENT_AGE_S = 300
FUNCTION_DESCRIPTION = "Ends every HTCondor annex whose lease is over, and verifies it"
PROFILE_PATH = "/htcondor-annex/${Bucket}/"  # as bin/condor-annex-ec2 reads it
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
    """Return a trust policy: only this service may assume the role."""
    return document({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})


def parameters() -> Part:
    """Return the parameters of the enforcer."""
    description = (
        "Maximum lifetime of an annex in seconds, whatever changes the end of its lease.  "
        f"At most {LONGEST_MAX_LEASE_S // DAY_S} days: the bucket deletes objects after {OBJECT_DAYS}."
    )
    limits = {"MinValue": SHORTEST_MAX_LEASE_S, "MaxValue": LONGEST_MAX_LEASE_S}
    return {MAX_LEASE: {"Type": "Number", "Default": DEFAULT_MAX_LEASE_S, **limits, "Description": description}}


def network_parameters() -> Part:
    """Return the parameters of the network: a VPC and its subnets, both empty for the default VPC."""
    description = "The machines' VPC and subnets, separated by commas; empty: the default VPC."
    one = "subnet-[0-9a-f]+"
    return {
        VPC_ID: {"Type": "String", "Default": "", "AllowedPattern": "(vpc-[0-9a-f]+)?", "Description": description},
        SUBNET_IDS: {"Type": "String", "Default": "", "AllowedPattern": f"({one}(,{one})*)?"},
    }


def network_conditions() -> Part:
    return {OWN_VPC: {"Fn::Not": [{"Fn::Equals": [{"Ref": VPC_ID}, ""]}]}}


def lease_permissions() -> list[Part]:
    """Return the permissions for lease.py's calls, and no others."""
    stamps = {
        "ForAllValues:StringEquals": {"aws:TagKeys": STAMPS},
        "Null": {"aws:TagKeys": "false"},  # ForAllValues alone is true without keys
    }
    instances, templates = arn("ec2", "instance/*"), arn("ec2", "launch-template/*")
    own = {"StringLike": {"ec2:ResourceTag/htcondor:annex-id": "*"}}
    fleets = [
        statement(actions, instances, Condition={"StringLike": {f"ec2:ResourceTag/{tag}": f"{prefix}*"}, **more})
        for tag, prefix in FLEET_TAGS.items()
        for actions, more in (
            (["ec2:TerminateInstances", "ec2:ModifyInstanceAttribute"], {}),
            (["ec2:CreateTags"], stamps),
        )
    ]
    return [
        statement(["ec2:DescribeSpotFleetRequests", "ec2:DescribeFleets", "ec2:DescribeInstances"], "*"),
        statement(["ec2:DescribeLaunchTemplates", "ec2:CancelSpotFleetRequests", "ec2:DeleteFleets"], "*"),
        *fleets,
        statement(["ec2:DeleteLaunchTemplate"], templates, Condition=own),
        statement(["logs:CreateLogStream", "logs:PutLogEvents"], attribute("LeaseLog", "Arn")),
    ]


def object_permissions() -> list[Part]:
    """Return the permissions for objects, if there is a bucket."""
    listed = {"StringLike": {"s3:prefix": "annex/*"}}
    return [
        statement(["s3:ListBucket"], attribute("Bucket", "Arn"), Condition=listed),
        statement(["s3:DeleteObject"], sub("${Bucket.Arn}/annex/*")),
    ]


def lease_role(permissions: list[Part]) -> Part:
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": trust("lambda.amazonaws.com"),
            "Policies": [{"PolicyName": "EndAnnexes", "PolicyDocument": document(*permissions)}],
        },
    }


def lease_function(code: str, runtime: str, more: Part) -> Part:
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "FunctionName": NAME,
            "Description": FUNCTION_DESCRIPTION,
            "Runtime": runtime,
            "Handler": "index.handler",
            "Code": {"ZipFile": code},
            "Role": attribute("LeaseRole", "Arn"),
            "Timeout": 240,
            "MemorySize": 1024,
            "Environment": {"Variables": {"MAX_LEASE_S": {"Ref": MAX_LEASE}, **more}},
            "LoggingConfig": {"LogGroup": {"Ref": "LeaseLog"}},
        },
    }


def lease_calls() -> Part:
    return {
        "Type": "AWS::Lambda::EventInvokeConfig",
        "Properties": {
            "FunctionName": {"Ref": "LeaseFunction"},
            "Qualifier": "$LATEST",
            "MaximumRetryAttempts": 0,
            "MaximumEventAgeInSeconds": EVENT_AGE_S,
        },
    }


def lease_permission() -> Part:
    return {
        "Type": "AWS::Lambda::Permission",
        "Properties": {
            "Action": "lambda:InvokeFunction",
            "FunctionName": attribute("LeaseFunction", "Arn"),
            "Principal": "events.amazonaws.com",
            "SourceArn": arn("events", f"rule/{NAME}"),
        },
    }


def lease_rule() -> Part:
    patience = {"MaximumEventAgeInSeconds": EVENT_AGE_S, "MaximumRetryAttempts": 0}
    target = {"Id": NAME, "Arn": attribute("LeaseFunction", "Arn"), "RetryPolicy": patience}
    return {
        "Type": "AWS::Events::Rule",
        "DependsOn": ["LeasePermission", "LeaseCalls"],
        "Properties": {
            "Name": NAME,
            "Description": "Calls the function that ends HTCondor annexes",
            "ScheduleExpression": "rate(5 minutes)",
            "State": "ENABLED",
            "Targets": [target],
        },
    }


def lease_resources(code: str, runtime: str, permissions: list[Part], variables: Part | None = None) -> Part:
    """Return the enforcer's resources; `variables` are added to its environment."""
    return {
        "LeaseLog": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": LOG_GROUP, "RetentionInDays": 90}},
        "LeaseRole": lease_role(permissions),
        "LeaseFunction": lease_function(code, runtime, variables or {}),
        "LeaseCalls": lease_calls(),
        "LeasePermission": lease_permission(),
        "LeaseRule": lease_rule(),
    }


def bucket() -> Part:
    """Return a private, encrypted bucket whose objects expire."""
    encryption = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    expiry = {
        "Id": "ExpireAnnexes",
        "Prefix": "annex/",
        "Status": "Enabled",
        "ExpirationInDays": OBJECT_DAYS,
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
    """Return the bucket policy: TLS is required."""
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


def introspection() -> Part:
    """Return an instance's right to read its own permissions, which show the object to read."""
    actions = ["iam:ListRolePolicies", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies"]
    return statement(actions, attribute("InstanceRole", "Arn"))


def instance_resources(permissions: list[Part], path: Part | None = None) -> Part:
    """Return a role for instances with these permissions, and its profile with a path."""
    policy = document(*permissions)
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
        "InstanceProfile": {
            "Type": "AWS::IAM::InstanceProfile",
            "Properties": {"Roles": [role], **({"Path": path} if path else {})},
        },
    }


def security_group() -> Part:
    """Return the security group, in the default VPC or the chosen one, without inbound rules.

    It has no custom name, so that an update to another VPC creates the new one before the old one is deleted.
    """
    description = "HTCondor annexes: nothing comes in, instances connect to their pool"
    vpc = {"Fn::If": [OWN_VPC, {"Ref": VPC_ID}, {"Ref": "AWS::NoValue"}]}
    return {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": description, "VpcId": vpc}}


def fleet_role() -> Part:
    """Return the role with which Spot Fleet launches, tags and ends instances."""
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": trust("spotfleet.amazonaws.com"),
            "ManagedPolicyArns": [sub(f"arn:${{AWS::Partition}}:iam::aws:{TAGGING_POLICY}")],
        },
    }


def template(
    description: str, given: Part, resources: Part, outputs: dict[str, tuple[str, Part]], conditions: Part | None = None
) -> Part:
    """Return a template; `given` are its parameters."""
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": description,
        **({"Parameters": given} if given else {}),
        **({"Conditions": conditions} if conditions else {}),
        "Resources": resources,
        "Outputs": {
            name: {"Description": description, "Value": value} for name, (description, value) in outputs.items()
        },
    }
