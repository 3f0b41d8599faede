"""Test that the fast AWS responds like the emulated one, call by call, so that the histories apply to both."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from annexd.annex.lease.heartbeat import RECEIPT, log_group_of
from annexd.aws import ClientCache, Credentials, Endpoints, SecretKey
from test.cloud import Cloud as EmulatedCloud
from test.cloud.cloud import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from test.cloud.orders import deploy, fleet_config
from test.histories.cloud import Cloud
from test.histories.points import Points
from test.histories.timeline import Timeline
from test.histories.transport import URL, Hop
from test.lease.account import BUCKET
from test.lease.enforcer import FUNCTION_ARN

NAME = FUNCTION_ARN.split(":")[6]
CONFIG = fleet_config(2, ClientToken="annex_1", Type="request", ValidUntil="2096-01-01T00:00:00Z")
RUNNING = {"Filters": [{"Name": "instance-state-name", "Values": ["running"]}]}
TAGS = {"Resources": ["{fleet}"], "Tags": [{"Key": "htcondor:annex-lease-end", "Value": "2027-01-01T00:00:00Z"}]}
MESSAGE = json.dumps({"receipt": "htcondor-annex-lease", "tick": True})
Call = tuple[str, str, dict[str, Any]]
CALLS: list[Call] = [
    ("ec2", "request_spot_fleet", {"SpotFleetRequestConfig": CONFIG}),
    ("ec2", "request_spot_fleet", {"SpotFleetRequestConfig": CONFIG}),
    ("ec2", "request_spot_fleet", {"SpotFleetRequestConfig": CONFIG | {"SpotPrice": "0.20"}}),
    ("ec2", "request_spot_fleet", {"SpotFleetRequestConfig": CONFIG | {"TargetCapacity": 0}}),
    ("ec2", "describe_spot_fleet_requests", {}),
    ("ec2", "describe_spot_fleet_requests", {"SpotFleetRequestIds": ["sfr-none"]}),
    ("ec2", "create_tags", TAGS),
    ("ec2", "create_tags", {**TAGS, "Resources": ["sfr-none", "{fleet}"]}),
    ("ec2", "create_tags", {**TAGS, "Tags": [{"Key": "aws:ours", "Value": ""}]}),
    ("ec2", "create_tags", {**TAGS, "DryRun": True}),
    ("ec2", "describe_spot_fleet_requests", {"SpotFleetRequestIds": ["{fleet}"]}),
    ("ec2", "describe_instances", RUNNING),
    ("ec2", "terminate_instances", {"InstanceIds": ["i-00000000000000000"]}),
    ("ec2", "modify_instance_attribute", {"InstanceId": "{instance}", "DisableApiTermination": {"Value": False}}),
    ("ec2", "terminate_instances", {"InstanceIds": ["{instance}"], "DryRun": True}),
    ("ec2", "terminate_instances", {"InstanceIds": ["{instance}"]}),
    (
        "ec2",
        "cancel_spot_fleet_requests",
        {"SpotFleetRequestIds": ["{fleet}"], "TerminateInstances": True, "DryRun": True},
    ),
    ("ec2", "cancel_spot_fleet_requests", {"SpotFleetRequestIds": ["{fleet}", "sfr-none"], "TerminateInstances": True}),
    ("ec2", "cancel_spot_fleet_requests", {"SpotFleetRequestIds": ["{fleet}"], "TerminateInstances": True}),
    ("ec2", "describe_spot_fleet_requests", {}),
    ("ec2", "describe_instances", {"Filters": [{"Name": "instance-state-name", "Values": ["terminated"]}]}),
    ("s3", "put_object", {"Bucket": BUCKET, "Key": "annex/1.tar.gz", "Body": b"one"}),
    ("s3", "put_object", {"Bucket": BUCKET, "Key": "annex/1.tar.gz", "Body": b"one"}),
    ("s3", "list_objects_v2", {"Bucket": BUCKET, "Prefix": "annex/"}),
    ("s3", "delete_objects", {"Bucket": BUCKET, "Delete": {"Objects": [{"Key": "annex/1.tar.gz"}, {"Key": "x"}]}}),
    ("s3", "list_objects_v2", {"Bucket": BUCKET, "Prefix": "annex/"}),
    ("s3", "delete_object", {"Bucket": BUCKET, "Key": "annex/1.tar.gz"}),
    ("s3", "put_object", {"Bucket": "nobodys", "Key": "annex/1.tar.gz", "Body": b"one"}),
    ("s3", "delete_object", {"Bucket": "nobodys", "Key": "annex/1.tar.gz"}),
    ("lambda", "get_function", {"FunctionName": FUNCTION_ARN}),
    (
        "logs",
        "filter_log_events",
        {"logGroupName": log_group_of(FUNCTION_ARN), "filterPattern": RECEIPT, "startTime": 0, "limit": 1000},
    ),
    ("logs", "filter_log_events", {"logGroupName": "/aws/lambda/none", "filterPattern": RECEIPT, "startTime": 0}),
]
CHANGING = re.compile(r"sfr-[0-9a-f-]{36}|sir-[0-9a-f]+|i-[0-9a-f]{17}|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00")
KNOWN = {  # the fields that annexd or the function reads, where moto's responses contain more
    "put_object": (),
    "get_function": ("FunctionName", "FunctionArn", "State", "Runtime", "Description"),
    "list_objects_v2": ("Key",),
    "delete_objects": (),
    "create_tags": (),
    "modify_instance_attribute": (),
    "filter_log_events": ("message",),
}


@pytest.fixture(scope="module")
def emulated() -> Iterator[EmulatedCloud]:
    with EmulatedCloud(speed=0, behaviour={"logs_late_s": 0.0}) as cloud:
        cloud.client("s3").create_bucket(Bucket=BUCKET)
        deploy(cloud, f"def handler(event, context): print({MESSAGE!r})", name=NAME)
        cloud.client("lambda").invoke(FunctionName=NAME, Payload=b"{}")
        yield cloud


def answers(client: Callable[[str], Any]) -> list[str]:
    """Return each response or error as text, without values that differ between clouds."""
    response, named = [], {"{fleet}": "", "{instance}": ""}
    for service, operation, asked in CALLS:
        try:
            answer = getattr(client(service), operation)(**(asked if service == "s3" else _filled(asked, named)))
            named["{fleet}"] = answer.get("SpotFleetRequestId", named["{fleet}"])
            if groups := answer.get("Reservations"):
                named["{instance}"] = groups[0]["Instances"][0]["InstanceId"]
            answer.pop("ResponseMetadata")
            message = json.dumps(_known(operation, answer), default=str, sort_keys=True)
        except ClientError as error:
            message = f"{error.response['Error']['Code']}"
        response.append(f"{operation}: {CHANGING.sub('...', message)}")
    return response


def _filled(asked: dict[str, Any], named: dict[str, str]) -> dict[str, Any]:
    text = json.dumps(asked)
    for name, value in named.items():
        text = text.replace(name, value)
    filled: dict[str, Any] = json.loads(text)
    return filled


def _known(operation: str, answer: dict[str, Any]) -> Any:
    if operation not in KNOWN:
        return answer
    rows = answer.get("Contents", answer.get("events", [answer.get("Configuration", {})]))
    return [{name: str(row[name]).strip() for name in KNOWN[operation] if row.get(name)} for row in rows]


def quick_clients() -> dict[str, Any]:
    timeline = Timeline()
    cloud = Cloud(timeline, Points(timeline, lambda _: None), termination_s=0.0)
    cloud.function.log(MESSAGE, timeline.now_s)
    nowhere = EmulatedCloud()
    nowhere.url = URL
    clients = {service: nowhere.client(service) for service in ("ec2", "lambda", "logs")}
    keys = Credentials(ACCESS_KEY_ID, SecretKey(SECRET_ACCESS_KEY))
    clients["s3"] = ClientCache().clients(keys, Endpoints("us-east-1", URL, URL, URL, URL, URL)).s3
    Hop(cloud.act).attach(*clients.values())
    return clients


def test_the_fast_aws_answers_like_the_emulated_one(emulated: EmulatedCloud) -> None:
    assert answers(quick_clients().__getitem__) == answers(emulated.client)
