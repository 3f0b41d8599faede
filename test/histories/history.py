"""One history: an order, what goes wrong and where, and the verdict of the model at its end.

It is written `course | annexd 7: request lost | lease 3: throttled`, and played again from that.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annexd.annex.reply import ReplyAd
from annexd.annex.roll import CANCEL
from annexd.workflow import Json, Kind
from test.annex.ads import bulk_request_ad
from test.cloud.fleets import Fleet
from test.histories import faults
from test.histories.annexd import Annexd
from test.histories.bystanders import harmed, settle_in
from test.histories.cloud import RETRY_AFTER_S, Cloud
from test.histories.faults import ANNEXD, CALL, LEASE, Fault, Point
from test.histories.function import Function
from test.histories.model import Annex, Model
from test.histories.points import Fate, Points
from test.histories.services import FUNCTION_ARN
from test.histories.timeline import START_S, Timeline
from test.histories.transport import URL

LEASE_S = 900
ASK_AGAIN_S = 30.0
AFTERWARDS_S = 3 * 3600.0  # how long a history goes on after the lease: longer than any fault lasts


@dataclass(frozen=True)
class Course:
    """How a history goes when nothing else goes wrong.

    `refused` are operations that AWS refuses annexd whatever it tries; `lost` those whose first answer is lost.
    `cancel_s` after the order its client cancels the annex, and asks again until that is answered.
    """

    name: str
    refused: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    lease_s: int = LEASE_S
    termination_s: float = 2.0
    skew_s: float = 0.0
    lag_s: float = 0.0
    reconcile_s: float = 0.0
    cancel_s: float | None = None
    order: Mapping[str, Any] = field(default_factory=dict)


COURSES = {
    course.name: course
    for course in (
        Course("all goes well"),
        Course("the fleet is denied", refused=frozenset({"RequestSpotFleet"})),
        Course(
            "the fleet's answer is lost, then it is denied",
            refused=frozenset({"RequestSpotFleet"}),
            lost=frozenset({"RequestSpotFleet"}),
        ),
        Course("the target is denied", refused=frozenset({"PutTargets"})),
        Course("a lease of a minute", lease_s=60),
        Course("instances take minutes to end", termination_s=270.0),
        Course("a maintained fleet", order={"Type": "maintain"}),
        Course("a lease until just before the first tick, and EC2 lags", lease_s=295, lag_s=faults.LAG_S),
        Course("annexd looks at the account now and then", reconcile_s=850.0),
        Course("annexd's clock is four minutes slow", skew_s=-240.0),
        Course("annexd's clock is four minutes fast", skew_s=240.0),
        Course("it is cancelled", cancel_s=400.0),
        Course("it is cancelled as soon as it is there", cancel_s=0.0, lag_s=faults.LAG_S),
        Course("it is cancelled, and annexd looks at the account now and then", cancel_s=845.0, reconcile_s=850.0,
               lease_s=1800),
        Course("a slow clock cancels it before the first tick, and EC2 lags", cancel_s=298.0, skew_s=-240.0,
               lag_s=faults.LAG_S),
        Course("a clock that is four minutes fast cancels it", cancel_s=200.0, skew_s=240.0),
    )
}


@dataclass(frozen=True)
class History:
    """A course, and the names of the faults at its points."""

    course: Course
    plan: Mapping[tuple[str, int], str] = field(default_factory=dict)  # actor and number of a point -> its fault

    def fate(self, point: Point) -> str | None:
        return self.plan.get((point.actor, point.number))

    def __str__(self) -> str:
        return " | ".join([self.course.name, *(f"{actor} {n}: {name}" for (actor, n), name in self.plan.items())])

    @classmethod
    def read(cls, text: str) -> History:
        """The history that is written `text`."""
        course, *points = text.split(" | ")
        split = [point.partition(": ") for point in points]
        plan = {(place.split()[0], int(place.split()[1])): name for place, _, name in split}
        return cls(COURSES[course], plan)


@dataclass(frozen=True)
class Verdict:
    """What came of a history; `violations` is empty when the model held."""

    name: str
    violations: tuple[str, ...]
    met: tuple[Point, ...]
    log: tuple[str, ...]
    results: tuple[str, ...]

    def __str__(self) -> str:
        words = [f"  {words}" for words in self.violations]
        return "\n".join([self.name, *words, f'  replay: python -m test.histories --replay "{self.name}"'])


def play(history: History, home: Path) -> Verdict:
    """Run it to its end, in virtual time; `home` is an empty folder."""
    random.seed(str(history))  # botocore's jitter
    stage = Stage(history.course, history.fate, home)
    lease_s = history.course.lease_s
    return stage.play(str(history), lambda: stage.begin(lease_s), lease_s + AFTERWARDS_S)


class Stage:
    """Cloud, function, daemon and model of one history."""

    def __init__(self, course: Course, fate: Fate, home: Path) -> None:
        self.course = course
        self.timeline = Timeline()
        self.points = Points(self.timeline, fate)
        self.cloud = Cloud(self.timeline, self.points, course.termination_s)
        self.cloud.lag_s = course.lag_s
        self.function = Function(self.cloud)
        self.model = Model(self.cloud, self.function.deleted_by_hand)
        self.cloud.seen = self.model.observe
        self.cloud.spoils = self._spoils
        self.annexd = Annexd(self.cloud, home, self._recorded, course.skew_s, course.reconcile_s)
        self.ads: dict[str, dict[str, Any]] = {}
        self.bystanders: list[Fleet] = []
        self._lost = set(course.lost)

    def play(self, name: str, begin: Callable[[], None], length_s: float) -> Verdict:
        """annexd starts, `begin` orders something, and `length_s` later it is looked at what is left."""
        with self.function.deployed():
            try:
                self.annexd.start()
                begin()
                self.timeline.run_to(START_S + length_s)
            finally:
                self.annexd.close()
        return self._conclude(name)

    def begin(self, lease_s: int) -> None:
        """What the client of the course does."""
        self.order("command-1", lease_s)
        if self.course.cancel_s is not None:
            self.timeline.after(self.course.cancel_s, lambda: self.cancel("cancel-1", "command-1"))

    def cancel(self, command_id: str, of: str) -> None:
        """A client ends the annex of the order `of`, and asks until it is told that it is over, or cannot be."""
        annexes = [annex for annex in self.model.annexes.values() if annex.command_id == of]
        if not annexes or self.timeline.now_s > annexes[-1].deadline_s:
            return
        keys = {"PublicKeyFile": "/home/alice/public", "SecretKeyFile": "/home/alice/secret"}
        ad = {"Command": "CA_CANCEL_ANNEX", "RequestVersion": 1, "CommandID": command_id, **keys}
        answers: list[ReplyAd] = []
        self.annexd.order({**ad, "Annex": annexes[-1].annex_id}, answers.append)
        if not answers or answers[0]["Result"] in ("UnknownError", "InvalidState"):
            self.timeline.after(ASK_AGAIN_S, lambda: self.cancel(command_id, of))

    def order(self, command_id: str, lease_s: int) -> None:
        """A client asks; one that asks again sends the same ad."""
        if command_id not in self.ads:
            self.ads[command_id] = self.ad(command_id, int(self.annexd.now_s()) + lease_s)
        self.annexd.order(self.ads[command_id])

    def ad(self, command_id: str, end_of_lease_s: int) -> dict[str, Any]:
        urls = dict.fromkeys(("ServiceURL", "EventsURL", "LambdaURL", "STSURL"), URL)
        own = {"CommandID": command_id, "EndOfLease": end_of_lease_s, "LeaseFunctionARN": FUNCTION_ARN}
        return bulk_request_ad(self.annexd.now_s(), **own, **urls, **self.course.order)

    def _conclude(self, name: str) -> Verdict:
        lasting = [point.actor for point, fault in self.points.struck if point.place == CALL and fault.lasts_s]
        cut_off = [point for point, fault in self.points.struck if (point.actor, fault.way) == (LEASE, faults.DIES)]
        self.model.excuse_s = 2 * self.course.lag_s + sum(fault.excuse_s for _, fault in self.points.struck)
        for_good = any(fault.lasts_s == faults.NEVER for _, fault in self.points.struck)
        self.model.conclude(
            daemon_gone=self.annexd.gone or for_good,
            journal_lost=any(fault.empty_disk for _, fault in self.points.struck),
            function_failed=LEASE in lasting or len(cut_off) > len(RETRY_AFTER_S),  # each try of one run may have been
            reconciled=self.annexd.reconcile_s > 0,
        )
        now_s = self.timeline.now_s
        violations = (*self.model.violations, *self.function.broken, *harmed(self.bystanders, now_s))
        results = tuple(annex.finished for annex in self.model.annexes.values())
        return Verdict(name, violations, tuple(self.points.met), tuple(self.points.log), results)

    def _recorded(self, command_id: str, kind: Kind, body: Json) -> None:
        """The journal is how the model learns which annex is whose; the deadline is what was asked for."""
        cancelled = [annex for annex in self.model.annexes.values() if command_id in annex.cancels]
        if kind is Kind.ACCEPTED and body["order"].get("workflow") == CANCEL:
            self.model.annexes[body["order"]["annex_id"]].cancels[command_id] = ""
        elif kind is Kind.FINISHED and cancelled:
            self.model.cancelled(cancelled[-1], command_id, body["result"])
        elif kind is Kind.ACCEPTED:
            annex_id = body["order"]["annex_id"]
            self.model.expect(Annex(annex_id, self.ads[command_id]["EndOfLease"], command_id))
            self.bystanders += settle_in(self.cloud.fleets, annex_id)
        elif kind is Kind.FINISHED:
            *_, annex = (each for each in self.model.annexes.values() if each.command_id == command_id)
            self.model.finished(annex, body["result"])  # the newest: an annexd on an empty disk knows no CommandID

    def _spoils(self, actor: str, operation: str) -> Fault | None:
        """The course's own faults, which are no points."""
        if actor != ANNEXD or operation not in self.course.refused:
            return None
        if operation in self._lost:
            self._lost.discard(operation)
            return faults.ONCE["answer lost after the effect"]
        return faults.ONCE["denied"]
