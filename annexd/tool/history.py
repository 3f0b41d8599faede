"""-history: who ordered which annexes, how they ended, and how long their instances ran; like condor_history."""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from annexd.tool import costs
from annexd.tool import show as say
from annexd.tool.errors import COMMUNICATION, REFUSED, ToolError
from annexd.tool.options import ToolOptions
from annexd.tool.times import is_time

Annex: TypeAlias = Mapping[str, Any]
HOUR_S: Final = 3600
COST: Final = costs.HEADING.upper()
HEADINGS: Final = ("NAME", "ID", "OWNER", "ORDERED", "END", "UNITS", "HOURS", "+-", COST, "STATE")
FIELDS: Final = (  # of -csv and -json, with annexd's names
    "AnnexName", "AnnexID", "Owner", "CommandID", "BulkRequestID", "TargetCapacity", "OrderTime", "OrderedEndOfLease",
    "EndOfLease", "State", "Reason", "InstancesEnded", "InstanceSeconds", "InstanceSecondsError", "EstimatedCost",
    "UnpricedInstances",
)  # fmt: skip
OWNER_HEADINGS: Final = ("OWNER", "ANNEXES", "HOURS", "+-", COST)
SUMMED: Final = ("InstanceSeconds", "InstanceSecondsError", "UnpricedInstances")
OWNER_FIELDS: Final = ("Owner", "Annexes", *SUMMED, "EstimatedCost", "Unknown")
RIGHT: Final = frozenset(("UNITS", "HOURS", "+-", COST, "ANNEXES"))


class _Found(NamedTuple):
    lines: list[Annex]
    is_cut: bool  # by -limit


def show(options: ToolOptions, ask: Callable[[int | None], Mapping[str, Any]]) -> None:
    """Print the history; `ask(before)` returns annexd's reply for one page.  Raises ToolError."""
    found = _read(options, ask)
    if options.file and not found.lines:
        raise ToolError(REFUSED, f"annexd knows no annex {options.file} of yours")
    if options.by:
        _print(options, OWNER_FIELDS, OWNER_HEADINGS, sums(found.lines), _owner_row)
    else:
        _print(options, FIELDS, HEADINGS, found.lines, _row)
    if found.is_cut:
        say.notes([f"only the newest {options.limit} are shown or counted (-limit)"])


def _read(options: ToolOptions, ask: Callable[[int | None], Mapping[str, Any]]) -> _Found:
    lines: list[Annex] = []
    before: int | None = None
    while True:
        ad = ask(before)
        say.check(ad)
        try:
            lines += json.loads(str(ad.get("History")))
        except ValueError as error:
            raise ToolError(COMMUNICATION, "annexd answered Success without a History") from error
        before = ad.get("Next")
        if options.limit is not None and len(lines) >= options.limit:
            return _Found(lines[: options.limit], len(lines) > options.limit or before is not None)
        if before is None:
            return _Found(lines, False)


def sums(lines: Sequence[Annex]) -> list[Annex]:
    """Return a line for each owner, the most instance-seconds first; Unknown: annexes without observed instances."""
    owners: dict[str, dict[str, Any]] = {}
    for line in lines:
        empty = {"Annexes": 0, "InstanceSeconds": 0, "InstanceSecondsError": 0, "UnpricedInstances": 0}
        total = owners.setdefault(
            str(line.get("Owner")), {"Owner": line.get("Owner"), **empty, "EstimatedCost": None, "Unknown": 0}
        )
        total["Annexes"] += 1
        total["Unknown"] += _is_unknown(line)
        for name in SUMMED:
            total[name] += line.get(name) or 0
        if (cost := line.get("EstimatedCost")) is not None:
            total["EstimatedCost"] = round((total["EstimatedCost"] or 0.0) + cost, 4)
    return sorted(owners.values(), key=lambda each: -int(each["InstanceSeconds"]))


def _is_unknown(line: Annex) -> bool:
    """Return whether something may have run that annexd has not seen."""
    never_asked = line.get("State") == "failed" and line.get("BulkRequestID") is None
    return line.get("InstanceSeconds") is None and not never_asked


def _print(
    options: ToolOptions,
    fields: Sequence[str],
    headings: Sequence[str],
    lines: Sequence[Annex],
    row: Callable[[Annex], tuple[str, ...]],
) -> None:
    if options.json:
        print(json.dumps(lines, indent=2), flush=True)
    elif options.csv:
        import csv

        writer = csv.writer(sys.stdout)
        writer.writerow(fields)
        writer.writerows([_cell(line.get(field)) for field in fields] for line in lines)
        sys.stdout.flush()
    elif lines:
        _print_table([tuple(headings), *map(row, lines)])
        say.notes([costs.NOTE] if costs.is_any([*lines]) else [])
    else:
        say.notes(["annexd knows no annexes of yours"])


def _cell(value: object) -> object:
    """Return a value for CSV; a text that a spreadsheet would take for a formula is quoted."""
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@") else value


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (
            cell.rjust(width) if heading in RIGHT else cell.ljust(width)
            for heading, cell, width in zip(rows[0], row, widths, strict=True)
        )
        print(" ".join(cells).rstrip())
    sys.stdout.flush()


def _row(annex: Annex) -> tuple[str, ...]:
    names = [_text(annex.get(name)) for name in ("AnnexName", "AnnexID", "Owner")]
    times = [_time(annex.get(name)) for name in ("OrderTime", "EndOfLease")]
    return (*names, *times, _text(annex.get("TargetCapacity")), *_usage(annex), _text(annex.get("State")))


def _owner_row(total: Annex) -> tuple[str, ...]:
    return (_text(total.get("Owner")), _text(total.get("Annexes")), *_usage(total))


def _usage(line: Annex) -> tuple[str, str, str]:
    return _hours(line.get("InstanceSeconds")), _hours(line.get("InstanceSecondsError")), costs.shown(line)


def _hours(seconds: object) -> str:
    return f"{seconds / HOUR_S:.1f}" if isinstance(seconds, int | float) else "-"


def _time(seconds: object) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if is_time(seconds) else "-"


def _text(value: object) -> str:
    """Return a value for a terminal."""
    return "-" if value is None else say.printable(value)
