"""What goes wrong on the way: the lease stays until all is gone, and the next run converges."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest

from test.cloud import Cloud
from test.lease.annexes import LONG_OVER_S, Annex, Context

Run = Callable[..., dict[str, Any]]


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "annex",
        {},
        {"LeaseExpiration": None},
        {"LeaseExpiration": "tomorrow"},
        {"LeaseExpiration": ""},
        {"LeaseExpiration": True},
        {"LeaseExpiration": float("nan")},
        {"LeaseExpiration": -1},
        {"LeaseExpiration": 3600},
        {"LeaseExpiration": 1_700_000_000_000},
        {"AnnexID": None},
        {"AnnexID": ""},
        {"AnnexID": "*"},
        {"AnnexID": "a?"},
        {"AnnexID": ["annex"]},
        {"RuleID": ""},
        {"TargetID": 7},
    ],
)
def test_a_malformed_event_is_an_error_and_touches_nothing(annex: Annex, lease: ModuleType, event: Any) -> None:
    whole = annex.event | event if isinstance(event, dict) and event else event
    with pytest.raises(lease.InvalidEventError):
        lease.handler(whole, Context())
    assert annex.cloud.audit() == []


def test_all_faults_of_an_event_are_told_at_once(lease: ModuleType) -> None:
    with pytest.raises(lease.InvalidEventError, match=r"AnnexID.*RuleID.*TargetID.*LeaseExpiration"):
        lease.handler({"LeaseExpiration": "soon"}, Context())


def test_an_expiration_written_as_a_string_of_digits_counts(annex: Annex, lease: ModuleType) -> None:
    fleet = annex.arm().request()
    event = annex.event
    lease.handler(event | {"LeaseExpiration": str(event["LeaseExpiration"])}, Context())
    assert annex.alive(fleet) == []


def test_called_again_after_the_end_it_finds_nothing_to_do_and_no_fault(annex: Annex, run: Run) -> None:
    annex.arm().request(2)
    run(annex)
    again = run(annex)
    assert (again["outcome"], again["instances_ended"], again["errors"]) == ("ended", 0, [])


def test_called_several_times_at_once_every_run_ends_well(annex: Annex, run: Run) -> None:
    fleet = annex.arm().request(20)
    with ThreadPoolExecutor(3) as pool:
        receipts = list(pool.map(run, [annex] * 3))
    assert [receipt["outcome"] for receipt in receipts] == ["ended"] * 3
    assert annex.alive(fleet) == []
    assert not annex.is_leased()


def test_a_rule_removed_by_hand_is_no_fault(annex: Annex, run: Run) -> None:
    fleet = annex.request(2)
    assert run(annex)["outcome"] == "ended"
    assert annex.alive(fleet) == []


def test_a_target_of_somebody_elses_on_the_rule_is_left_there(annex: Annex, lease: ModuleType, run: Run) -> None:
    annex.over_s = LONG_OVER_S
    annex.arm()
    events = annex.cloud.client("events")
    events.put_targets(Rule=annex.annex_id, Targets=[{"Id": "other", "Arn": annex.function_arn}])
    with pytest.raises(lease.LeaseError, match="since it has targets"):
        run(annex)
    [target] = events.list_targets_by_rule(Rule=annex.annex_id)["Targets"]
    assert target["Id"] == "other"


@pytest.mark.parametrize("kind", ["throttle", "internal", "reset"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_passing_fault_of_any_call_is_overcome_in_the_same_run(annex: Annex, run: Run, kind: str, when: str) -> None:
    fleet = annex.arm().request(2)
    for operation in ("DescribeSpotFleetRequests", "CancelSpotFleetRequests", "DescribeInstances", "RemoveTargets"):
        annex.cloud.fault(operation, kind, 1, when)
    assert run(annex)["outcome"] == "ended"
    assert annex.cloud.faults() == []
    assert annex.alive(fleet) == []
    assert not annex.is_leased()


@pytest.mark.parametrize("operation", ["DescribeSpotFleetRequests", "DescribeInstances", "RemoveTargets", "DeleteRule"])
def test_a_call_that_stays_denied_fails_the_run_and_keeps_the_lease(
    annex: Annex, lease: ModuleType, run: Run, operation: str
) -> None:
    fleet = annex.arm().request(2)
    annex.cloud.fault(operation, "denied", 99)
    with pytest.raises(lease.LeaseError, match=r"AccessDenied|UnauthorizedOperation"):
        run(annex)
    assert annex.is_leased()
    annex.cloud.clear_faults()
    assert run(annex)["outcome"] == "ended"
    assert annex.alive(fleet) == []


def test_one_fleet_that_cannot_be_cancelled_does_not_keep_the_others(annex: Annex, lease: ModuleType, run: Run) -> None:
    stuck, other = annex.arm().request(2, Type="maintain"), annex.request(2)
    annex.cloud.fault("CancelSpotFleetRequests", "partial", 99, matching=stuck)
    with pytest.raises(lease.LeaseError, match=stuck):
        run(annex)
    assert (len(annex.alive(stuck)), annex.alive(other)) == (2, [])
    assert annex.cloud.calls("TerminateInstances") == []  # it would only start others
    assert annex.is_leased()
    annex.cloud.clear_faults()
    assert run(annex)["outcome"] == "ended"
    assert annex.alive(stuck) == []


def test_a_one_shot_fleet_that_cannot_be_cancelled_loses_its_instances_all_the_same(
    annex: Annex, lease: ModuleType, run: Run
) -> None:
    stuck = annex.arm().request(2, Type="request")
    annex.cloud.fault("CancelSpotFleetRequests", "partial", 99, matching=stuck)
    with pytest.raises(lease.LeaseError, match=stuck):
        run(annex)
    assert annex.alive(stuck) == []
    assert annex.is_leased()


@pytest.mark.parametrize("operation", ["CancelSpotFleetRequests", "RemoveTargets"])
def test_a_failure_inside_an_http_200_is_seen_and_overcome(annex: Annex, run: Run, operation: str) -> None:
    fleet = annex.arm().request(2)
    annex.cloud.fault(operation, "partial", 1)
    receipt = run(annex)
    assert (receipt["outcome"], receipt["errors_overcome"]) == ("ended", 1)
    assert annex.alive(fleet) == []
    assert not annex.is_leased()


def test_an_instance_that_ec2_does_not_know_does_not_spare_the_others(
    annex: Annex, lease: ModuleType, cloud: Cloud
) -> None:
    fleet = annex.request(5)
    run = lease.Run(lease.Lease.read(annex.event), *lease.clients(), lambda: 60)
    run.terminate_batch(["i-00000000000000000", *annex.alive(fleet)])
    assert run.errors == []
    assert {each["state"] for each in cloud.running_instances() if each["fleet"] == fleet} <= {"shutting-down"}


def test_a_run_that_is_cut_off_at_its_time_limit_leaves_the_lease_and_the_next_one_ends_it(
    annex: Annex, cloud: Cloud
) -> None:
    fleet = annex.arm().request(2)
    functions = cloud.client("lambda")
    functions.update_function_configuration(FunctionName=annex.function_arn, Timeout=3)
    cloud.fault("DescribeInstances", "hang", 1)
    answer = functions.invoke(FunctionName=annex.function_arn, Payload=json.dumps(annex.event))
    assert "Task timed out after 3.00 seconds" in json.loads(answer["Payload"].read())["errorMessage"]
    assert annex.is_leased()
    functions.update_function_configuration(FunctionName=annex.function_arn, Timeout=240)
    cloud.tick(annex.annex_id)
    assert annex.alive(fleet) == []
    assert not annex.is_leased()


def test_a_failed_run_is_a_failed_invocation_for_lambdas_metrics(annex: Annex, cloud: Cloud) -> None:
    annex.arm()
    cloud.fault("DescribeSpotFleetRequests", "denied", 99)
    answer = cloud.client("lambda").invoke(FunctionName=annex.function_arn, Payload=json.dumps(annex.event))
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"].read())["errorType"] == "LeaseError"
