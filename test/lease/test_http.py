"""Test the lease function with the emulated cloud over HTTP: signatures, pages, errors and lost responses."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest

from annexd.annex.lease.identifiers import leased_token
from test.cloud import Cloud
from test.cloud.orders import ROLE, specification
from test.lease.enforcer import FUNCTION_ARN, RULE_ARN, scheduled_event
from test.lease.loading import load_function

Run = Callable[..., dict[str, Any]]
TERMINATION_S = 0.5
BUCKET = "annex-configurations"
CALLS = ("DescribeSpotFleetRequests", "DescribeInstances", "CancelSpotFleetRequests", "TerminateInstances")


@dataclass
class Context:
    """Lambda's context, with its own time limit."""

    limit_s: float = 240.0
    invoked_function_arn: str = FUNCTION_ARN
    started_s: float = field(default_factory=time.time)

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int(1000 * (self.started_s + self.limit_s - time.time())))


@pytest.fixture(scope="module")
def one_cloud() -> Iterator[Cloud]:
    with Cloud(speed=0, termination_s=TERMINATION_S) as cloud:
        cloud.client("s3").create_bucket(Bucket=BUCKET)
        yield cloud


@pytest.fixture
def cloud(one_cloud: Cloud) -> Iterator[Cloud]:
    """Provide a cloud without faults and with an empty audit.

    Fleets that other tests left running stay, as in a real account.
    """
    one_cloud.clear_audit()
    yield one_cloud
    one_cloud.clear_faults()


@pytest.fixture
def function(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load the function as its runtime does, configured only by its environment."""
    for name, value in (cloud.environment() | {"MAX_LEASE_S": "86400", "ANNEX_BUCKET": BUCKET}).items():
        monkeypatch.setenv(name, value)
    module = load_function()
    monkeypatch.setattr(module, "SETTLE_S", TERMINATION_S)  # instances end faster here than on AWS
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.05)
    return module


@pytest.fixture
def run(function: ModuleType, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(limit_s: float = 240.0) -> dict[str, Any]:
        """Return the receipt, also of a failed run."""
        capsys.readouterr()
        try:
            function.handler(scheduled_event(time.time()), Context(limit_s))
        except function.LeaseError as error:
            print(error)
        line = next(line for line in capsys.readouterr().out.splitlines() if "htcondor-annex-lease" in line)
        receipt: dict[str, Any] = json.loads(line)
        return receipt

    return call


def new_id() -> str:
    return f"annex-{uuid.uuid4().hex[:20]}"


def request(cloud: Cloud, ends_in_s: float, capacity: int = 2, annex_id: str = "", **config: Any) -> str:
    """Request a fleet of an annex that ends in `ends_in_s`."""
    token = leased_token(annex_id or new_id(), int(time.time() + ends_in_s))
    asked = {"LaunchSpecifications": [specification()], "Type": "request", "ClientToken": token, **config}
    asked |= {"TargetCapacity": capacity, "IamFleetRole": ROLE}
    return str(cloud.client("ec2").request_spot_fleet(SpotFleetRequestConfig=asked)["SpotFleetRequestId"])


def living(cloud: Cloud, *fleet_ids: str) -> list[str]:
    running = [each for each in cloud.running_instances() if each["state"] != "shutting-down"]
    return [each["id"] for each in running if each["fleet"] in fleet_ids]


def test_expired_annexes_are_ended_and_others_are_left(cloud: Cloud, run: Run) -> None:
    over, later = request(cloud, -1, 3), request(cloud, 3600, 3)
    copy = request(cloud, -1, 3, ClientToken="")
    receipt = run()
    assert living(cloud, over) == []
    assert len(living(cloud, later)) == len(living(cloud, copy)) == 3
    assert (receipt["tick"], receipt["rule"], receipt["complete"]) == (True, RULE_ARN, True)
    assert receipt["ended"] == 3
    assert receipt["rights"]["cancel"] is receipt["rights"]["terminate"] is True


def test_a_dry_run_ends_nothing(cloud: Cloud, run: Run) -> None:
    fleet = request(cloud, 3600, 3)
    assert run()["rights"]["terminate"] is True
    assert [call["params"].get("DryRun") for call in cloud.calls("TerminateInstances")] == [True]
    assert [call["params"].get("DryRun") for call in cloud.calls("CancelSpotFleetRequests")][:1] == [True]
    assert len(living(cloud, fleet)) == 3


def test_instances_that_outlived_their_fleet_are_ended(cloud: Cloud, run: Run) -> None:
    """This is the state at the end of every lease: the request's validity ended long ago."""
    fleet = request(cloud, -1)
    cloud.client("ec2").cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=False)
    run()
    assert living(cloud, fleet) == []


