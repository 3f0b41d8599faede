"""A cost is marked as an estimate wherever it is shown; an unknown cost is shown as unknown, and never as 0."""

from __future__ import annotations

from typing import Any

import pytest

from annexd.tool.costs import NOTE, shown
from annexd.tool.history import FIELDS, HEADINGS, OWNER_FIELDS, OWNER_HEADINGS, sums
from annexd.tool.table import NARROW, WIDE, lines


@pytest.mark.parametrize(
    ("dollars", "unpriced", "cell"),
    [
        (1.234, 0, "1.23"),
        (0.0, 0, "0.00"),
        (1.234, 2, ">=1.23"),
        (None, 2, "unknown"),
        (None, None, "-"),
    ],
)
def test_a_cost_is_a_number_or_at_least_one_or_unknown(dollars: float | None, unpriced: int | None, cell: str) -> None:
    assert shown({"EstimatedCost": dollars, "UnpricedInstances": unpriced}) == cell


def test_every_heading_and_field_of_a_cost_says_that_it_is_an_estimate() -> None:
    for names in (HEADINGS, OWNER_HEADINGS, FIELDS, OWNER_FIELDS, NARROW, WIDE):
        costs = [each for each in names if "cost" in each.lower() or "$" in each]
        assert costs
        assert all(each.lower().startswith("est") for each in costs)
    assert "estimated" in NOTE
    assert NOTE in lines([{"EstimatedCost": 1.0, "UnpricedInstances": 0}], 0.0)


def test_the_sum_of_an_owner_says_what_is_not_in_it() -> None:
    def line(owner: str, seconds: int | None, cost: float | None, unpriced: int | None, **more: Any) -> dict[str, Any]:
        return {
            "Owner": owner,
            "InstanceSeconds": seconds,
            "EstimatedCost": cost,
            "UnpricedInstances": unpriced,
            **more,
        }

    failed = {"State": "failed", "BulkRequestID": None}
    annexes = [
        line("al", 9000, 1.5, 0), line("al", 10, 0.5, 0), line("al", None, None, None, **failed),
        line("bob", 100, 1.5, 0), line("bob", 100, None, 3),
        line("cy", 50, 1.0, 0), line("cy", None, None, None, State="leased"),
        line("di", 20, None, 1),
    ]  # fmt: skip
    assert [(each["Owner"], shown(each)) for each in sums(annexes)] == [
        ("al", "2.00"), ("bob", ">=1.50"), ("cy", ">=1.00"), ("di", "unknown"),
    ]  # fmt: skip
