"""What the emulator's own tests ask of it: fleets, zips, functions."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from test.cloud import Cloud

ROLE = "arn:aws:iam::123456789012:role/fleet"
IMAGE = "ami-12345678"


def specification(**more: Any) -> dict[str, Any]:
    return {"ImageId": IMAGE, "InstanceType": "m5.large"} | more


def fleet_config(capacity: int = 1, **more: Any) -> dict[str, Any]:
    config = {
        "TargetCapacity": capacity,
        "IamFleetRole": ROLE,
        "AllocationStrategy": "lowestPrice",
        "SpotPrice": "0.10",
        "LaunchSpecifications": [specification()],
    }
    return config | more


def request(ec2: Any, capacity: int = 1, **more: Any) -> str:
    return str(ec2.request_spot_fleet(SpotFleetRequestConfig=fleet_config(capacity, **more))["SpotFleetRequestId"])


def described(ec2: Any, fleet_id: str) -> dict[str, Any]:
    [fleet] = ec2.describe_spot_fleet_requests(SpotFleetRequestIds=[fleet_id])["SpotFleetRequestConfigs"]
    return dict(fleet)


def instances(ec2: Any, **asked: Any) -> list[dict[str, Any]]:
    pages = ec2.get_paginator("describe_instances").paginate(**asked)
    return [one for page in pages for group in page["Reservations"] for one in group["Instances"]]


def zipped(code: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", code)
    return buffer.getvalue()


def deploy(cloud: Cloud, code: str, name: str = "one", timeout_s: int = 10, permit: bool = True) -> str:
    """A function from source; its ARN."""
    trust = '{"Version": "2012-10-17", "Statement": []}'
    iam = cloud.client("iam")
    role = iam.create_role(RoleName=f"role-{name}", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    functions = cloud.client("lambda")
    arn = functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role,
        Handler="index.handler",
        Timeout=timeout_s,
        Code={"ZipFile": zipped(code)},
        Environment={"Variables": {"OWN": "variable"}},
    )["FunctionArn"]
    if permit:
        functions.add_permission(
            FunctionName=name, StatementId="rules", Action="lambda:InvokeFunction", Principal="events.amazonaws.com"
        )
    return str(arn)
