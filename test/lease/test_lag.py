"""EC2's answers lag behind: what it does not tell of yet keeps its lease, and is ended when it is told of."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from test.cloud import Cloud
from test.lease.annexes import LONG_OVER_S, Annex
from test.lease.conftest import TERMINATION_S

Run = Callable[..., dict[str, Any]]
LAG_S = 1.5
DESCRIBES = ("DescribeSpotFleetRequests", "DescribeInstances", "DescribeSpotFleetInstances")


def lag(cloud: Cloud, *operations: str) -> None:
    for operation in operations:
        cloud.fault(operation, "lag", times=999, lag_s=LAG_S)


@pytest.fixture
def quick(lease: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """EC2 here lags by seconds: what lease.py grants to it is as much more."""
    monkeypatch.setattr(lease, "LAG_S", 10 * LAG_S)


def check_end(annex: Annex, fleet: str) -> None:
    """The lease went when all was gone, whatever was told of it."""
    [removed] = annex.cloud.calls("RemoveTargets")
    cancelled = [each for each in annex.cloud.effects("fleet cancelled") if each["fleet"] == fleet]
    assert removed["time"] >= cancelled[0]["time"] + TERMINATION_S
    assert annex.alive(fleet) == []
    assert not annex.is_leased()


def test_an_annex_of_which_nothing_is_told_keeps_its_lease_for_two_minutes(annex: Annex, run: Run) -> None:
    annex.arm()
    assert run(annex, limit_s=0.1)["outcome"] == "ending"
    assert annex.is_leased()
    annex.over_s = LONG_OVER_S
    assert run(annex, limit_s=0.1)["outcome"] == "ended"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("operations", [DESCRIBES, DESCRIBES[:1], DESCRIBES[1:]], ids=["all", "fleets", "instances"])
def test_a_fleet_of_the_leases_last_second_is_ended_when_ec2_tells_of_it(
    annex: Annex, cloud: Cloud, run: Run, operations: tuple[str, ...]
) -> None:
    fleet = annex.arm().request(2)
    lag(cloud, *operations)
    receipt = run(annex)
    assert (receipt["outcome"], receipt["fleets_found"]) == ("ended", 1)
    check_end(annex, fleet)


def test_instances_not_told_of_yet_of_a_fleet_that_another_run_cancelled_keep_the_lease(
    annex: Annex, cloud: Cloud, run: Run
) -> None:
    fleet = annex.arm().request(2)
    cloud.client("ec2").cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=True)
    lag(cloud, *DESCRIBES[1:])
    assert run(annex)["outcome"] == "ended"
    check_end(annex, fleet)


def test_where_the_fleet_is_called_over_nothing_is_waited_for(annex: Annex, run: Run) -> None:
    annex.arm().request(2)
    assert run(annex, limit_s=25)["outcome"] == "ended"
