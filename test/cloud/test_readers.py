"""annexd's own readers interpret AWS's recorded public responses correctly."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from annexd.annex.fleet.inventory import Fleet, cancel_fleet, living_instances, take_inventory
from annexd.annex.fleet.trouble import troubles_of
from annexd.annex.lease.heartbeat import newest_receipt
from annexd.annex.lease.identifiers import leased_token, new_annex_id
from annexd.aws import errors
from annexd.workflow import Retry
from test.cloud.recording import Recording, load
from test.live.recorder import replay

RECORDINGS = dict(load())
ALL = list(RECORDINGS.values())
NO_INSTANCES = Recording("ec2", "DescribeInstances", 200, answer={"Reservations": []})
NO_EC2_FLEETS = Recording("ec2", "DescribeFleets", 200, answer={"Fleets": []})
FLEET = "sfr-11112222-3333-4444-5555-666677778888"
END_S = 1_800_000_000


def client(*recordings: Recording, service: str = "ec2") -> Any:
    session = boto3.Session("AKIAX", "secret", region_name="us-east-1")
    return replay(session.client(service), recordings)


def of(operation: str) -> list[Recording]:
    return [each for each in ALL if each.operation == operation and not each.is_error]


def leased(recording: Recording) -> Recording:
    """Return the same response, for a fleet that annexd requested."""
    response = json.loads(json.dumps(recording.answer))
    for each in response["SpotFleetRequestConfigs"]:
        each["SpotFleetRequestConfig"]["ClientToken"] = leased_token(new_annex_id(), END_S)
    return replace(recording, answer=response)


def read(recording: Recording) -> Fleet:
    [fleet] = take_inventory(client(leased(recording), NO_EC2_FLEETS, NO_INSTANCES)).fleets
    return fleet


def test_recorded_fleets_are_read_with_state_target_and_end() -> None:
    fleets = [read(each) for each in of("DescribeSpotFleetRequests")]
    seen = {(each.state, each.activity, each.target, each.fulfilled) for each in fleets}
    assert ("cancelled", "", 1, 0.0) in seen
    assert ("cancelled_terminating", "", 1, 0.0) in seen
    assert ("active", "error", 1, 0.0) in seen
    assert ("active", "fulfilled", 2, 2.0) in seen
    assert {each.end_s(86400.0 * 10000) for each in fleets} == {END_S}


def test_a_recorded_lack_of_capacity_is_reported_with_its_meaning() -> None:
    [failing] = [each for each in of("DescribeSpotFleetRequests") if read(each).activity == "error"]
    [history] = [each for each in of("DescribeSpotFleetRequestHistory") if each.because == "no-capacity"]
    ec2 = client(leased(failing), NO_EC2_FLEETS, NO_INSTANCES, history)
    found = troubles_of(ec2, take_inventory(ec2), END_S - 1e6, 86400.0 * 10000, frozenset())
    [trouble], [capacity] = found.troubles.values(), found.capacity
    assert "There is no Spot capacity available" in trouble.text
    assert "retries automatically" in trouble.text
    [refusal] = capacity.refusals
    assert (refusal.instance_type, refusal.zone, refusal.markets, refusal.is_limit) == (
        "m3.large",
        None,
        ("spot",),
        False,
    )


@pytest.mark.parametrize("recording", of("CancelSpotFleetRequests"), ids=lambda each: str(len(each.response())))
def test_a_recorded_cancellation_is_read_and_of_an_unknown_fleet_proves_nothing(recording: Recording) -> None:
    expected = pytest.raises(Retry) if "fleetRequestIdDoesNotExist" in str(recording.response()) else nullcontext()
    with expected:
        cancel_fleet(client(recording), FLEET)


def test_recorded_instances_are_read() -> None:
    seen = [each for one in of("DescribeInstances") for each in living_instances(client(one), FLEET)]
    assert {each.state for each in seen} == {"running", "terminated"}


def test_a_recorded_page_of_a_log_without_a_receipt_has_none() -> None:
    [page] = of("FilterLogEvents")
    arn = "arn:aws:lambda:us-east-1:123456789012:function:HTCondorAnnexLease"
    assert newest_receipt(client(page, service="logs"), arn, 1396035378.0) is None


REFUSED = [(name, each) for name, each in RECORDINGS.items() if each.is_error]


@pytest.mark.parametrize(("name", "recording"), REFUSED)
def test_a_recorded_refusal_is_of_its_kind(name: str, recording: Recording) -> None:
    with pytest.raises(ClientError) as refusal:
        getattr(client(recording, service=recording.service), xform_name(recording.operation))(**_asked(recording))
    error = refusal.value
    is_absent = errors.is_not_found(error) or errors.is_no_stack(error)
    assert is_absent == (recording.because == "not-found"), name
    assert errors.is_denied(error) == (errors.code_of(error) == "UnauthorizedOperation")
    assert not errors.is_transient(error)
    assert errors.had_no_effect(error)


def _asked(recording: Recording) -> dict[str, Any]:
    """Return parameters that satisfy the service model."""
    own: dict[str, dict[str, Any]] = {
        "RequestSpotFleet": {"SpotFleetRequestConfig": {"IamFleetRole": "role", "TargetCapacity": 1}},
        "ModifyInstanceAttribute": {"InstanceId": "i-0123456789abcdef0"},
        "TerminateInstances": {"InstanceIds": ["i-0123456789abcdef0"]},
        "DeleteRule": {"Name": "rule-1"},
        "GetPolicy": {"FunctionName": "one"},
        "UpdateStack": {"StackName": "one"},
    }
    bucket = {"Bucket": "one-bucket"} if recording.service == "s3" else {}
    return {**own.get(recording.operation, {}), **bucket, **recording.asked}
