"""Define the courses of histories without faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from test.annex.ads import SPECIFICATION
from test.histories.faults import LAG_S

LEASE_S = 600.0


@dataclass(frozen=True)
class Act:
    """A client's act at `at_s` after the order: order, cancel, extend, until or until now.

    `by_s` is the extension, or the new end in seconds after the order.  With `of_second` the client calls the second
    annexd.
    """

    at_s: float
    what: str
    by_s: float = 0.0
    of_second: bool = False


@dataclass(frozen=True)
class Course:
    """The course of a history without further faults.

    AWS refuses annexd the operations in `refused` at every try, and loses its first response to those in `lost`.
    `second_cancel` is the AWS behaviour for a cancelled fleet that still runs (test.cloud.behaviour).  `limits` is the
    share of EC2's published limits that others leave (0: no limits).  With `protected` all instances are On-Demand
    ones with termination protection.  With `unlisted` a foreign instance exists whose fleet AWS no longer lists.
    `skew_s` is the error of annexd's clock, `date_skew_s` that of the date in AWS's responses.
    """

    name: str
    acts: tuple[Act, ...] = ()
    refused: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    lease_s: float = LEASE_S
    termination_s: float = 2.0
    skew_s: float = 0.0
    date_skew_s: float = 0.0
    lag_s: float = 0.0
    reconcile_s: float = 0.0
    second_cancel: str = "acted-upon"
    protected: bool = False
    limits: float = 0.0
    empty_pages: int = 0
    two_annexds: bool = False
    unlisted: bool = False
    order: Mapping[str, Any] = field(default_factory=dict)


FLEET, EC2_FLEET = frozenset({"RequestSpotFleet"}), frozenset({"CreateFleet"})
BY_EC2_FLEET: Mapping[str, Any] = {"FleetAPI": "EC2Fleet"}
OF_TWO_VERSIONS: Mapping[str, Any] = {
    **BY_EC2_FLEET,
    "LaunchSpecifications": [
        SPECIFICATION,
        {**SPECIFICATION, "ImageId": "ami-87654321", "InstanceType": "c5.large"},
    ],
}
EXTEND, SHORTEN = Act(200.0, "extend", 300.0), Act(50.0, "until now", 400.0)
COURSES = {
    course.name: course
    for course in (
        Course("all goes well"),
        Course("the fleet is denied", refused=FLEET),
        Course("the fleet's answer is lost, then it is denied", refused=FLEET, lost=FLEET),
        Course("a lease of a minute", lease_s=60.0),
        Course(
            "a second cancel is refused, and a foreign instance has AWS's reserved tag only",
            second_cancel="refused",
            unlisted=True,
        ),
        Course("a second cancel has no effect", second_cancel="no-effect"),
        Course("its instances are protected", protected=True, second_cancel="no-effect"),
        Course(
            "a maintained fleet, whose instances take minutes to end", order={"Type": "maintain"}, termination_s=270.0
        ),
        Course("EC2 lags", lag_s=LAG_S, empty_pages=1),
        Course("annexd looks at the account now and then", reconcile_s=200.0, lease_s=300.0),
        Course("annexd's clock is four minutes slow", skew_s=-240.0),
        Course("annexd's clock is four minutes fast", skew_s=240.0),
        Course("AWS's answers have a clock that is ten minutes fast", date_skew_s=600.0),
        Course("a second order half an hour later", acts=(Act(1800.0, "order"),), lease_s=120.0),
        Course("it is cancelled", acts=(Act(400.0, "cancel"),)),
        Course("it is cancelled as soon as it is there", acts=(Act(0.0, "cancel"),), lag_s=LAG_S),
        Course("a slow clock cancels it", acts=(Act(200.0, "cancel"),), skew_s=-240.0, second_cancel="no-effect"),
        Course("it is extended as soon as it is there", acts=(Act(35.0, "extend", 300.0),)),
        Course("it is shortened", acts=(SHORTEN,)),
        Course("it is shortened, and soon extended", acts=(SHORTEN, Act(85.0, "extend", 300.0))),
        Course("it is extended, and then cancelled", acts=(EXTEND, Act(260.0, "cancel"))),
        Course("it is extended and cancelled at once", acts=(EXTEND, Act(200.0, "cancel"))),
        Course("by EC2 Fleet all goes well", order=BY_EC2_FLEET),
        Course("by EC2 Fleet, which is denied", refused=EC2_FLEET, order=BY_EC2_FLEET),
        Course(
            "by EC2 Fleet of two versions, whose answer is lost, and then it is denied",
            refused=EC2_FLEET,
            lost=EC2_FLEET,
            order=OF_TWO_VERSIONS,
        ),
        Course("by EC2 Fleet, where EC2 lags", order=OF_TWO_VERSIONS, lag_s=LAG_S, empty_pages=1),
        Course("by EC2 Fleet, and a second delete has no effect", order=BY_EC2_FLEET, second_cancel="no-effect"),
        Course(
            "by EC2 Fleet it is extended, and then cancelled",
            order=BY_EC2_FLEET,
            acts=(EXTEND, Act(260.0, "cancel")),
        ),
        Course(
            "two annexds change one lease",
            two_annexds=True,
            acts=(EXTEND, Act(202.0, "until now", 500.0, of_second=True), Act(300.0, "cancel", of_second=True)),
        ),
    )
}
