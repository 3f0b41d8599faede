"""-status: annexes as a table like condor_status's, or as JSON."""

import json
import time
from collections.abc import Mapping
from typing import Any, Final

from annexd.tool import show as say
from annexd.tool.errors import COMMUNICATION, REFUSED, ToolError
from annexd.tool.times import is_time

HEADINGS: Final = (
    "Name",
    "ID",
    "Owner",
    "Fleet",
    "Capacity",
    "Running",
    "LeaseLeft",
    "Ordered",
    "Enforcer",
    "State",
)
RIGHT: Final = ("Capacity", "Running", "LeaseLeft", "Ordered", "Enforcer")
Annex = Mapping[str, Any]


def show(ad: Mapping[str, Any], *, as_json: bool, asked_for: str) -> None:
    """Print what annexd answered; raises ToolError unless that is annexes, or when the one asked for is none."""
    annexes = annexes_in(ad)
    if asked_for and not annexes:
        raise ToolError(REFUSED, f"annexd knows no annex {asked_for} of yours")
    if as_json:
        print(json.dumps(annexes, indent=2))
    elif annexes:
        print("\n".join(lines(annexes, time.time())), flush=True)
    else:
        say.notes(["annexd knows no annexes of yours; one that ended more than a week ago is in its archive"])


def annexes_in(ad: Mapping[str, Any]) -> list[Annex]:
    """Return the annexes in annexd's answer.  Raises ToolError if it has none."""
    say.check(ad)
    try:
        annexes: list[Annex] = json.loads(str(ad.get("Annexes")))
    except ValueError as error:
        raise ToolError(COMMUNICATION, "annexd answered Success without Annexes") from error
    return annexes


def lines(annexes: list[Annex], now_s: float) -> list[str]:
    """As condor_status: headings, an empty line, the rows, when what runs was seen, and why no more runs."""
    rows = [HEADINGS, *(_row(annex, now_s) for annex in annexes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    headings, *others = [_line(row, widths) for row in rows]
    return [headings, "", *others, *_footer(annexes, now_s)]


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = (
        cell.rjust(width) if heading in RIGHT else cell.ljust(width)
        for heading, cell, width in zip(HEADINGS, row, widths, strict=True)
    )
    return " ".join(cells).rstrip()


def _row(annex: Annex, now_s: float) -> tuple[str, ...]:
    values = [
        annex.get(name) for name in ("AnnexName", "AnnexID", "Owner", "BulkRequestID", "TargetCapacity", "Instances")
    ]
    times = [_distance(annex.get(name), now_s) for name in ("EndOfLease", "OrderedEndOfLease")]
    seen = _distance(annex.get("EnforcerSeenTime"), now_s, ago=True)
    return (*("-" if value is None else str(value) for value in values), *times, seen, str(annex.get("State")))


def _distance(value: object, now_s: float, *, ago: bool = False) -> str:
    if not is_time(value):
        return "-"
    return _period(now_s - value if ago else value - now_s)


def _period(seconds: float) -> str:
    """Days and the time, as condor_status writes it."""
    minutes, second = divmod(max(0, round(seconds)), 60)
    return f"{minutes // 1440}+{minutes // 60 % 24:02}:{minutes % 60:02}:{second:02}"


def _footer(annexes: list[Annex], now_s: float) -> list[str]:
    """The ends of one annex in full, and of how long ago the oldest look is whose number is shown."""
    footer = _ends(annexes[0], now_s) if len(annexes) == 1 else []
    seen = [annex["SeenTime"] for annex in annexes if is_time(annex.get("SeenTime"))]
    footer += [f"Running: as annexd saw it in AWS {_period(now_s - min(seen))} ago or later"] if seen else []
    footer += [f"{_name(annex)}: {_trouble(annex)}" for annex in annexes if annex.get("Trouble")]
    footer += [f"Not seen since: {fault}" for fault in _faults(annexes)]
    return ["", *footer] if footer else []


def _name(annex: Annex) -> str:
    return str(annex.get("AnnexName") or annex.get("AnnexID"))


def _trouble(annex: Annex) -> str:
    """Why fewer run than were asked for.  Most of it is AWS's text, and the screen is a terminal."""
    return "".join(char if char.isprintable() else " " for char in str(annex["Trouble"]))


def _faults(annexes: list[Annex]) -> list[str]:
    """Why annexd cannot see what runs, such as keys that have expired; each once."""
    return list(dict.fromkeys(say.in_options(str(annex["SeenFault"])) for annex in annexes if annex.get("SeenFault")))


def _ends(annex: Annex, now_s: float) -> list[str]:
    ends = {"LeaseLeft: until": annex.get("EndOfLease"), "Ordered: until": annex.get("OrderedEndOfLease")}
    return [f"{name} {say.shown_end(end_s, now_s)}" for name, end_s in ends.items() if is_time(end_s)]
