"""Run one history: an order, its faults, and the model's verdict at its end.

Its name, such as `course | annexd 7: request lost | lease 3: throttled`, can be replayed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from annexd.annex.index import CANCEL, CHANGE
from annexd.annex.reply import ReplyAd
from annexd.workflow import Json, Kind
from test.annex.ads import bulk_request_ad
from test.cloud.fleets import Fleet
from test.histories import faults
from test.histories.annexd import Annexd
from test.histories.bystanders import harmed, settle_in
from test.histories.cloud import Cloud
from test.histories.courses import COURSES, Act, Course
from test.histories.faults import SECOND, Fault, Point
from test.histories.function import Function
from test.histories.model import Annex, Model, is_alive
from test.histories.points import Fate, Points
from test.histories.timeline import START_S, Timeline
from test.histories.transport import URL
from test.lease.enforcer import FUNCTION_ARN

ORDER_S = 60.0  # after the rule's first run
ASK_AGAIN_S = 30.0
AFTERWARDS_S = 3 * 3600.0  # maximum time that a history continues after the lease: longer than any fault lasts
KEYS = {"PublicKeyFile": "/home/alice/public", "SecretKeyFile": "/home/alice/secret"}
MEANWHILE = {faults.EXTENDED: Act(0.0, "extend", 600), faults.ENDED: Act(0.0, "cancel")}


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
        """Parse the name of a history."""
        course, *points = text.split(" | ")
        split = [point.partition(": ") for point in points]
        plan = {(place.split()[0], int(place.split()[1])): name for place, _, name in split}
        return cls(COURSES[course], plan)


@dataclass(frozen=True)
class Verdict:
    """The outcome of a history; `violations` is empty if the model held."""

    name: str
    violations: tuple[str, ...]
    met: tuple[Point, ...]
    log: tuple[str, ...]
    results: tuple[str, ...]  # of its orders
    answers: Mapping[str, ReplyAd]  # the newest one to each command

    def __str__(self) -> str:
        message = [f"  {message}" for message in self.violations]
        return "\n".join([self.name, *message, f'  replay: python -m test.histories --replay "{self.name}"'])


def play(history: History, home: Path) -> Verdict:
    """Run a history to its end in virtual time; `home` is an empty folder."""
    random.seed(str(history))  # botocore's jitter
    stage = Stage(history.course, history.fate, home)
    return stage.play(str(history), stage.begin, history.course.lease_s + AFTERWARDS_S)


class Stage:
    """The cloud, function, daemons and model of one history."""

    def __init__(self, course: Course, fate: Fate, home: Path) -> None:
        self.course = course
        self.timeline = Timeline()
        self.points = Points(self.timeline, fate)
        self.cloud = Cloud(self.timeline, self.points, course.termination_s, course.second_cancel, course.lag_s)
        self.cloud.date_skew_s, self.cloud.limits = course.date_skew_s, course.limits
        self.cloud.function.empty_pages = course.empty_pages
        self.function = Function(self.cloud)
        self.model = Model(self.cloud, self.function, clocks_s=abs(course.date_skew_s))
        self.cloud.seen, self.cloud.asks_money = self._seen, self.model.asks_money
        self.cloud.spoils, self.cloud.meanwhile, self.cloud.is_open = self._spoils, self._meanwhile, self._is_open
        self.annexd = Annexd(self.cloud, home, self._recorded, course.skew_s, course.reconcile_s)
        self.second = Annexd(self.cloud, home / SECOND, self._recorded, -course.skew_s, course.reconcile_s, SECOND)
        self.ads: dict[str, dict[str, Any]] = {}
        self.answers: dict[str, ReplyAd] = {}
        self.bystanders: list[Fleet] = []
        self._lost = set(course.lost)

    def play(self, name: str, begin: Callable[[], None], length_s: float) -> Verdict:
        """Start the rule and annexd, let `begin` order, and check at the end that nothing is left."""
        try:
            self.timeline.after(ORDER_S, begin)
            self.cloud.begin()
            self.annexd.start()
            if self.course.two_annexds:
                self.second.home.mkdir()
                self.second.start()
            self.timeline.run_to(START_S + length_s, self._is_over)
        finally:
            self.annexd.close()
            self.second.close()
        return self._conclude(name)

    def _is_open(self) -> bool:
        """Return whether a command is unanswered, or part of an annex exists."""
        now_s = self.cloud.fleets.settle()
        annexes = self.model.annexes.values()
        unanswered = any("" in (each.finished, *each.cancels.values(), *each.changes.values()) for each in annexes)
        alive = any(is_alive(fleet, now_s) for annex in annexes for fleet in self.model.fleets(annex))
        return (
            unanswered
            or alive
            or any(map(self.model.has_object, annexes))
            or any(map(self.model.has_template, annexes))
        )

    def _is_over(self) -> bool:
        return bool(self.model.annexes) and self.timeline.has_only_routine and not self._is_open()

    # The clients' acts.

    def begin(self) -> None:
        """Schedule the order and the course's acts."""
        self.order("command-1", self.course.lease_s)
        for number, act in enumerate(self.course.acts):
            self.timeline.after(act.at_s, lambda act=act, number=number: self.act(act, f"act-{number}"))  # type: ignore[misc]

    def act(self, act: Act, command_id: str, of: str = "command-1") -> None:
        """Send a client's command about the annex of the order `of`, or another order."""
        daemon = self.second if act.of_second else self.annexd
        if act.what == "order":
            self.order(f"{command_id}-order", self.course.lease_s, daemon)
            return
        annexes = [annex for annex in self.model.annexes.values() if annex.command_id == of]
        if not annexes:
            return
        asked = {"RequestVersion": 1, "CommandID": command_id, **KEYS, "Annex": annexes[-1].annex_id}
        match act.what:
            case "cancel":
                asked["Command"] = "CA_CANCEL_ANNEX"
            case "extend":
                asked |= {"Command": "CA_CHANGE_LEASE", "LeaseExtension": int(act.by_s)}
            case _:  # the end is `by_s` after the order
                end_s = int(START_S + ORDER_S + act.by_s)
                asked |= {"Command": "CA_CHANGE_LEASE", "EndOfLease": end_s, "Now": act.what == "until now"}
        self._ask(asked, daemon)

    def _ask(self, ad: dict[str, Any], daemon: Annexd) -> None:
        """Send a command until it gets a final response."""
        answers: list[ReplyAd] = []
        daemon.order(ad, answers.append)
        self.answers |= {str(ad["CommandID"]): answer for answer in answers}
        if (not answers or answers[0]["Result"] in ("UnknownError", "InvalidState")) and self._is_worth_it(ad["Annex"]):
            self.timeline.after(ASK_AGAIN_S, lambda: self._ask(ad, daemon))

    def _is_worth_it(self, annex_id: str) -> bool:
        annex, now_s = self.model.annexes[annex_id], self.timeline.now_s
        return annex.finished in ("", "Success") and now_s < annex.latest_s and annex.cancelled_s > now_s

    def order(self, command_id: str, lease_s: float, daemon: Annexd | None = None) -> None:
        """Order as a client; a retry sends the same ad."""
        daemon = daemon or self.annexd
        if command_id not in self.ads:
            self.ads[command_id] = self.ad(command_id, int(daemon.now_s() + lease_s))
        daemon.order(self.ads[command_id], lambda answer: self.answers.update({command_id: answer}))

    def ad(self, command_id: str, end_of_lease_s: int) -> dict[str, Any]:
        urls = dict.fromkeys(("ServiceURL", "LogsURL", "LambdaURL", "STSURL"), URL)
        own = {"CommandID": command_id, "EndOfLease": end_of_lease_s, "LeaseFunctionARN": FUNCTION_ARN}
        return bulk_request_ad(self.annexd.now_s(), **own, **urls, **self.course.order)

    def _meanwhile(self, way: str) -> None:
        for number, annex in enumerate(list(self.model.annexes.values())):
            self.act(MEANWHILE[way], f"meanwhile-{number}-{len(self.points.struck)}", annex.command_id)

    # The events that the model observes.

    def _seen(self) -> None:
        if self.course.protected:
            self._protect()
        self.model.observe()

    def _protect(self) -> None:
        """Protect every instance of annexes once, like On-Demand instances whose launch template protects them."""
        for annex in self.model.annexes.values():
            for instance in chain.from_iterable(fleet.instances for fleet in self.model.fleets(annex)):
                instance.protected = instance.protected or instance.is_spot
                instance.is_spot = False

    def _recorded(self, command_id: str, kind: Kind, body: Json) -> None:
        """Pass a journal record to the model; clients see nothing else."""
        order = body.get("order") or {}
        if kind is Kind.ACCEPTED:
            self._accepted(command_id, str(body["workflow"]), order)
            return
        for annex in self.model.annexes.values():
            if kind is Kind.DONE and command_id in annex.changes and "end_of_lease_s" in body:
                annex.moved_s[command_id] = body["end_of_lease_s"]
            elif kind is Kind.FINISHED and command_id in annex.changes:
                self.model.changed(annex, command_id, body["result"])
            elif kind is Kind.FINISHED and command_id in annex.cancels:
                self.model.cancelled(annex, command_id, body["result"])
        mine = [annex for annex in self.model.annexes.values() if annex.command_id == command_id]
        if kind is Kind.FINISHED and mine:
            self.model.finished(mine[-1], body["result"])  # the newest: an empty disk has no CommandID

    def _accepted(self, command_id: str, workflow: str, order: Json) -> None:
        annex_id = str(order["annex_id"])
        match workflow:
            case x if x == CANCEL:
                self.model.annexes[annex_id].cancels[command_id] = ""
            case x if x == CHANGE:
                annex = self.model.annexes[annex_id]
                self.model.wants(annex, command_id, order["wanted_end_s"], order["extension_s"])
            case _:
                end_s = int(self.ads[command_id]["EndOfLease"])
                self.model.expect(Annex(annex_id, end_s, command_id))
                self.bystanders += settle_in(self.cloud.fleets, annex_id, end_s, unlisted=self.course.unlisted)

    def _spoils(self, actor: str, operation: str) -> Fault | None:
        """Return the course's own fault for this operation, which is not a point."""
        if actor == faults.LEASE or operation not in self.course.refused | self.course.lost:
            return None
        if operation in self._lost:
            self._lost.discard(operation)
            return faults.ONCE["answer lost after the effect"]
        return faults.ONCE["denied"] if operation in self.course.refused else None

    def _conclude(self, name: str) -> Verdict:
        struck = [fault for _, fault in self.points.struck]
        self.model.denied = any(fault.way in (faults.DENIED, faults.UNKNOWN_ID) for fault in struck)
        self.model.excuse_s = 2 * self.course.lag_s + sum(fault.excuse_s for fault in struck)
        for_good = any(fault.lasts_s == faults.NEVER for fault in struck)
        gone = self.annexd.gone or self.second.gone or for_good
        self.model.conclude(daemon_gone=gone, journal_lost=any(fault.empty_disk for fault in struck))
        violations = (*self.model.violations, *self.function.broken, *harmed(self.bystanders, self.timeline.now_s))
        results = tuple(annex.finished for annex in self.model.annexes.values())
        return Verdict(name, violations, tuple(self.points.met), tuple(self.points.log), results, self.answers)
