"""Test the rehearsal with each possible behaviour of AWS, and with a caller of limited rights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from test.cloud import Cloud
from test.live.kit import Rehearsed, leaving_nothing
from test.whole import WHOLE

VARIANTS = {  # besides acted-upon, which test_rehearsal.py covers
    "refused": "refused (fleetRequestNotInCancellableState)",
    "no-effect": "no-effect: the answer says cancelled_running",
}


@pytest.mark.parametrize("variant", ["no-effect", pytest.param("refused", marks=WHOLE)])
def test_a_rehearsal_reports_the_effect_of_a_second_cancellation_and_leaves_nothing(
    cloud: Cloud, tmp_path: Path, variant: str
) -> None:
    cloud.behave(second_cancel=variant)
    with leaving_nothing(cloud):
        rehearsed = Rehearsed(cloud, tmp_path / "report", "--yes", "--only", "expiry")
        assert rehearsed.end() == 0, rehearsed.text()
    assert VARIANTS[variant] in rehearsed.facts()["second-cancel"]
    assert rehearsed.facts()["second-cancel"].startswith("as assumed")


@WHOLE
@pytest.mark.parametrize(
    ("variant", "fact", "said"),
    [
        ({"shows_empty_lists": False}, "empty-lists", "**otherwise**: shown: SuccessfulFleetRequests"),
        ({"expiry_late_s": 30.0}, "state-at-expiry", "**otherwise**: "),
    ],
)
def test_a_rehearsal_finds_out_in_which_variant_a_fleet_expires_and_is_cancelled(
    cloud: Cloud, tmp_path: Path, variant: dict[str, Any], fact: str, said: str
) -> None:
    cloud.behave(**variant)
    with leaving_nothing(cloud):
        rehearsed = Rehearsed(cloud, tmp_path / "report", "--yes", "--only", "expiry")
        assert rehearsed.end() == 0, rehearsed.text()
    assert rehearsed.facts()[fact].startswith(said)


@pytest.mark.parametrize(
    ("variant", "facts"),
    [
        ({"cancel_ends_protected": True}, {"protected-cancel": "otherwise", "on-demand-tagged": "as assumed"}),
        pytest.param(
            {"on_demand_is_tagged": False},
            {"protected-cancel": "as assumed", "on-demand-tagged": "otherwise"},
            marks=WHOLE,
        ),
    ],
)
def test_a_rehearsal_finds_out_what_becomes_of_a_protected_instance(
    cloud: Cloud, tmp_path: Path, variant: dict[str, Any], facts: dict[str, str]
) -> None:
    cloud.behave(**variant)
    with leaving_nothing(cloud):
        rehearsed = Rehearsed(cloud, tmp_path / "report", "--yes", "--only", "protection")
        assert rehearsed.end() == 0, rehearsed.text()
    response = rehearsed.facts()
    assert {key: response[key].strip("*").partition(":")[0].strip("*") for key in facts} == facts


@pytest.mark.parametrize("looks", [pytest.param(True, marks=WHOLE), False])
def test_a_rehearsal_finds_out_how_far_a_dry_run_looks(cloud: Cloud, tmp_path: Path, looks: bool) -> None:
    cloud.behave(passed_as="ec2", dry_run_looks_at_all=looks)
    with leaving_nothing(cloud):
        rehearsed = Rehearsed(cloud, tmp_path / "report", "--yes", "--only", "rights")
        assert rehearsed.end() == 0, rehearsed.text()
    facts = rehearsed.facts()
    word = "as assumed" if looks else "**otherwise**"
    assert facts["pass-role-ec2"].startswith("as assumed")
    for key in ("no-run-instances", "no-create-tags", "fleet-tagging", "pass-role-spotfleet"):
        assert facts[key].startswith(word), (key, facts[key])


@WHOLE
def test_an_administrators_missing_right_is_named_and_nothing_is_left(cloud: Cloud, tmp_path: Path) -> None:
    """If the caller cannot create roles, annexd and -setup use the caller's rights, and the report says so."""
    cloud.fault("CreateRole", "denied", times=1)
    with leaving_nothing(cloud):
        rehearsed = Rehearsed(cloud, tmp_path / "report", "--yes", "--only", "rights")
        assert rehearsed.end() == 0, rehearsed.text()
    facts = rehearsed.facts()
    assert facts["setup-policy"].startswith("not determined: no role could be created or assumed")
    assert facts["user-policy-dry-run"].startswith("not determined")
    assert facts["first-heartbeat"].startswith("as assumed")
