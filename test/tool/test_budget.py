"""The table of -budget, and its cells for missing numbers."""

import json
from typing import Any

import pytest

from annexd.tool import budget, costs
from annexd.tool.command_line import parse
from annexd.tool.errors import ToolError

LINE: dict[str, Any] = {
    "Name": "physics", "Dollars": "5000.000000", "Period": "month", "PeriodStart": 1793491200, "PeriodEnd": 1796083200,
    "Spent": "0.070000", "Reserved": "12.345678", "Left": "4987.584322", "Rate": None, "RateReserved": "1.000000",
    "RateLeft": None, "Annexes": 1, "Applies": "true",
}  # fmt: skip


def test_the_table_has_exact_dollars_and_ends_its_period_in_utc() -> None:
    headings, row, _, note = budget.lines([LINE])
    assert headings.split() == [
        "NAME",
        "DOLLARS",
        "PERIOD",
        "SPENT",
        "RESERVED",
        "LEFT",
        "RATE",
        "RATE",
        "LEFT",
        "UNTIL",
    ]
    wanted = [
        "physics",
        "$5000.00",
        "month",
        "$0.07",
        "$12.345678",
        "$4987.584322",
        "-",
        "-",
        "2026-12-01",
        "00:00",
        "UTC",
    ]
    assert row.split() == wanted
    assert note == budget.NOTE


def test_a_budget_without_an_end_or_with_a_hostile_name_is_shown_safely() -> None:
    [row] = budget.lines([{**LINE, "Name": "a\x1b[2J", "PeriodEnd": None, "Left": "-0.500000"}])[1:2]
    assert "\x1b" not in row
    assert row.endswith(" -")
    assert "-$0.50" in row


def test_no_budget_is_said_and_an_unknown_one_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    ad = {"Result": "Success", "Budgets": "[]"}
    budget.show(ad, as_json=False, asked_for="")
    assert "annexd has no budgets (ANNEX_BUDGETS)" in capsys.readouterr().err
    with pytest.raises(ToolError, match="no budget chemistry"):
        budget.show(ad, as_json=False, asked_for="chemistry")
    with pytest.raises(ToolError, match="without Budgets"):
        budget.show({"Result": "Success"}, as_json=False, asked_for="")
    budget.show({**ad, "Budgets": json.dumps([LINE])}, as_json=True, asked_for="")
    assert json.loads(capsys.readouterr().out) == [LINE]


def test_dollars_keep_every_decimal_that_counts() -> None:
    found = [costs.exact(each) for each in ("1.000000", "0.120000", "0.000001", "-2.500000", None)]
    assert found == ["$1.00", "$0.12", "$0.000001", "-$2.50", "-"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-budget", "a", "b"], "name one budget, not 2"),
        (["-budget", "-count", "3"], "-count cannot be used with -budget"),
        (["-budget", "a b"], "what follows -budget must be a name"),
    ],
)
def test_options_that_do_not_go_with_budget_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ToolError, match=message):
        parse(arguments)
