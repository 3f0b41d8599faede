"""The quick AWS as it acts: calls arrive or do not, and rules fire."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn

from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from test.cloud.errors import Answer, code_of, error_answer
from test.cloud.faults import PARTIAL_CODES
from test.cloud.fleets import Fleets
from test.cloud.instances import Timing
from test.cloud.request import Request
from test.histories import faults
from test.histories.faults import CALL, LEASE, Fault
from test.histories.objects import Objects
from test.histories.points import Points
from test.histories.services import FUNCTION_ARN, REGION, Events, Rule, Services
from test.histories.timeline import Timeline
from test.histories.transport import URL

TICK_S = 300.0  # rate(5 minutes)
LATE_S = 60.0  # how long after its client gave up a request may still take effect
IN_FLIGHT_S = 20.0
RETRY_AFTER_S = (60.0, 120.0)  # Lambda asks a failed asynchronous invocation again, twice


class Cloud:
    """One account for one history.  `invoke(event, tries)` runs the lease function; `seen` hears of every event."""

    def __init__(self, timeline: Timeline, points: Points, termination_s: float) -> None:
        self.timeline, self.points = timeline, points
        self.fleets = Fleets(REGION, Timing(0.0, termination_s), timeline.time, lambda *_, **__: None)
        self.events = Events(timeline.time, self._wind_up)
        self.objects = Objects()
        self._services = Services(self.events, self.fleets, self.objects, self._refuses)
        self._partial, self.lag_s = False, 0.0
        self.invoke: Callable[[str, int], None] = _nobody
        self.seen: Callable[[], None] = lambda: None
        self.by_hand: Callable[[], None] = lambda: None  # somebody deletes the rule whose function runs
        self.spoils: Callable[[str, str], Fault | None] = lambda actor, operation: None  # noqa: ARG005

    # Calls.

    def act(self, request: Request, lag_s: float = 0.0) -> Answer:
        answer = self._services.answer(request, max(lag_s, self.lag_s))
        self.seen()
        return answer

    def _refuses(self, operation: str, entry: str) -> str | None:  # noqa: ARG002
        return PARTIAL_CODES[operation] if self._partial else None

    def deliver(self, actor: str, request: Request, patience_s: float, die: Callable[[Fault], NoReturn]) -> Answer:
        """One call of an actor, with what goes wrong on its way.  `die` ends the actor, and never returns."""
        fault = self.points.meet(actor, CALL, request.operation or request.path.rpartition("/")[2])
        fault = fault or self.spoils(actor, request.operation)
        if fault is None:
            return self.act(request)
        if fault.way in faults.ERRORS:
            return self._fail(request, fault)
        if fault.way == faults.PARTIAL:
            return self._act_partly(request)
        if fault.way == faults.LAGS:
            return self.act(request, faults.LAG_S)
        self._disturb(request, fault, patience_s, die)
        return self.act(request)

    def _disturb(self, request: Request, fault: Fault, patience_s: float, die: Callable[[Fault], NoReturn]) -> None:
        """Return when the call is made after all."""
        match fault.way:
            case faults.LOST:
                self._lose(request, fault)
            case faults.LATE_ANSWER | faults.LATE_EFFECT:
                self._be_late(request, fault, patience_s)
            case faults.DIES:
                self._die(request, fault, die)
            case faults.TWICE:
                self.act(request)
            case faults.SECOND_RUN:
                self.invoke("", 0)
            case faults.BY_HAND:
                self.by_hand()

    def _lose(self, request: Request, fault: Fault) -> NoReturn:
        if fault.side == faults.AFTER:
            self.act(request)
        raise ConnectionClosedError(endpoint_url=URL)

    def _fail(self, request: Request, fault: Fault) -> Answer:
        if fault.side == faults.AFTER:
            self.act(request)
        status, code = code_of(faults.ERRORS[fault.way], request.service)
        return error_answer(request.service, status, code, "a fault of this history")

    def _be_late(self, request: Request, fault: Fault, patience_s: float) -> NoReturn:
        if fault.way == faults.LATE_ANSWER:
            self.act(request)
        else:
            self.timeline.after(LATE_S, lambda: self._arrive(request))
        self.timeline.sleep(patience_s)
        raise ReadTimeoutError(endpoint_url=URL)

    def _die(self, request: Request, fault: Fault, die: Callable[[Fault], NoReturn]) -> NoReturn:
        if fault.side == faults.AFTER:
            self.act(request)
        elif fault.side == faults.IN_FLIGHT:
            self.timeline.after(IN_FLIGHT_S, lambda: self._arrive(request))
        die(fault)

    def _arrive(self, request: Request) -> None:
        self.points.tell(f"a late {request.operation} arrives")
        self.act(request)

    def _act_partly(self, request: Request) -> Answer:
        self._partial = True
        try:
            return self.act(request)
        finally:
            self._partial = False

    # The clock of EventBridge.

    def _wind_up(self, rule: Rule) -> None:
        self.timeline.after(TICK_S, lambda: self._tick(rule))

    def _tick(self, rule: Rule) -> None:
        if self.events.rules.get(rule.name) is not rule:
            return
        self._wind_up(rule)
        for target in list(rule.targets.values()) if rule.enabled else ():
            if target["Arn"] == FUNCTION_ARN:
                self._fire(target)

    def _fire(self, target: dict[str, Any]) -> None:
        text = target["Input"]
        if json.loads(text)["LeaseExpiration"] > self.timeline.now_s:
            self.invoke(text, 0)  # which does nothing yet, so that nothing can go wrong with it
            return
        fault = self.points.meet(LEASE, faults.RUN, "lease.py")
        match fault.way if fault else None:
            case faults.MISSED:
                return
            case faults.LATE_RUN if fault:
                self.timeline.after(fault.lasts_s, lambda: self.invoke(text, 0))
            case faults.TWICE:
                self.invoke(text, 0)
                self.invoke(text, 0)
            case faults.DIES:
                self.timeline.after(RETRY_AFTER_S[0], lambda: self.invoke(text, 1))
            case _:
                self.invoke(text, 0)


def _nobody(_: str, __: int) -> None:
    raise AssertionError("no lease function was deployed")
