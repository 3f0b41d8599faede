"""Define the faults at one point of a history: an append to the journal, a call to AWS, a run.

Points are counted and faults are named.  A history consists of the faults at its points, so that it can be written
in one line and played again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from test.cloud.propagation import UNKNOWN_ROLE

ANNEXD, SECOND, LEASE = "annexd", "second", "lease"  # the actors of points; SECOND is another annexd
APPEND, CALL, RUN = "append", "call", "run"
HOUR_S: Final = 3600.0
TICK_S: Final = 300.0
BEFORE, AFTER, IN_FLIGHT = "before", "after", "in flight"
NEVER: Final = float("inf")
BY_ID, DRY_RUN = " by ID", "DryRun of "  # in the name of a call


@dataclass(frozen=True)
class Point:
    """The point `number` of `actor`, counted from 1; `what` is the AWS operation or the journal record."""

    actor: str
    number: int
    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.actor} {self.number}: {self.place} {self.what}"


@dataclass(frozen=True)
class Fault:
    """A fault; `way` is its kind, `side` the side of the effect on which it strikes.

    `away_s` is the time for which an actor that dies is away, or the stack, the function or EC2's limits are affected.
    For `lasts_s` all further calls of this actor fail in the same way.  `excuse_s` is the time by which instances may
    end later than promised.
    """

    way: str
    side: str = BEFORE
    away_s: float = 0.0
    lasts_s: float = 0.0
    excuse_s: float = 0.0
    empty_disk: bool = False  # the next process knows nothing


LOST, LATE_ANSWER, LATE_EFFECT, TWICE = "lost", "late answer", "late effect", "twice"
THROTTLED, INTERNAL, DENIED, PARTIAL = "throttled", "internal", "denied", "partial"
DIES, SECOND_RUN, LAGS, OMITS, SHIFTS, UNKNOWN_ID = "dies", "second run", "lags", "omits", "shifts", "unknown ID"
TAG_LATE, TAG_LOST = "tag late", "tag lost"
NOT_YET, UNKNOWN_FOR_LONG, UNKNOWN_FLEET = "not known yet", "unknown for long", "unknown fleet"
STRIPPED, FORGED, GARBLED, CANCELLED = "stripped", "forged", "garbled", "cancelled by hand"
UNFLEETED, EXTENDED, ENDED = "cancelled without its instances", "extended meanwhile", "ended meanwhile"
FULL, SLOW = "disk full", "disk slow"
MISSED, LATE_RUN, HAND_RUN, RECREATE, LOWERED, CLOSED, BUSY = (
    "missed",
    "late run",
    "run by hand",
    "stack recreated",
    "lowered",
    "closed",
    "busy",
)
ERRORS: Final = {THROTTLED: "throttle", INTERNAL: "internal", DENIED: "denied"}
BY_HAND: Final = frozenset({STRIPPED, FORGED, GARBLED, CANCELLED, UNFLEETED})

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
# A death before a point equals a death after the previous one, so only deaths after or during a point are played.
DEATHS: Final[Mapping[str, Fault]] = {
    f"{name} {side}": Fault(DIES, side, away_s)
    for name, away_s in {
        "killed, restarted": 5.0,
        "killed, restarted after the provisioning delay": 400.0,
        "killed, restarted after the lease": 1500.0,
        "gone for good": NEVER,
    }.items()
    for side in (AFTER, IN_FLIGHT)
}
SUCCESSIONS: Final[Mapping[str, Fault]] = {
    f"{name} {side}": Fault(DIES, side, away_s, empty_disk=True)
    for name, away_s in {
        "gone for good, and a new one on an empty disk": 45.0,
        "gone for good, and a new one on an empty disk after the lease": 1500.0,
    }.items()
    for side in (AFTER, IN_FLIGHT)
}
LAG_S: Final = 25.0  # of EC2; together with a late effect, less than annexd waits before it accepts "not found"
OMITS_LONG: Final = "leaves one out for an hour"  # an undo without an ID depends on the list: docs/leases.md
INSIDE: Final[Mapping[str, Fault]] = {  # of a call that otherwise succeeds
    "partial failure inside a 200": Fault(PARTIAL),
    "shows what was so a while ago": Fault(LAGS, excuse_s=2 * LAG_S),
    "shows what was so a while ago for an hour": Fault(LAGS, lasts_s=HOUR_S, excuse_s=2 * LAG_S),
    "leaves one out": Fault(OMITS),
    OMITS_LONG: Fault(OMITS, lasts_s=HOUR_S),
    "a page that shifts": Fault(SHIFTS),
    "knows no such ID": Fault(UNKNOWN_ID),
    "knows no such fleet to cancel": Fault(UNKNOWN_FLEET),
    "the tag shows later": Fault(TAG_LATE),
    "the tag is lost": Fault(TAG_LOST),
}
HANDS: Final[Mapping[str, Fault]] = {
    "its tags are stripped by hand": Fault(STRIPPED),
    "its end is moved by years by hand": Fault(FORGED),
    "its tags are garbled by hand": Fault(GARBLED),
    "it is tagged as cancelled by hand": Fault(CANCELLED),
    "its fleet is cancelled by hand without its instances": Fault(UNFLEETED),
}
PROPAGATION: Final[Mapping[str, Fault]] = {  # annexd/aws/not_yet.py
    "what it needs is not known yet": Fault(NOT_YET),
    "what it needs is not known for a minute": Fault(NOT_YET, lasts_s=60.0),
    "what it needs is not known for an hour": Fault(UNKNOWN_FOR_LONG, lasts_s=HOUR_S),
}
# The response of AWS to each operation in this case: status, code, message.
NOT_KNOWN: Final[Mapping[str, tuple[int, str, str]]] = {
    "RequestSpotFleet": (400, "InvalidSpotFleetRequestConfig", UNKNOWN_ROLE),
    "CreateFleet": (400, "InvalidLaunchTemplateName.NotFoundException", "The launch template does not exist"),
    "PutObject": (404, "NoSuchBucket", "The specified bucket does not exist"),
    "DeleteObject": (404, "NoSuchBucket", "The specified bucket does not exist"),
    "CreateTags": (400, "InvalidSpotFleetRequestId.NotFound", "The Spot Fleet request ID does not exist"),
    "TerminateInstances": (400, "InvalidInstanceID.NotFound", "The instance ID does not exist"),
}
FLEET_LISTS: Final = ("DescribeSpotFleetRequests", "DescribeFleets")
FLEETS_BY_ID: Final = tuple(f"{operation}{BY_ID}" for operation in FLEET_LISTS)
FLEET_ENDS: Final = ("CancelSpotFleetRequests", "DeleteFleets")
NO_SUCH_FLEET: Final = {"CancelSpotFleetRequests": "fleetRequestIdDoesNotExist", "DeleteFleets": "fleetIdDoesNotExist"}
WITH_FLEETS: Final = (
    "DescribeSpotFleetRequests",
    "DescribeInstances",
    *FLEET_ENDS,
    "TerminateInstances",
    "CreateTags",
)
ONLY_AT: Final[Mapping[str, tuple[str, ...]]] = {  # faults that are impossible or irrelevant at other calls
    **dict.fromkeys(BY_HAND, WITH_FLEETS),
    PARTIAL: FLEET_ENDS,
    UNKNOWN_FLEET: FLEET_ENDS,
    NOT_YET: tuple(NOT_KNOWN),
    UNKNOWN_FOR_LONG: tuple(operation for operation in NOT_KNOWN if operation != "DeleteObject"),  # it is gone
    LAGS: (*FLEET_LISTS, *FLEETS_BY_ID, "DescribeInstances"),
    OMITS: (*FLEET_LISTS, "DescribeInstances"),
    SHIFTS: FLEET_LISTS,
    UNKNOWN_ID: FLEETS_BY_ID,
    TAG_LATE: ("CreateTags",),
    TAG_LOST: ("CreateTags",),
}

AT_APPENDS: Final[Mapping[str, Fault]] = {
    **{name: fault for name, fault in {**DEATHS, **SUCCESSIONS}.items() if fault.side != IN_FLIGHT},
    "disk full for a minute": Fault(FULL, lasts_s=60.0),
    "disk hangs for a while": Fault(SLOW),
    "disk hangs at each write for an hour": Fault(SLOW, lasts_s=HOUR_S),
}
AT_CALLS: Final[Mapping[str, Fault]] = {
    **ONCE,
    **LASTING,
    **DEATHS,
    **SUCCESSIONS,
    **HANDS,
    **PROPAGATION,
    **{name: fault for name, fault in INSIDE.items() if name != OMITS_LONG},
}

CUT_OFF_S: Final = 240.0 + 60.0  # a run that hung until its limit, and the wait for the next tick
IN_FUNCTION: Final[Mapping[str, Fault]] = {
    **{name: replace(fault, excuse_s=CUT_OFF_S) for name, fault in ONCE.items()},
    **{name: replace(fault, excuse_s=CUT_OFF_S + fault.lasts_s) for name, fault in INSIDE.items()},
    **{name: replace(fault, excuse_s=HOUR_S + CUT_OFF_S) for name, fault in LASTING.items() if fault.lasts_s == HOUR_S},
    **{f"cut off {side}": Fault(DIES, side, excuse_s=CUT_OFF_S) for side in (AFTER, IN_FLIGHT)},
    "another run in the middle": Fault(SECOND_RUN),
    "its owner extends it meanwhile": Fault(EXTENDED),
    "its owner cancels it meanwhile": Fault(ENDED),
    **HANDS,
}
AT_RUNS: Final[Mapping[str, Fault]] = {
    "no run for an hour": Fault(MISSED, lasts_s=HOUR_S, excuse_s=HOUR_S),
    "called by hand instead of by its rule for an hour": Fault(HAND_RUN, lasts_s=HOUR_S),
    "four minutes late": Fault(LATE_RUN, lasts_s=240.0, excuse_s=240.0),
    "run twice": Fault(TWICE),
    "cut off at its start": Fault(DIES, excuse_s=CUT_OFF_S),
    "the stack is deleted, and made again ten minutes later": Fault(RECREATE, away_s=600.0, excuse_s=600.0 + TICK_S),
    "MaxLease is lowered to five minutes": Fault(LOWERED),
    "it is closed for an hour": Fault(CLOSED, away_s=HOUR_S),
    "others use up EC2's limits for an hour": Fault(BUSY, away_s=HOUR_S, excuse_s=TICK_S),
}


def faults_at(point: Point) -> Mapping[str, Fault]:
    """Return the faults possible at a point, by name."""
    if point.place == RUN:
        return AT_RUNS
    if point.place == APPEND:
        return AT_APPENDS
    if point.what.startswith(DRY_RUN):  # without effect
        return {name: IN_FUNCTION[name] for name in ("request lost", "throttled for an hour", "denied")}
    faults = IN_FUNCTION if point.actor == LEASE else AT_CALLS
    return {name: fault for name, fault in faults.items() if point.what in ONLY_AT.get(fault.way, (point.what,))}
