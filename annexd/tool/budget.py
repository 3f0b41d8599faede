"""-budget: the amounts left in the administrator's budgets, as a table or as annexd's JSON."""

import json
from collections.abc import Mapping
from typing import Any, Final

from annexd.tool import costs
from annexd.tool import show as say
from annexd.tool.errors import COMMUNICATION, REFUSED, ToolError
from annexd.tool.times import is_time, shown_utc

Budget = Mapping[str, Any]
DOLLARS: Final = {  # by heading
    "DOLLARS": "Dollars",
    "SPENT": "Spent",
    "RESERVED": "Reserved",
    "LEFT": "Left",
    "RATE": "Rate",
    "RATE LEFT": "RateLeft",
}
HEADINGS: Final = ("NAME", "DOLLARS", "PERIOD", "SPENT", "RESERVED", "LEFT", "RATE", "RATE LEFT", "UNTIL")
NOTE: Final = (
    "SPENT: estimated by annexd, of annexes whose machines are gone; RESERVED: what the others can cost at most"
)


def show(ad: Mapping[str, Any], *, as_json: bool, asked_for: str) -> None:
    """Print annexd's reply.  Raises ToolError if it has no list of budgets, or lacks the requested one."""
    say.check(ad)
    try:
        budgets: list[Budget] = json.loads(str(ad.get("Budgets")))
    except ValueError as error:
        raise ToolError(COMMUNICATION, "annexd answered Success without Budgets") from error
    if asked_for and not budgets:
        raise ToolError(REFUSED, f"annexd has no budget {asked_for}: condor_annex -budget lists them")
    if as_json:
        print(json.dumps(budgets, indent=2), flush=True)
    elif budgets:
        print("\n".join(lines(budgets)), flush=True)
    else:
        say.notes(["annexd has no budgets (ANNEX_BUDGETS)"])


def lines(budgets: list[Budget]) -> list[str]:
    """Return the table, with an explanation of its numbers."""
    rows = [HEADINGS, *(tuple(_cell(each, heading) for heading in HEADINGS) for each in budgets)]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return [*(_line(row, widths) for row in rows), "", NOTE]


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = (
        cell.rjust(width) if heading in DOLLARS else cell.ljust(width)
        for heading, cell, width in zip(HEADINGS, row, widths, strict=True)
    )
    return " ".join(cells).rstrip()


def _cell(budget: Budget, heading: str) -> str:
    if heading in DOLLARS:
        return costs.exact(budget.get(DOLLARS[heading]))
    if heading == "UNTIL":
        end_s = budget.get("PeriodEnd")
        return shown_utc(end_s) if is_time(end_s) else "-"
    name = budget.get("Name" if heading == "NAME" else "Period")
    return say.printable(str(name))
