"""The bucket in a stack, and its policy."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from test.cloud.stack_kinds import Client, Kind, Made, Properties


class Bucket(Kind):
    NAME = "BucketName"
    CREATE_ONLY = ("BucketName",)

    def subject(self, name: str, properties: Properties) -> str:  # noqa: ARG002
        return name.lower()

    def create(self, client: Client, name: str, properties: Properties) -> Made:  # noqa: ARG002
        s3, bucket = client("s3"), name.lower()
        region = s3.meta.region_name
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=bucket, **place)
        return Made(bucket, {"Arn": f"arn:aws:s3:::{bucket}"})

    def finish(self, client: Client, made: Made, properties: Properties) -> Made:
        return self.update(client, made.physical_id, properties)

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
    """Translate CloudFormation's lifecycle configuration to S3's."""
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
    """Return a bucket's configuration, None if the bucket does not have it."""
    try:
        return call(Bucket=bucket)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise


class BucketPolicy(Kind):
    CREATE_ONLY = ("Bucket",)

    def subject(self, name: str, properties: Properties) -> str:  # noqa: ARG002
        return str(properties["Bucket"])

    def create(self, client: Client, name: str, properties: Properties) -> Made:  # noqa: ARG002
        s3, bucket = client("s3"), properties["Bucket"]
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(properties["PolicyDocument"]))
        return Made(bucket)

    update = create

    def read(self, client: Client, name: str) -> Properties | None:
        answered = _or_none(client("s3").get_bucket_policy, name)
        return answered and {"Bucket": name, "PolicyDocument": json.loads(answered["Policy"])}

    def delete(self, client: Client, name: str) -> None:
        client("s3").delete_bucket_policy(Bucket=name)
