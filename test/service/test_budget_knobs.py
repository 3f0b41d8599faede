"""The knobs of budgets, as HTCondor's own configuration reads them, and the users a budget applies to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from annexd.service.budget_knobs import is_true
from test.programs import AS_ANNEXD, said_with

READ = f"""\
import json
from dataclasses import asdict
from annexd.daemoncore import settings
from annexd.daemoncore.config.parameters import Parameters
from annexd.service.budget_knobs import is_true, read_budgets, rules
{AS_ANNEXD}
settings.load()
look_up = Parameters()
budgets = read_budgets(look_up)
rules(budgets)
applied = [each.name for each in budgets if is_true(each.applies, {{"Owner": "alice"}})]
print(json.dumps({{"budgets": [asdict(each) for each in budgets], "faults": look_up.faults, "applied": applied}}))
"""
GOOD = {
    "ANNEX_BUDGETS": "physics, all_of_us",
    "ANNEX_BUDGET_physics_DOLLARS": "5000.50",
    "ANNEX_BUDGET_physics_PERIOD": "Month",
    "ANNEX_BUDGET_all_of_us_RATE": "0.000001",
}


def read(knobs: dict[str, str]) -> dict[str, Any]:
    return said_with(knobs, READ)


def test_without_knobs_there_is_no_budget() -> None:
    assert read({}) == {"budgets": [], "faults": [], "applied": []}


def test_a_budget_has_dollars_a_rate_or_both_in_micro_dollars() -> None:
    found = read(GOOD)
    assert found["faults"] == []
    assert found["budgets"] == [
        {"name": "physics", "cap": 5_000_500_000, "period": "month", "rate": None, "applies": "true"},
        {"name": "all_of_us", "cap": None, "period": "once", "rate": 1, "applies": "true"},
    ]
    assert found["applied"] == ["physics", "all_of_us"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"ANNEX_BUDGETS": "physics, 2"}, "ANNEX_BUDGETS must name budgets by at most 32 letters"),
        ({"ANNEX_BUDGETS": "physics, Physics"}, "ANNEX_BUDGETS names a budget twice"),
        ({"ANNEX_BUDGET_physics_DOLLARS": "0"}, "ANNEX_BUDGET_physics_DOLLARS must be dollars such as 5000"),
        ({"ANNEX_BUDGET_physics_DOLLARS": "-1"}, "above 0, not -1"),
        ({"ANNEX_BUDGET_physics_DOLLARS": "1.0000001"}, "above 0, not 1.0000001"),
        ({"ANNEX_BUDGET_physics_PERIOD": ""}, "ANNEX_BUDGET_physics_PERIOD must be one of day, week, month, once"),
        ({"ANNEX_BUDGET_physics_PERIOD": "hour"}, "not hour"),
        (
            {"ANNEX_BUDGET_all_of_us_RATE": ""},
            "ANNEX_BUDGET_all_of_us_DOLLARS or ANNEX_BUDGET_all_of_us_RATE is missing",
        ),
        ({"ANNEX_BUDGET_all_of_us_RATE": "much"}, "ANNEX_BUDGET_all_of_us_RATE must be dollars"),
        ({"ANNEX_BUDGET_physics_APPLIES": "Owner =="}, "ANNEX_BUDGET_physics_APPLIES must be a ClassAd expression"),
    ],
)
def test_a_faulty_knob_is_named(changes: dict[str, str], fault: str) -> None:
    [found] = read(GOOD | changes)["faults"]
    assert fault in found


def test_a_user_map_of_the_daemon_is_looked_up(tmp_path: Path) -> None:
    (tmp_path / "groups").write_text("* alice physics\n")
    knobs = {
        "ANNEXD_CLASSAD_USER_MAP_NAMES": "Groups",
        "CLASSAD_USER_MAPFILE_Groups": str(tmp_path / "groups"),
        "ANNEX_BUDGET_physics_APPLIES": 'userMap("Groups", Owner) == "physics"',
        "ANNEX_BUDGET_all_of_us_APPLIES": 'userMap("Groups", Owner) == "chemistry"',
    }
    assert read(GOOD | knobs)["applied"] == ["physics"]


@pytest.mark.parametrize(
    ("applies", "expected"),
    [
        ("true", True),
        ("false", False),
        ("1", True),
        ('Owner == "alice"', True),
        ('User == "alice@example.org"', True),
        ('Offer == "gpu"', False),
        ('Offer =?= undefined && AnnexName == "first"', True),
        ("error", True),
        ('Owner + 1 == "x"', True),
        ('"text"', True),
    ],
)
def test_a_budget_applies_where_its_expression_is_true_or_an_error_and_not_where_it_is_undefined(
    applies: str, expected: bool
) -> None:
    ad = {"Owner": "alice", "User": "alice@example.org", "AnnexName": "first", "Offer": None}
    assert is_true(applies, ad) is expected
