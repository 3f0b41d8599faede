"""Requests of the emulator's own tests: fleets, zips, functions and permissions; and waiting for conditions."""

from __future__ import annotations

import io
import json
import time
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

from test.cloud import Cloud

ROLE = "arn:aws:iam::123456789012:role/fleet"
IMAGE = "ami-12345678"
HEAD = "import os, time\ndef handler(event, context):\n"
ECHO = HEAD + "    print('called with', event)\n    return [event, os.environ['OWN'], os.getpid()]"
RAISE = HEAD + "    raise ValueError('no')"
SLEEP = HEAD + "    time.sleep(3600)"  # a minute where rules fire by hand only (SPEED_BY_HAND)
Key = tuple[str, str]


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


def living(cloud: Cloud) -> set[str]:
    return {each["id"] for each in cloud.running_instances()}


def templated(cloud: Cloud, zone: str, capacity: int, on_demand: int, protected: bool) -> list[str]:
    """Create a fleet from a launch template in one zone; return its instances, On-Demand Instances first."""
    ec2, name = cloud.client("ec2"), f"template-{zone}-{protected}-{on_demand}"
    data = {"ImageId": "ami-12345678", "InstanceType": "m5.large", "DisableApiTermination": protected}
    ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
    config = fleet_config(capacity, OnDemandTargetCapacity=on_demand, Type="request")
    del config["LaunchSpecifications"]
    config["LaunchTemplateConfigs"] = [
        {
            "LaunchTemplateSpecification": {"LaunchTemplateName": name, "Version": "1"},
            "Overrides": [{"AvailabilityZone": f"us-east-1{zone}"}],
        }
    ]
    fleet = ec2.request_spot_fleet(SpotFleetRequestConfig=config)["SpotFleetRequestId"]
    found = instances(ec2, Filters=[{"Name": "tag:aws:ec2spot:fleet-request-id", "Values": [fleet]}])
    assert [each.get("InstanceLifecycle") for each in found] == [None] * on_demand + ["spot"] * (capacity - on_demand)
    return [each["InstanceId"] for each in found]


def zipped(code: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", code)
    return buffer.getvalue()


def deploy(cloud: Cloud, code: str, name: str = "one", timeout_s: int = 10, permit: bool = True) -> str:
    """Create a function from source; return its ARN."""
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


def template(ec2: Any, name: str = "", tags: dict[str, str] | None = None, **data: Any) -> str:
    """Create a launch template like `specification`; return its ID."""
    own = [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
    more = {"TagSpecifications": [{"ResourceType": "launch-template", "Tags": own}]} if own else {}
    made = ec2.create_launch_template(
        LaunchTemplateName=name or f"template-{uuid.uuid4()}", LaunchTemplateData=specification(**data), **more
    )
    return str(made["LaunchTemplate"]["LaunchTemplateId"])


def ec2_fleet_config(template_id: str, capacity: int = 1, **more: Any) -> dict[str, Any]:
    """Return a CreateFleet request for Spot Instances."""
    named = {"LaunchTemplateId": template_id, "Version": "1"}
    config = {
        "Type": "request",
        "LaunchTemplateConfigs": [{"LaunchTemplateSpecification": named}],
        "TargetCapacitySpecification": {"TotalTargetCapacity": capacity, "DefaultTargetCapacityType": "spot"},
    }
    return config | more


def create_fleet(ec2: Any, capacity: int = 1, **more: Any) -> str:
    """Create an EC2 Fleet with its own launch template; return its ID."""
    return str(ec2.create_fleet(**ec2_fleet_config(template(ec2), capacity, **more))["FleetId"])


def described_fleet(ec2: Any, fleet_id: str) -> dict[str, Any]:
    [fleet] = ec2.describe_fleets(FleetIds=[fleet_id])["Fleets"]
    return dict(fleet)


def delete(ec2: Any, *fleet_ids: str, terminate: bool = True) -> tuple[list[str], list[str]]:
    """Call DeleteFleets; return the new states and the codes of the failures."""
    response = ec2.delete_fleets(FleetIds=list(fleet_ids), TerminateInstances=terminate)
    good, bad = response["SuccessfulFleetDeletions"], response["UnsuccessfulFleetDeletions"]
    return [each["CurrentFleetState"] for each in good], [each["Error"]["Code"] for each in bad]


def until(what: str, holds: Callable[[], object], timeout_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline_s, f"not within {timeout_s} s: {what}"
        time.sleep(0.02)


def invoke(cloud: Cloud, name: str, event: object = None) -> tuple[object, str | None]:
    answer = cloud.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
    return json.loads(answer["Payload"].read()), answer.get("FunctionError")


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def of(cloud: Cloud, key: Key, service: str) -> Any:
    return cloud.client(service, key[0], 1, key[1])