def test_they_are_ended_one_by_one_where_the_fleet_takes_no_second_cancel(cloud: Cloud, run: Run) -> None:
    fleet = request(cloud, -1)
    cloud.client("ec2").cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=False)
    code = "fleetRequestNotInCancellableState"
    cloud.fault("CancelSpotFleetRequests", "partial", 99, matching=fleet, code=code)
    run()
    assert living(cloud, fleet) == []
    ended = [call["params"]["InstanceIds"] for call in cloud.calls("TerminateInstances")]
    assert max(map(len, ended)) == 2


def test_a_fleet_that_maintains_its_capacity_is_cancelled_and_starts_nothing_more(cloud: Cloud, run: Run) -> None:
    fleet = request(cloud, -1, 4, Type="maintain")
    run()
    assert living(cloud, fleet) == []
    assert sum(each["count"] for each in cloud.effects("instances launched") if each["fleet"] == fleet) == 4


@pytest.mark.parametrize("kind", ["throttle", "internal", "reset"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_passing_fault_of_any_call_is_overcome_in_the_same_run(cloud: Cloud, run: Run, kind: str, when: str) -> None:
    fleet = request(cloud, -1)
    cloud.fault("CancelSpotFleetRequests", "partial", 99, matching=fleet, code="unexpectedError")
    for operation in CALLS:
        cloud.fault(operation, kind, 1, when)
    receipt = run()
    assert living(cloud, fleet) == []
    assert receipt["complete"]


@pytest.mark.parametrize("operation", CALLS[:2])
def test_a_denied_description_is_reported_and_the_next_run_ends_all(cloud: Cloud, run: Run, operation: str) -> None:
    fleet = request(cloud, -1)
    cloud.fault(operation, "denied", 99)
    receipt = run()
    assert (receipt["complete"], receipt["errors"] > 0) == (False, True)
    cloud.clear_faults()
    assert run()["complete"]
    assert living(cloud, fleet) == []


def test_objects_of_annexes_that_are_gone_are_removed_and_those_of_living_ones_stay(cloud: Cloud, run: Run) -> None:
    over, later = new_id(), new_id()
    keys = {f"annex/{annex_id}{rest}.tar.gz" for annex_id in (over, later) for rest in ("", "2")}
    s3 = cloud.client("s3")
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"token")
    request(cloud, -1, annex_id=over)
    request(cloud, 3600, annex_id=later)
    run()
    run()
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="annex/").get("Contents", [])
    assert keys & {each["Key"] for each in listed} == keys - {f"annex/{over}.tar.gz"}


def test_fleets_on_every_page_are_seen_and_cancelled_by_the_hundred(run: Run, cloud: Cloud) -> None:
    over = [request(cloud, -1, 1) for _ in range(310)]
    later = [request(cloud, 3600, 1) for _ in range(120)]
    receipt = run()
    assert living(cloud, *over) == []
    assert len(living(cloud, *later)) == 120
    assert receipt["complete"]
    listed = [call for call in cloud.calls("DescribeSpotFleetRequests") if "MaxResults" in call["params"]]
    assert len(listed) >= 3
    sizes = [len(call["params"]["SpotFleetRequestIds"]) for call in cloud.calls("CancelSpotFleetRequests")]
    assert max(sizes) == 100


def test_called_twice_at_once_every_run_ends_well(cloud: Cloud, function: ModuleType) -> None:
    from concurrent.futures import ThreadPoolExecutor

    fleet = request(cloud, -1, 20)
    with ThreadPoolExecutor(2) as pool:
        receipts = list(pool.map(lambda _: function.handler(None, Context()), range(2)))
    assert living(cloud, fleet) == []
    assert all(receipt["complete"] for receipt in receipts)
