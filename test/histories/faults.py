"""What may go wrong at one point of a history: at an append to the journal, at a call to AWS, at a run.

A point is counted, a fault is named, and a history is the faults at its points: so each can be written down
in a line and played again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

ANNEXD, LEASE = "annexd", "lease"  # whose points they are
APPEND, CALL, RUN = "append", "call", "run"
HOUR_S: Final = 3600.0
BEFORE, AFTER, IN_FLIGHT = "before", "after", "in flight"
NEVER: Final = float("inf")


@dataclass(frozen=True)
class Point:
    """The point `number` of `actor`, counted from 1; `what` is AWS's operation, or the record."""

    actor: str
    number: int
    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.actor} {self.number}: {self.place} {self.what}"


@dataclass(frozen=True)
class Fault:
    """`way` is what happens.  When somebody dies: on which side of the effect, and for how long.

    `lasts_s` is how long all further calls of this actor fail in the same way; `excuse_s` how much later
    than promised the instances may end: nobody but AWS itself can make that happen.
    """

    way: str
    side: str = BEFORE
    away_s: float = 0.0
    lasts_s: float = 0.0
    excuse_s: float = 0.0
    empty_disk: bool = False  # whoever starts then knows nothing


LOST, LATE_ANSWER, LATE_EFFECT, TWICE = "lost", "late answer", "late effect", "twice"
THROTTLED, INTERNAL, DENIED, PARTIAL = "throttled", "internal", "denied", "partial"
DIES, SECOND_RUN, BY_HAND, LAGS = "dies", "second run", "by hand", "lags"
FULL, SLOW = "disk full", "disk slow"
MISSED, LATE_RUN = "missed", "late run"
ERRORS: Final = {THROTTLED: "throttle", INTERNAL: "internal", DENIED: "denied"}

ONCE: Final[Mapping[str, Fault]] = {
    "request lost": Fault(LOST),
    "answer lost after the effect": Fault(LOST, AFTER),
    "answer delayed past the time-out": Fault(LATE_ANSWER),
    "request delayed past the time-out": Fault(LATE_EFFECT),
    "arrives twice": Fault(TWICE),
    "throttled": Fault(THROTTLED),
    "500": Fault(INTERNAL),
    "500 after the effect": Fault(INTERNAL, AFTER),
    "denied": Fault(DENIED),
}
LASTING: Final[Mapping[str, Fault]] = {
    f"{name} {how_long}": Fault(way, lasts_s=lasts_s)
    for name, way in {"requests lost": LOST, "throttled": THROTTLED, "500": INTERNAL, "denied": DENIED}.items()
    for how_long, lasts_s in {"for an hour": HOUR_S, "for good": NEVER}.items()
}
DEATHS: Final[Mapping[str, Fault]] = {
    f"{name} {side}": Fault(DIES, side, away_s)
    for name, away_s in {
        "killed, restarted": 5.0,
        "killed, restarted before the first tick": 290.0,
        "killed, restarted after the provisioning delay": 400.0,
        "killed, restarted after the lease": 1500.0,
        "gone for good": NEVER,
    }.items()
    for side in (BEFORE, AFTER, IN_FLIGHT)
}
LAG_S: Final = 25.0  # EC2's; with a late effect less than annexd waits before it takes "not found" for an answer
LAGGING: Final[Mapping[str, Fault]] = {
    "tells what was so a while ago": Fault(LAGS, excuse_s=2 * LAG_S),
    "tells what was so a while ago for an hour": Fault(LAGS, lasts_s=HOUR_S, excuse_s=2 * LAG_S),
}
SUCCESSIONS: Final[Mapping[str, Fault]] = {
    f"{name} {side}": Fault(DIES, side, away_s, empty_disk=True)
    for name, away_s in {
        "gone for good, and a new one on an empty disk": 45.0,
        "gone for good, and a new one on an empty disk after the lease": 1500.0,
    }.items()
    for side in (BEFORE, AFTER, IN_FLIGHT)
}
PARTLY: Final = {"partial failure inside a 200": Fault(PARTIAL)}
PARTIAL_OPERATIONS: Final = ("PutTargets", "RemoveTargets", "CancelSpotFleetRequests")
LAGGING_OPERATIONS: Final = ("DescribeSpotFleetRequests", "DescribeInstances", "DescribeSpotFleetInstances")

AT_APPENDS: Final[Mapping[str, Fault]] = {
    **{name: fault for name, fault in {**DEATHS, **SUCCESSIONS}.items() if fault.side != IN_FLIGHT},
    "disk full for a minute": Fault(FULL, lasts_s=60.0),
    "disk hangs for a while": Fault(SLOW),
    "disk hangs at each write for an hour": Fault(SLOW, lasts_s=HOUR_S),
}
AT_CALLS: Final[Mapping[str, Fault]] = {**ONCE, **LASTING, **DEATHS, **SUCCESSIONS, **PARTLY, **LAGGING}

CUT_OFF_S: Final = 240.0 + 60.0  # a run that hung to its limit, and the wait for Lambda's next try
IN_FUNCTION: Final[Mapping[str, Fault]] = {
    **{name: Fault(fault.way, fault.side, excuse_s=CUT_OFF_S) for name, fault in ONCE.items()},
    **{name: Fault(PARTIAL, excuse_s=CUT_OFF_S) for name in PARTLY},
    **LAGGING,
    **{
        f"{name} for an hour": Fault(way, lasts_s=HOUR_S, excuse_s=HOUR_S + CUT_OFF_S)
        for name, way in {"requests lost": LOST, "throttled": THROTTLED, "500": INTERNAL, "denied": DENIED}.items()
    },
    **{f"cut off {side}": Fault(DIES, side, excuse_s=CUT_OFF_S) for side in (BEFORE, AFTER, IN_FLIGHT)},
    "another run in the middle": Fault(SECOND_RUN),
    "its rule is deleted by hand": Fault(BY_HAND),
}
AT_RUNS: Final[Mapping[str, Fault]] = {
    "no run for an hour": Fault(MISSED, lasts_s=HOUR_S, excuse_s=HOUR_S),
    "four minutes late": Fault(LATE_RUN, lasts_s=240.0, excuse_s=240.0),
    "run twice": Fault(TWICE),
    "cut off at its start": Fault(DIES, excuse_s=CUT_OFF_S),
}


def faults_at(point: Point) -> Mapping[str, Fault]:
    """What may go wrong there, by name."""
    if point.place == RUN:
        return AT_RUNS
    if point.place == APPEND:
        return AT_APPENDS
    faults = AT_CALLS if point.actor == ANNEXD else IN_FUNCTION
    impossible = set() if point.what in PARTIAL_OPERATIONS else {PARTIAL}
    impossible |= set() if point.what in LAGGING_OPERATIONS else {LAGS}
    return {name: fault for name, fault in faults.items() if fault.way not in impossible}
