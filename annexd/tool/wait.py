"""-wait: follow an annex until enough of its machines have joined the pool, or cannot any more.

Each line has the same five counts: asked for, running in AWS, booted (its condor_master reports to the collector),
joined (it has a slot there) and claimed.  annexd replies from its own data, so a query costs nothing.
"""

import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol

from annexd.tool import show
from annexd.tool.errors import COMMUNICATION, NOT_FOUND, REFUSED, UNREACHABLE, Interrupted, ToolError
from annexd.tool.goal import Goal
from annexd.tool.table import NUMBERS, Annex, name_of
from annexd.tool.times import is_time, shown_distance

POLL_S: Final = 5.0
ABSENT_S: Final = 600.0  # time for which annexd may be unreachable, such as while its machine restarts
AWAY: Final = frozenset({COMMUNICATION, NOT_FOUND})
ENDED: Final = frozenset({"failed", "undoing", "cancelling", "cancelled", "over"})
COUNTS: Final = {column.lower(): attribute for column, attribute in NUMBERS.items()}


class Display(Protocol):
    """Shows one look at the annex."""

    def __call__(self, annex: Annex, now_s: float) -> None: ...


def follow(
    annex_of: Callable[[], Annex],
    goal: Goal,
    display: AbstractContextManager[Display],
    timeout_s: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return once the goal is reached.  Raises ToolError if it cannot be reached, or was not within `timeout_s`."""
    deadline_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
    patient, trouble = _Patient(annex_of, sleep), None
    with display as shown:
        while True:
            annex = patient.annex()
            shown(annex, time.time())
            if annex.get("Trouble") not in (None, trouble):
                trouble = annex["Trouble"]
                show.notes([_printable(trouble)])
            wanted = goal.of(_number(annex, "TargetCapacity"))
            joined = _number(annex, "Joined")
            if wanted is not None and joined is not None and joined >= wanted:
                return
            if reason := why_never(annex, wanted):
                raise ToolError(UNREACHABLE, reason)
            if time.monotonic() >= deadline_s:
                raise ToolError(
                    UNREACHABLE, f"not {goal} within {timeout_s:g} s; the annex continues", _again(annex, goal)
                )
            sleep(POLL_S)


class _Patient:
    """Repeats queries while annexd is unreachable, for up to ABSENT_S."""

    def __init__(self, annex_of: Callable[[], Annex], sleep: Callable[[float], None]) -> None:
        self._annex_of, self._sleep = annex_of, sleep

    def annex(self) -> Annex:
        """Return the annex.  Raises ToolError."""
        end_s = time.monotonic() + ABSENT_S
        announced = False
        while True:
            try:
                return self._annex_of()
            except ToolError as error:
                if error.status not in AWAY or time.monotonic() > end_s:
                    raise
                if not announced:
                    show.notes([f"{error.faults[0]}; the annex continues, and the query is repeated"])
                announced = True
            self._sleep(POLL_S)


def why_never(annex: Annex, wanted: int | None) -> str:
    """Return why this many machines cannot join any more, or nothing."""
    name, trouble = name_of(annex), annex.get("Trouble")
    because = f": {_printable(trouble)}" if trouble else ""
    if annex.get("State") in ENDED:
        return f"the annex {name} is {annex['State']}{because}"
    alive = _number(annex, "Instances")
    if annex.get("Launching") is False and alive is not None and wanted is not None and alive < wanted:
        return (
            f"AWS starts no more instances for the annex {name}, and {alive} of the {wanted} wanted ones live{because}"
        )
    return ""


def line(annex: Annex, now_s: float) -> str:
    """Return the five counts and the time that is left."""
    counts = ", ".join(f"{name} {_shown(_number(annex, attribute))}" for name, attribute in COUNTS.items())
    return f"{counts}; the lease ends {_left(annex, now_s)}"


def json_line(annex: Annex, now_s: float) -> str:
    counts = {attribute: annex.get(attribute) for attribute in COUNTS.values()}
    more = {name: annex.get(name) for name in ("AnnexID", "State", "EndOfLease", "SeenTime", "PoolSeenTime", "Trouble")}
    return json.dumps({"Time": int(now_s), **counts, **more})


class Lines:
    """Prints a line at each change: for files, pipes and -json."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json, self._last = as_json, ""

    def __call__(self, annex: Annex, now_s: float) -> None:
        changing = json.dumps([annex.get(name) for name in (*COUNTS.values(), "State", "EndOfLease", "Trouble")])
        if changing != self._last:
            self._last = changing
            print(json_line(annex, now_s) if self._as_json else line(annex, now_s), flush=True)


def display(*, as_json: bool) -> AbstractContextManager[Display]:
    """Return a bar for a terminal, else lines."""
    if as_json or not sys.stdout.isatty():
        return nullcontext(Lines(as_json=as_json))
    from annexd.tool.bar import Bar

    return Bar(line)


def only(annexes: list[Annex], reference: str) -> Annex:
    """Return the only annex in annexd's reply.  Raises ToolError."""
    if not annexes:
        raise ToolError(REFUSED, f"annexd knows no annex {reference} of yours")
    if len(annexes) > 1:
        ids = ", ".join(str(each.get("AnnexID")) for each in annexes)
        raise ToolError(REFUSED, f"{reference} means several annexes: name one by its ID, of {ids}")
    if not isinstance(annexes[0], Mapping):
        raise ToolError(COMMUNICATION, "annexd's answer contains no annex")
    return annexes[0]


def left_alone(interrupted: Interrupted, annex_id: str, goal: Goal) -> ToolError:
    """Return the message for a user who stopped waiting."""
    return ToolError(interrupted.status, "no longer waiting; the annex continues", _again({"AnnexID": annex_id}, goal))


def _again(annex: Annex, goal: Goal) -> str:
    return f"condor_annex -wait {goal} {annex.get('AnnexID')} waits again; condor_annex -cancel ends it"


def _left(annex: Annex, now_s: float) -> str:
    end_s = annex.get("EndOfLease")
    return shown_distance(end_s - now_s) if is_time(end_s) else "at a time that is not known"


def _number(annex: Annex, attribute: str) -> int | None:
    value = annex.get(attribute)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _shown(count: int | None) -> str:
    return "?" if count is None else str(count)


def _printable(text: object) -> str:
    return show.printable(show.in_options(str(text)))
