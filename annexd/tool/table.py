"""Print annexes for -status: as a table like condor_status's, or as JSON."""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn

from annexd.tool import costs
from annexd.tool import show as say
from annexd.tool.errors import COMMUNICATION, REFUSED, ToolError
from annexd.tool.times import is_time

NUMBERS: Final = {
    "Asked": "TargetCapacity",
    "Running": "Running",
    "Booted": "Booted",
    "Joined": "Joined",
    "Claimed": "Claimed",
}
TIMES: Final = {"LeaseLeft": "EndOfLease", "Ordered": "OrderedEndOfLease"}
TEXTS: Final = {"ID": "AnnexID", "Owner": "Owner", "Fleet request": "BulkRequestID", "State": "State"}
NARROW: Final = ("Name", "Owner", "Asked", "Running", "Joined", "Claimed", "LeaseLeft", costs.HEADING, "State")
WIDE: Final = ("Name", "ID", "Owner", "Fleet request", *NUMBERS, *TIMES, "Enforcer", costs.HEADING, "State")
RIGHT: Final = (*NUMBERS, *TIMES, "Enforcer", costs.HEADING)
WATCH_S: Final = 5.0
CLEAR: Final = "\x1b[H\x1b[2J\x1b[3J"
Annex = Mapping[str, Any]


def show(ad: Mapping[str, Any], *, as_json: bool, asked_for: str, wide: bool = False) -> None:
    """Print annexd's reply.  Raises ToolError if it has no annexes list, or not the requested annex."""
    annexes = annexes_in(ad)
    if asked_for and not annexes:
        raise ToolError(REFUSED, f"annexd knows no annex {asked_for} of yours")
    if as_json:
        print(json.dumps(annexes, indent=2))
    elif annexes:
        print("\n".join(lines(annexes, time.time(), wide=wide)), flush=True)
    else:
        say.notes(
            ["no annex of yours lives or ended within the last hour: condor_annex -history shows the earlier ones"]
        )


def watch(reply: Callable[[], Mapping[str, Any]], *, asked_for: str, wide: bool) -> NoReturn:
    """Print the table again and again; on a terminal, in place of the one before.  Ends by a signal or ToolError."""
    while True:
        ad = reply()
        if sys.stdout.isatty():
            print(CLEAR, end="")
        print(time.strftime("%Y-%m-%d %H:%M:%S %Z"))
        show(ad, as_json=False, asked_for=asked_for, wide=wide)
        time.sleep(WATCH_S)


def annexes_in(ad: Mapping[str, Any]) -> list[Annex]:
    """Return the annexes in annexd's reply.  Raises ToolError if it has no list of annexes."""
    say.check(ad)
    try:
        annexes: list[Annex] = json.loads(str(ad.get("Annexes")))
    except ValueError as error:
        raise ToolError(COMMUNICATION, "annexd answered Success without Annexes") from error
    return annexes


def lines(annexes: list[Annex], now_s: float, *, wide: bool = False) -> list[str]:
    """Return the table as condor_status prints it, and below it when AWS was seen and why fewer instances run."""
    columns = WIDE if wide else [each for each in NARROW if each != "Owner" or _owners(annexes) > 1]
    rows = [tuple(columns), *(tuple(_cell(annex, each, now_s) for each in columns) for annex in annexes)]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    headings, *others = [_line(row, columns, widths) for row in rows]
    return [headings, "", *others, *_footer(annexes, now_s)]


def _owners(annexes: list[Annex]) -> int:
    return len({annex.get("Owner") for annex in annexes})


def _line(row: tuple[str, ...], columns: Sequence[str], widths: list[int]) -> str:
    cells = (
        cell.rjust(width) if heading in RIGHT else cell.ljust(width)
        for heading, cell, width in zip(columns, row, widths, strict=True)
    )
    return " ".join(cells).rstrip()


def _cell(annex: Annex, column: str, now_s: float) -> str:
    if column == "Name":
        return name_of(annex)
    if column == costs.HEADING:
        return costs.shown(annex)
    if column == "Enforcer":
        return _distance(annex.get("EnforcerSeenTime"), now_s, ago=True)
    if column in TIMES:
        return _distance(annex.get(TIMES[column]), now_s)
    value = annex.get({**NUMBERS, **TEXTS}[column])
    return "-" if value is None else str(value)


def _distance(value: object, now_s: float, *, ago: bool = False) -> str:
    if not is_time(value):
        return "-"
    return _period(now_s - value if ago else value - now_s)


def _period(seconds: float) -> str:
    """Format days and time as condor_status does."""
    minutes, second = divmod(max(0, round(seconds)), 60)
    return f"{minutes // 1440}+{minutes // 60 % 24:02}:{minutes % 60:02}:{second:02}"


def _footer(annexes: list[Annex], now_s: float) -> list[str]:
    """Return the ends of a single annex in full, the age of the oldest number shown, and the faults."""
    footer = _ends(annexes[0], now_s) if len(annexes) == 1 else []
    seen = [annex["SeenTime"] for annex in annexes if is_time(annex.get("SeenTime"))]
    footer += [f"Running: as annexd saw them in AWS {_period(now_s - min(seen))} ago or later"] if seen else []
    pool = [annex["PoolSeenTime"] for annex in annexes if is_time(annex.get("PoolSeenTime"))]
    footer += [f"Joined, Claimed: machines in the collector {_period(now_s - min(pool))} ago or later"] if pool else []
    footer += [costs.NOTE] if costs.is_any(annexes) else []
    footer += [f"{name_of(annex)}: {say.printable(annex['Trouble'])}" for annex in annexes if annex.get("Trouble")]
    footer += [f"Not seen since: {fault}" for fault in _faults(annexes)]
    footer += list(dict.fromkeys(f"The pool, not seen since: {a['PoolFault']}" for a in annexes if a.get("PoolFault")))
    return ["", *footer] if footer else []


def name_of(annex: Annex) -> str:
    """Return the user's name of the annex, or its ID."""
    return str(annex.get("AnnexName") or annex.get("AnnexID"))


def _faults(annexes: list[Annex]) -> list[str]:
    """Return each reason once why annexd cannot see AWS, such as expired keys."""
    return list(dict.fromkeys(say.in_options(str(annex["SeenFault"])) for annex in annexes if annex.get("SeenFault")))


def _ends(annex: Annex, now_s: float) -> list[str]:
    ends = {"LeaseLeft: until": annex.get("EndOfLease"), "Ordered: until": annex.get("OrderedEndOfLease")}
    return [f"{name} {say.shown_end(end_s, now_s)}" for name, end_s in ends.items() if is_time(end_s)]
