"""Ending what is there, and looking again until it is gone; only then does the lease go."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from test.cloud import Cloud
from test.lease.annexes import LONG_OVER_S, TEMPLATE, Annex, specification
from test.lease.conftest import TERMINATION_S

Run = Callable[..., dict[str, Any]]


def until(what: str, holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline_s, f"not within {timeout_s} s: {what}"
        time.sleep(0.05)


def test_before_its_end_a_lease_costs_one_log_line_and_no_call(
    annex: Annex, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    annex.over_s = -100
    assert run(annex)["outcome"] == "waiting"
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line)["annex_id"] == annex.annex_id
    assert annex.cloud.audit() == []


def test_every_outcome_is_one_line_of_json(annex: Annex, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    annex.arm().request(3)
    run(annex)
    [line] = capsys.readouterr().out.splitlines()
    receipt = json.loads(line)
    assert receipt["outcome"] == "ended"
    assert len(receipt["instances"]) == 3
    assert receipt["seen_gone_at"]


def test_the_lease_goes_only_after_its_instances_were_seen_gone(annex: Annex, run: Run) -> None:
    annex.arm().request(2)
    run(annex)
    [cancelled] = annex.cloud.effects("fleet cancelled")
    operations = [call["operation"] for call in annex.cloud.audit() if call["kind"] == "call"]
    assert operations[-4:] == ["DescribeInstances", "DescribeInstances", "RemoveTargets", "DeleteRule"]
    [removed] = annex.cloud.calls("RemoveTargets")
    assert removed["time"] - cancelled["time"] >= TERMINATION_S


def test_instances_that_outlast_the_run_are_left_to_the_next_one_with_their_lease(annex: Annex, run: Run) -> None:
    fleet = annex.arm().request(2)
    first = run(annex, limit_s=0.1)
    assert (first["outcome"], first["instances_alive"]) == ("ending", 2)
    assert annex.is_leased()
    assert run(annex)["outcome"] == "ended"
    assert annex.alive(fleet) == []


def test_ten_thousand_instances_end_in_one_run() -> None:
    with Cloud(speed=0, termination_s=10) as slow:  # time for all of them to be seen alive
        annex = Annex(slow, slow.deploy_template(TEMPLATE)).arm()
        fleet = annex.request(10_000)
        slow.tick(annex.annex_id)
        [ended] = slow.effects("function ended")
        assert ended["payload"]["outcome"] == "ended"
        assert ended["payload"]["instances_ended"] == 10_000
        assert annex.alive(fleet) == []
        assert len(ended["log"]) < 4000
        assert ended["duration_s"] < 60


def test_a_fleet_that_maintains_its_capacity_starts_nothing_more(annex: Annex, run: Run) -> None:
    fleet = annex.arm().request(4, Type="maintain")
    assert run(annex)["outcome"] == "ended"
    assert annex.alive(fleet) == []
    assert sum(each["count"] for each in annex.cloud.effects("instances launched") if each["fleet"] == fleet) == 4


def test_instances_of_a_fleet_cancelled_without_them_are_ended(annex: Annex, run: Run) -> None:
    fleet = annex.arm().request(2)
    annex.cloud.client("ec2").cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=False)
    assert annex.state(fleet) == "cancelled_running"
    assert run(annex)["outcome"] == "ended"
    assert annex.alive(fleet) == []


def test_they_are_ended_one_by_one_where_the_fleet_takes_no_second_order(annex: Annex, run: Run) -> None:
    fleet = annex.arm().request(2)
    annex.cloud.client("ec2").cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=False)
    code = "fleetRequestNotInCancellableState"
    annex.cloud.fault("CancelSpotFleetRequests", "partial", 99, matching=fleet, code=code)
    assert run(annex)["outcome"] == "ended"
    assert annex.alive(fleet) == []
    assert len(annex.cloud.calls("TerminateInstances")) == 1


def test_instances_that_outlived_their_fleets_validity_are_ended(annex: Annex, run: Run) -> None:
    fleet = annex.arm().request(2, ValidUntil=time.time() + 1)
    until("the fleet expires", lambda: annex.state(fleet) == "cancelled_running")
    assert run(annex)["outcome"] == "ended"
    assert annex.alive(fleet) == []


def test_instances_without_the_annexs_tag_are_ended_by_their_fleets(annex: Annex, run: Run) -> None:
    fleet = annex.arm().request(2, LaunchSpecifications=[specification()])
    assert run(annex)["outcome"] == "ended"
    assert annex.alive(fleet) == []


def test_an_annex_that_never_got_a_fleet_only_loses_its_lease(annex: Annex, run: Run) -> None:
    annex.over_s = LONG_OVER_S
    annex.arm()
    assert run(annex)["outcome"] == "ended"
    assert not annex.is_leased()


def test_an_expired_lease_leaves_nothing_on_the_meter_but_a_tick_and_the_termination() -> None:
    with Cloud(speed=300, termination_s=TERMINATION_S) as fast:  # rate(5 minutes) is 1 s
        leased = Annex(fast, fast.deploy_template(TEMPLATE), over_s=-2).arm()
        fleet = leased.request(3)
        until("the rule is gone", lambda: not leased.is_leased(), 30)
        line = fast.meter()["annexes"][leased.annex_id]
        assert leased.alive(fleet) == []
        assert line["live"] == 0
        assert 0 < line["latest"] < 1 + TERMINATION_S + 2.5
        assert fast.meter()["unleased"]["instance_seconds"] == 0
