"""The quick AWS answers as the emulated one does, call by call: what the histories show, they show of that one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from annexd.aws import ClientCache, Credentials, Endpoints, SecretKey
from test.cloud import Cloud as EmulatedCloud
from test.cloud.cloud import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from test.cloud.orders import deploy, fleet_config
from test.histories.cloud import Cloud
from test.histories.objects import BUCKET
from test.histories.points import Points
from test.histories.services import FUNCTION_ARN
from test.histories.timeline import Timeline
from test.histories.transport import URL, Hop

TARGET = {"Id": "annex", "Arn": FUNCTION_ARN, "Input": json.dumps({"AnnexID": "annex"})}
CONFIG = fleet_config(2, ClientToken="annex_1", Type="request", ValidUntil="2096-01-01T00:00:00Z")
RULE = {"Name": "annex", "ScheduleExpression": "rate(5 minutes)", "State": "ENABLED", "Description": "a lease"}
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("events", "put_targets", {"Rule": "annex", "Targets": [TARGET]}),
    ("events", "put_rule", RULE),
    ("events", "list_rules", {}),
    ("events", "put_targets", {"Rule": "annex", "Targets": [TARGET]}),
    ("events", "list_targets_by_rule", {"Rule": "annex"}),
    ("events", "describe_rule", {"Name": "annex"}),
    ("ec2", "request_spot_fleet", {"SpotFleetRequestConfig": CONFIG}),
    ("ec2", "request_spot_fleet", {"SpotFleetRequestConfig": CONFIG}),
    ("ec2", "request_spot_fleet", {"SpotFleetRequestConfig": CONFIG | {"SpotPrice": "0.20"}}),
    ("ec2", "request_spot_fleet", {"SpotFleetRequestConfig": CONFIG | {"TargetCapacity": 0}}),
    ("ec2", "describe_spot_fleet_requests", {}),
    ("ec2", "describe_spot_fleet_requests", {"SpotFleetRequestIds": ["sfr-none"]}),
    ("ec2", "describe_spot_fleet_instances", {"SpotFleetRequestId": "{fleet}"}),
    ("ec2", "describe_instances", {"Filters": [{"Name": "instance-state-name", "Values": ["running"]}]}),
    ("ec2", "terminate_instances", {"InstanceIds": ["i-00000000000000000"]}),
    ("ec2", "cancel_spot_fleet_requests", {"SpotFleetRequestIds": ["{fleet}", "sfr-none"], "TerminateInstances": True}),
    ("ec2", "cancel_spot_fleet_requests", {"SpotFleetRequestIds": ["{fleet}"], "TerminateInstances": True}),
    ("ec2", "describe_spot_fleet_requests", {}),
    ("ec2", "describe_instances", {"Filters": [{"Name": "instance-state-name", "Values": ["terminated"]}]}),
    ("events", "delete_rule", {"Name": "annex"}),
    ("events", "remove_targets", {"Rule": "annex", "Ids": ["annex", "another"]}),
    ("events", "delete_rule", {"Name": "annex"}),
    ("events", "delete_rule", {"Name": "annex"}),
    ("events", "describe_rule", {"Name": "annex"}),
    ("events", "remove_targets", {"Rule": "annex", "Ids": ["annex"]}),
    ("events", "list_targets_by_rule", {"Rule": "annex"}),
    ("s3", "put_object", {"Bucket": BUCKET, "Key": "annex/1.tar.gz", "Body": b"one"}),
    ("s3", "put_object", {"Bucket": BUCKET, "Key": "annex/1.tar.gz", "Body": b"one"}),
    ("s3", "delete_object", {"Bucket": BUCKET, "Key": "annex/1.tar.gz"}),
    ("s3", "delete_object", {"Bucket": BUCKET, "Key": "annex/1.tar.gz"}),
    ("s3", "put_object", {"Bucket": "nobodys", "Key": "annex/1.tar.gz", "Body": b"one"}),
    ("s3", "delete_object", {"Bucket": "nobodys", "Key": "annex/1.tar.gz"}),
]
CHANGING = re.compile(r"sfr-[0-9a-f-]{36}|sir-[0-9a-f]+|i-[0-9a-f]{17}|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00")


@pytest.fixture(scope="module")
def emulated() -> Iterator[EmulatedCloud]:
    with EmulatedCloud(speed=0) as cloud:
        cloud.client("s3").create_bucket(Bucket=BUCKET)
        yield cloud


def answers(client: Callable[[str], Any]) -> list[str]:
    """Each answer or error in words, without what differs from one cloud to another."""
    told, fleet = [], ""
    for service, operation, asked in CALLS:
        try:
            filled = asked if service == "s3" else json.loads(json.dumps(asked).replace("{fleet}", fleet))
            answer = getattr(client(service), operation)(**filled)
            fleet = answer.get("SpotFleetRequestId", fleet)
            answer.pop("ResponseMetadata")
            words = json.dumps(_known(operation, answer), default=str, sort_keys=True)
        except ClientError as error:
            words = f"{error.response['Error']['Code']}"
        told.append(f"{operation}: {CHANGING.sub('...', words)}")
    return told


def _known(operation: str, answer: dict[str, Any]) -> dict[str, Any]:
    """moto tells more of a rule and of an object than anybody here asks."""
    if operation == "put_object":
        return {}
    known = ("Name", "ScheduleExpression", "State", "Description")
    if operation == "describe_rule":
        return {name: answer[name] for name in known}
    if operation == "list_rules":
        return {"Rules": [{name: rule[name] for name in known} for rule in answer["Rules"]]}
    return answer


def quick_clients() -> dict[str, Any]:
    timeline = Timeline()
    cloud = Cloud(timeline, Points(timeline, lambda _: None), termination_s=0.0)
    nowhere = EmulatedCloud()
    nowhere.url = URL
    clients = {service: nowhere.client(service) for service in ("ec2", "events")}
    keys = Credentials(ACCESS_KEY_ID, SecretKey(SECRET_ACCESS_KEY))
    clients["s3"] = ClientCache().clients(keys, Endpoints("us-east-1", URL, URL, URL, URL)).s3
    Hop(cloud.act).attach(*clients.values())
    return clients


def test_the_quick_aws_answers_as_the_emulated_one(emulated: EmulatedCloud) -> None:
    deploy(emulated, "def handler(event, context): pass", name="lease")
    assert answers(quick_clients().__getitem__) == answers(emulated.client)
