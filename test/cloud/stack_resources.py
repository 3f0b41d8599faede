"""The resource types that our templates have: how CloudFormation makes, changes, reads and removes each.

By calls to the services themselves, with the keys of whoever called CloudFormation, as AWS does it: so that
what they may not do fails here too, and why.  Which calls those are is from the handlers' permissions in AWS's
own resource schemas.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

Client = Callable[[str], Any]
Properties = dict[str, Any]
GONE = frozenset(
    {
        "NoSuchEntity",
        "NoSuchBucket",
        "NoSuchBucketPolicy",
        "ResourceNotFoundException",
        "InvalidGroup.NotFound",
        "404",
    }
)


@dataclass
class Made:
    """A resource that exists: what Ref and Fn::GetAtt give."""

    physical_id: str
    attributes: dict[str, str] = field(default_factory=dict)


def is_gone(error: ClientError) -> bool:
    return error.response["Error"]["Code"] in GONE


class LogGroup:
    def create(self, client: Client, name: str, properties: Properties) -> Made:
        logs = client("logs")
        logs.create_log_group(logGroupName=name)
        return self.update(client, name, properties)

    def update(self, client: Client, name: str, properties: Properties) -> Made:
        logs = client("logs")
        logs.put_retention_policy(logGroupName=name, retentionInDays=properties["RetentionInDays"])
        [group] = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        return Made(name, {"Arn": group["arn"]})

    def read(self, client: Client, name: str) -> Properties | None:
        groups = client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        return {"RetentionInDays": groups[0].get("retentionInDays")} if groups else None

    def delete(self, client: Client, name: str) -> None:
        client("logs").delete_log_group(logGroupName=name)


class Role:
    def create(self, client: Client, name: str, properties: Properties) -> Made:
        iam = client("iam")
        trust = json.dumps(properties["AssumeRolePolicyDocument"])
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
        return self._put(iam, name, properties)

    def update(self, client: Client, name: str, properties: Properties) -> Made:
        iam = client("iam")
        trust = json.dumps(properties["AssumeRolePolicyDocument"])
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
        wanted = {each["PolicyName"] for each in properties.get("Policies", [])}
        for policy in set(iam.list_role_policies(RoleName=name)["PolicyNames"]) - wanted:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
            if policy["PolicyArn"] not in properties.get("ManagedPolicyArns", []):
                iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
        return self._put(iam, name, properties)

    def _put(self, iam: Any, name: str, properties: Properties) -> Made:
        for policy in properties.get("Policies", []):
            document = json.dumps(policy["PolicyDocument"])
            iam.put_role_policy(RoleName=name, PolicyName=policy["PolicyName"], PolicyDocument=document)
        for policy_arn in properties.get("ManagedPolicyArns", []):
            iam.attach_role_policy(RoleName=name, PolicyArn=policy_arn)
        return Made(name, {"Arn": iam.get_role(RoleName=name)["Role"]["Arn"]})

    def read(self, client: Client, name: str) -> Properties | None:
        iam = client("iam")
        role = iam.get_role(RoleName=name)["Role"]
        names = iam.list_role_policies(RoleName=name)["PolicyNames"]
        documents = {each: iam.get_role_policy(RoleName=name, PolicyName=each)["PolicyDocument"] for each in names}
        attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        return {
            "AssumeRolePolicyDocument": role["AssumeRolePolicyDocument"],
            "Policies": [{"PolicyName": each, "PolicyDocument": documents[each]} for each in names],
            "ManagedPolicyArns": [each["PolicyArn"] for each in attached],
        }

    def delete(self, client: Client, name: str) -> None:
        iam = client("iam")
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
        iam.delete_role(RoleName=name)


class RolePolicy:
    """Its physical ID names both: policy|role."""

    def create(self, client: Client, name: str, properties: Properties) -> Made:  # noqa: ARG002
        role, policy = properties["RoleName"], properties["PolicyName"]
        document = json.dumps(properties["PolicyDocument"])
        client("iam").put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=document)
        return Made(f"{policy}|{role}")

    update = create

    def read(self, client: Client, name: str) -> Properties | None:
        policy, role = name.split("|")
        told = client("iam").get_role_policy(RoleName=role, PolicyName=policy)
        return {"PolicyName": policy, "RoleName": role, "PolicyDocument": told["PolicyDocument"]}

    def delete(self, client: Client, name: str) -> None:
        policy, role = name.split("|")
        client("iam").delete_role_policy(RoleName=role, PolicyName=policy)


class InstanceProfile:
    def create(self, client: Client, name: str, properties: Properties) -> Made:
        iam = client("iam")
        made = iam.create_instance_profile(InstanceProfileName=name)["InstanceProfile"]
        for role in properties["Roles"]:
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)
        return Made(name, {"Arn": made["Arn"]})

    def update(self, client: Client, name: str, properties: Properties) -> Made:
        iam = client("iam")
        profile = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
        if [role["RoleName"] for role in profile["Roles"]] != properties["Roles"]:
            for role in profile["Roles"]:
                iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role["RoleName"])
            for role_name in properties["Roles"]:
                iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role_name)
        return Made(name, {"Arn": profile["Arn"]})

    def read(self, client: Client, name: str) -> Properties | None:
        profile = client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
        return {"Roles": [role["RoleName"] for role in profile["Roles"]]}

    def delete(self, client: Client, name: str) -> None:
        iam = client("iam")
        for role in iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"]:
            iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role["RoleName"])
        iam.delete_instance_profile(InstanceProfileName=name)


class Function:
    SETTINGS = ("Description", "Runtime", "Handler", "Role", "Timeout", "MemorySize", "LoggingConfig")

    def create(self, client: Client, name: str, properties: Properties) -> Made:
        settings = {key: properties[key] for key in self.SETTINGS if key in properties}
        code = {"ZipFile": zipped(properties["Code"]["ZipFile"])}
        made = client("lambda").create_function(FunctionName=name, Code=code, **settings)
        return Made(name, {"Arn": made["FunctionArn"]})

    def update(self, client: Client, name: str, properties: Properties) -> Made:
        functions = client("lambda")
        settings = {key: properties[key] for key in self.SETTINGS if key in properties}
        functions.update_function_code(FunctionName=name, ZipFile=zipped(properties["Code"]["ZipFile"]))
        made = functions.update_function_configuration(FunctionName=name, **settings)
        return Made(name, {"Arn": made["FunctionArn"]})

    def read(self, client: Client, name: str) -> Properties | None:
        """Without the code: it is a write-only property, which is why drift detection does not see it change."""
        told = client("lambda").get_function(FunctionName=name)["Configuration"]
        return {key: told.get(key) for key in self.SETTINGS if key != "LoggingConfig"}

    def delete(self, client: Client, name: str) -> None:
        client("lambda").delete_function(FunctionName=name)


def zipped(code: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("index.py"), code)
    return buffer.getvalue()


class Permission:
    """Its physical ID: statement|function."""

    def create(self, client: Client, name: str, properties: Properties) -> Made:
        client("lambda").add_permission(StatementId=name, **properties)
        return Made(f"{name}|{properties['FunctionName']}")

    def update(self, client: Client, name: str, properties: Properties) -> Made:
        self.delete(client, name)
        return self.create(client, name.split("|")[0], properties)

    def read(self, client: Client, name: str) -> Properties | None:
        statement_id, function = name.split("|")
        policy = json.loads(client("lambda").get_policy(FunctionName=function)["Policy"])
        return next(({} for each in policy["Statement"] if each["Sid"] == statement_id), None)

    def delete(self, client: Client, name: str) -> None:
        statement_id, function = name.split("|")
        client("lambda").remove_permission(FunctionName=function, StatementId=statement_id)


class Bucket:
    def create(self, client: Client, name: str, properties: Properties) -> Made:
        s3, bucket = client("s3"), name.lower()
        region = s3.meta.region_name
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=bucket, **place)
        return self.update(client, bucket, properties)

    def update(self, client: Client, name: str, properties: Properties) -> Made:
        s3 = client("s3")
        closed, expiry = properties["PublicAccessBlockConfiguration"], properties["LifecycleConfiguration"]
        encryption = {"Rules": _encryption(properties)}
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=closed)
        s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls=properties["OwnershipControls"])
        s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration=encryption)
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration=_lifecycle(expiry))
        return Made(name, {"Arn": f"arn:aws:s3:::{name}"})

    def read(self, client: Client, name: str) -> Properties | None:
        s3 = client("s3")
        s3.head_bucket(Bucket=name)
        block = _or_none(s3.get_public_access_block, name)
        encryption = _or_none(s3.get_bucket_encryption, name)
        expiry = _or_none(s3.get_bucket_lifecycle_configuration, name)
        rules = [] if expiry is None else [{"Id": rule["ID"], "Status": rule["Status"]} for rule in expiry["Rules"]]
        return {
            "PublicAccessBlockConfiguration": block and block["PublicAccessBlockConfiguration"],
            "BucketEncryption": encryption is not None,
            "LifecycleConfiguration": rules,
        }

    def delete(self, client: Client, name: str) -> None:
        client("s3").delete_bucket(Bucket=name)


def _encryption(properties: Properties) -> list[Any]:
    rules = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    return [{"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]} for rule in rules]


def _lifecycle(configuration: Properties) -> Properties:
    """CloudFormation's words in S3's."""
    return {
        "Rules": [
            {
                "ID": rule["Id"],
                "Status": rule["Status"],
                "Filter": {"Prefix": rule["Prefix"]},
                "Expiration": {"Days": rule["ExpirationInDays"]},
                "AbortIncompleteMultipartUpload": rule["AbortIncompleteMultipartUpload"],
            }
            for rule in configuration["Rules"]
        ]
    }


def _or_none(call: Callable[..., Properties], bucket: str) -> Properties | None:
    """None for what a bucket has not got."""
    try:
        return call(Bucket=bucket)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise


class BucketPolicy:
    def create(self, client: Client, name: str, properties: Properties) -> Made:  # noqa: ARG002
        s3, bucket = client("s3"), properties["Bucket"]
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(properties["PolicyDocument"]))
        return Made(bucket)

    update = create

    def read(self, client: Client, name: str) -> Properties | None:
        told = _or_none(client("s3").get_bucket_policy, name)
        return told and {"Bucket": name, "PolicyDocument": json.loads(told["Policy"])}

    def delete(self, client: Client, name: str) -> None:
        client("s3").delete_bucket_policy(Bucket=name)


class SecurityGroup:
    def create(self, client: Client, name: str, properties: Properties) -> Made:
        ec2, description = client("ec2"), properties["GroupDescription"]
        group_id = ec2.create_security_group(GroupName=name, Description=description)["GroupId"]
        ec2.describe_security_groups(GroupIds=[group_id])
        return Made(group_id, {"GroupId": group_id})

    def update(self, client: Client, name: str, properties: Properties) -> Made:  # noqa: ARG002
        return Made(name, {"GroupId": name})

    def read(self, client: Client, name: str) -> Properties | None:
        [group] = client("ec2").describe_security_groups(GroupIds=[name])["SecurityGroups"]
        return {"GroupDescription": group["Description"], "SecurityGroupIngress": group["IpPermissions"]}

    def delete(self, client: Client, name: str) -> None:
        client("ec2").delete_security_group(GroupId=name)


TYPES: dict[str, Any] = {
    "AWS::EC2::SecurityGroup": SecurityGroup(),
    "AWS::IAM::InstanceProfile": InstanceProfile(),
    "AWS::IAM::Role": Role(),
    "AWS::IAM::RolePolicy": RolePolicy(),
    "AWS::Lambda::Function": Function(),
    "AWS::Lambda::Permission": Permission(),
    "AWS::Logs::LogGroup": LogGroup(),
    "AWS::S3::Bucket": Bucket(),
    "AWS::S3::BucketPolicy": BucketPolicy(),
}
