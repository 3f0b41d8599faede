"""Test that a rehearsal leaves nothing that costs money, however it ends, by the cloud's own record."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from test.cloud import Cloud
from test.live.kit import Rehearsed, leaving_nothing, until
from test.whole import WHOLE


def _protected_one_runs(cloud: Cloud) -> bool:
    return any(fleet["config"].get("OnDemandTargetCapacity") and fleet["launched"] for fleet in cloud.fleets())


def _fleet_is_there(cloud: Cloud) -> bool:
    return bool(cloud.running_instances())


def _stack_is_being_made(cloud: Cloud) -> bool:
    stacks = cloud.client("cloudformation").describe_stacks()["Stacks"]
    return any(each["StackStatus"] == "CREATE_IN_PROGRESS" for each in stacks)


MOMENTS: dict[str, tuple[list[str], Callable[[Cloud], bool], int]] = {
    "Ctrl-C while the stack is being made": ([], _stack_is_being_made, signal.SIGINT),
    "SIGTERM while an annex runs": (["--only", "annex"], _fleet_is_there, signal.SIGTERM),
    "a closed terminal while a protected machine runs": (["--only", "protection"], _protected_one_runs, signal.SIGHUP),
}


LONG = "SIGTERM while an annex runs"


@pytest.mark.parametrize("moment", [*sorted(MOMENTS.keys() - {LONG}), pytest.param(LONG, marks=WHOLE)])
def test_a_rehearsal_that_is_stopped_leaves_nothing(cloud: Cloud, tmp_path: Path, moment: str) -> None:
    arguments, has_come, number = MOMENTS[moment]
    cloud.pace_stacks(0.0 if arguments else 5.0)
    with leaving_nothing(cloud):
        rehearsed = Rehearsed(cloud, tmp_path / "report", "--yes", *(arguments or ["--only", "rights"]))
        until(lambda: has_come(cloud), moment)
        os.kill(rehearsed.process.pid, number)
        cloud.pace_stacks(0.0)
        rehearsed.wait_for("ending all that was created")
        os.kill(rehearsed.process.pid, signal.SIGINT)  # by an impatient user
        assert rehearsed.end() == 128 + number, rehearsed.text()
    assert f"stopped by {signal.Signals(number).name}. Nothing is left." in rehearsed.text()
    assert (tmp_path / "report" / "report.md").exists()


def test_a_rehearsal_that_is_killed_is_ended_by_the_next_clean_up(cloud: Cloud, tmp_path: Path) -> None:
    cloud.fault("CancelSpotFleetRequests", "throttle", 10_000)  # so that its annex is still alive when it is killed
    with leaving_nothing(cloud):
        rehearsed = Rehearsed(cloud, tmp_path / "report", "--yes", "--only", "annex")
        rehearsed.wait_for("order: as assumed")
        rehearsed.process.kill()
        rehearsed.end()
        again = Rehearsed(cloud, tmp_path / "again", "--yes")
        assert again.end() == 2, again.text()
        assert "--clean-up" in again.text()
        assert cloud.running_instances()
        cloud.clear_faults()
        cleaned = Rehearsed(cloud, tmp_path / "cleaned", "--clean-up")
        assert cleaned.end() == 0, cleaned.text()
        assert cleaned.lines[-1].endswith("nothing is left")
        _remove_service_roles(cloud)


def _remove_service_roles(cloud: Cloud) -> None:
    """Remove the roles, which a clean-up after a kill keeps: they cost nothing, and others may need them."""
    iam = cloud.client("iam")
    for role in ("AWSServiceRoleForEC2Spot", "AWSServiceRoleForEC2SpotFleet", "AWSServiceRoleForEC2Fleet"):
        iam.delete_service_linked_role(RoleName=role)


FAULTS = (
    ("CancelSpotFleetRequests", "internal", 20),
    ("TerminateInstances", "throttle", 20),
    ("DescribeInstances", "reset", 10),
    ("DeleteStack", "throttle", 6),
    ("DeleteRole", "denied", 3),
)


@WHOLE
def test_a_rehearsal_whose_order_fails_says_so_and_leaves_nothing(cloud: Cloud, tmp_path: Path) -> None:
    cloud.fault("RequestSpotFleet", "denied", times=100)
    with leaving_nothing(cloud):
        rehearsed = Rehearsed(cloud, tmp_path / "report", "--yes", "--only", "annex")
        rehearsed.wait_for("ending all that was created")
        os.kill(rehearsed.process.pid, signal.SIGINT)  # no longer stops anything
        assert rehearsed.end() == 1, rehearsed.text()
    assert "still ending what was created" in rehearsed.text()
    assert "no annex could be ordered" in rehearsed.text()
    assert rehearsed.facts()["order"].startswith("**otherwise**: status 7")


def test_a_rehearsal_whose_setup_fails_has_its_words_and_leaves_nothing(cloud: Cloud, tmp_path: Path) -> None:
    cloud.fault("CreateFunction", "denied", times=100)
    with leaving_nothing(cloud):
        rehearsed = Rehearsed(cloud, tmp_path / "report", "--yes")
        assert rehearsed.end() == 1, rehearsed.text()
    assert "-setup failed, with your own rights too" in rehearsed.text()
    assert rehearsed.facts()["setup-policy"].startswith("**otherwise**: status 7")
    assert "LeaseFunction" in rehearsed.facts()["setup-policy"]


def wait_until_quiet(cloud: Cloud) -> None:
    """Wait until no call is in flight."""
    before, now = -1, len(cloud.audit())
    while before != now:
        time.sleep(1)
        before, now = now, len(cloud.audit())


def test_the_clean_up_goes_on_while_aws_fails(cloud: Cloud, tmp_path: Path) -> None:
    with leaving_nothing(cloud):
        rehearsed = Rehearsed(cloud, tmp_path / "report", "--yes", "--only", "annex")
        rehearsed.wait_for("order: as assumed")
        os.kill(rehearsed.process.pid, signal.SIGSTOP)  # so that the faults affect only the clean-up
        wait_until_quiet(cloud)
        for operation, kind, times in FAULTS:
            cloud.fault(operation, kind, times)
        for signo in (signal.SIGTERM, signal.SIGCONT):
            os.kill(rehearsed.process.pid, signo)
        assert rehearsed.end() == 128 + signal.SIGTERM, rehearsed.text()
    assert "Nothing is left." in rehearsed.text()
