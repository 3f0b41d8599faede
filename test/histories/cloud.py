"""Run the fast AWS: calls arrive or get lost, and one rule calls the lease function."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NoReturn

from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from test.cloud.behaviour import Behaviour, Chosen
from test.cloud.buckets import Buckets
from test.cloud.errors import Answer, code_of, error_answer
from test.cloud.fleets import Fleet, Fleets
from test.cloud.instances import Timing
from test.cloud.request import Request
from test.histories import faults
from test.histories.faults import BY_ID, CALL, DRY_RUN, LEASE, TICK_S, Fault
from test.histories.points import Points
from test.histories.services import LeaseFunction, Services
from test.histories.timeline import Timeline
from test.histories.transport import URL
from test.lease.enforcer import REGION, scheduled_event

LATE_S = 60.0  # time after which a request takes effect although its client may have given up
IN_FLIGHT_S = 20.0
MAX_LEASE_S = 3600
LOWERED_S = 300
OTHERS_LEAVE = 0.02  # share of EC2's limits that is left while others use them up
OURS = re.compile(r"(?P<annex>[.\-A-Za-z0-9]{1,36})_(?P<end>[12][0-9]{9})_[0-9a-f]{16}")
END_TAG, CANCELLED_TAG = "htcondor:annex-lease-end", "htcondor:annex-cancelled"
WRITTEN_BY_HAND: Mapping[str, Mapping[str, str | None]] = {
    faults.STRIPPED: dict.fromkeys((END_TAG, "htcondor:annex-id", "htcondor:annex-owner")),
    faults.FORGED: {END_TAG: "2040-01-01T00:00:00Z"},
    faults.GARBLED: {END_TAG: "tomorrow", "htcondor:annex-id": "another"},
    faults.CANCELLED: {CANCELLED_TAG: ""},
}
INSIDE: Mapping[str, Mapping[str, Any]] = {  # the emulator's own terms for faults inside a call
    faults.PARTIAL: {"kind": "partial"},
    faults.UNKNOWN_FLEET: {"kind": "partial"},
    faults.LAGS: {"kind": "lag", "lag_s": faults.LAG_S},
    faults.OMITS: {"kind": "omit"},
    faults.TAG_LATE: {"kind": "late", "lag_s": faults.LAG_S},
    faults.TAG_LOST: {"kind": "lost"},
    faults.SHIFTS: {"kind": "shift"},
}


def annex_of(fleet: Fleet) -> str | None:
    match = OURS.fullmatch(fleet.client_token or "")
    return match["annex"] if match else None


class Cloud:
    """One account for one history.  `invoke(event)` runs the lease function; `seen` is called for every event."""

    def __init__(
        self,
        timeline: Timeline,
        points: Points,
        termination_s: float,
        second_cancel: str = "acted-upon",
        lag_s: float = 0.0,
    ) -> None:
        self.timeline, self.points, self.lag_s = timeline, points, lag_s
        self.fleets = Fleets(REGION, Timing(0.0, termination_s), timeline.time, lambda *_, **__: None)
        self.function = LeaseFunction(MAX_LEASE_S)
        self._services = Services(self.fleets, self.function, Chosen(Behaviour(second_cancel=second_cancel)))
        self.objects = self._services.objects
        self._buckets, self.limits = Buckets(timeline.time), 0.0  # the share of EC2's limits that is left; 0: no limits
        self.date_skew_s = 0.0  # error of the clock in its responses
        self.by_hand: set[str] = set()  # annexes that were changed by hand
        self.is_open: Callable[[], bool] = lambda: True  # whether something is in progress or not over
        self.invoke: Callable[[dict[str, Any]], None] = _nobody
        self._tried = set[str]()  # DryRuns, each of which is a point only once
        self.seen: Callable[[], None] = lambda: None
        self.asks_money: Callable[[Request], None] = lambda _: None  # called for every call that annexd sends
        self.meanwhile: Callable[[str], None] = lambda _: None  # called when an owner acts at this moment
        self.spoils: Callable[[str, str], Fault | None] = lambda _actor, _operation: None

    # Calls.

    def act(self, request: Request) -> Answer:
        if request.service == "ec2" and self.limits:
            asked = request.parameters()
            if not self._buckets.takes(REGION, request.operation, asked, self.limits):
                return error_answer("ec2", 503, "RequestLimitExceeded", "Request limit exceeded.")
        if self.lag_s and "Describe" in request.operation:
            self._services.faults.add({"operation": request.operation, "kind": "lag", "lag_s": self.lag_s})
        answer = self._services.answer(request)
        self._services.faults.clear()
        self.seen()
        return answer

    def deliver(self, actor: str, request: Request, patience_s: float, die: Callable[[Fault], NoReturn]) -> Answer:
        """Deliver one call of an actor, with its faults.  `die` ends the actor and never returns."""
        if actor != LEASE:
            self.asks_money(request)
        name = _name(request)
        fault = self.points.meet(actor, CALL, name) if self._is_point(actor, name) else None
        fault = fault or self.spoils(actor, request.operation)
        if fault is None or name not in faults.ONLY_AT.get(fault.way, (name,)):
            return self.act(request)
        if fault.way in faults.ERRORS:
            return self._fail(request, fault)
        if fault.way == faults.UNKNOWN_ID:
            kind = "Fleet" if request.operation == "DescribeFleets" else "SpotFleetRequest"
            return error_answer("ec2", 400, f"Invalid{kind}Id.NotFound", "a fault of this history")
        if fault.way in {faults.NOT_YET, faults.UNKNOWN_FOR_LONG}:
            return error_answer(request.service, *faults.NOT_KNOWN[request.operation])
        if fault.way in INSIDE:
            return self._act_inside(request, fault.way)
        self._disturb(request, fault, patience_s, die)
        return self.act(request)

    def _is_point(self, actor: str, name: str) -> bool:
        """Return whether this call is a point, unlike the function's calls without annexes and its repeated DryRuns."""
        is_new = not name.startswith(DRY_RUN) or name not in self._tried
        self._tried.add(name)
        return actor != LEASE or (is_new and self.is_open())

    def _disturb(self, request: Request, fault: Fault, patience_s: float, die: Callable[[Fault], NoReturn]) -> None:
        """Apply a fault; return only if the call still takes place."""
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
                self.invoke(scheduled_event(self.timeline.now_s))
            case faults.EXTENDED | faults.ENDED:
                self.meanwhile(fault.way)
            case _:
                self._touch(fault.way)

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
        self.points.note(f"a late {request.operation} arrives")
        self.act(request)

    def _act_inside(self, request: Request, way: str) -> Answer:
        """Make the call with a fault inside."""
        ours = self._ours()
        fault = {"operation": request.operation, **INSIDE[way]}
        if way == faults.UNKNOWN_FLEET:
            fault["code"] = faults.NO_SUCH_FLEET[request.operation]
        if way == faults.OMITS and ours:
            is_of_fleets = request.operation in faults.FLEET_LISTS
            alive = [each.instance_id for each in ours[-1].instances if each.terminating_at_s is None]
            fault["matching"] = ours[-1].fleet_id if is_of_fleets else next(iter(alive), "")
        if way == faults.SHIFTS and "NextToken" not in request.parameters():
            body = re.sub(rb"MaxResults=\d+", b"MaxResults=2", request.body)
            request = replace(request, body=body)
        self._services.faults.add(fault)
        return self.act(request)

    # Changes by hand.

    def _ours(self) -> list[Fleet]:
        return [fleet for fleet in self.fleets.fleets.values() if annex_of(fleet)]

    def _touch(self, way: str) -> None:
        for fleet in self._ours()[-1:]:
            self.by_hand.add(str(annex_of(fleet)))
            if way in WRITTEN_BY_HAND:
                fleet.tags.change(self.timeline.now_s, WRITTEN_BY_HAND[way])
            elif fleet.state(self.fleets.settle()) == "active":
                self.fleets.cancel(fleet.fleet_id, terminate=False)
        self.seen()

    # The rule.

    def begin(self) -> None:
        """Create the stack, whose rule fires at once and then every five minutes."""
        self.function.exists = True
        self._tick()

    def _tick(self) -> None:
        if not self.function.exists:
            return
        self.timeline.after(TICK_S, self._tick, is_routine=True)
        event = scheduled_event(self.timeline.now_s)
        is_point = self.is_open() or not self.timeline.has_only_routine
        fault = self.points.meet(LEASE, faults.RUN, "lease.py") if is_point else None
        match fault.way if fault else None:
            case faults.MISSED | faults.DIES:
                return
            case faults.LATE_RUN if fault:
                self.timeline.after(fault.lasts_s, lambda: self.invoke(event))
                return
            case faults.HAND_RUN:
                event = {"called": "by hand"}
            case faults.TWICE:
                self.invoke(event)
            case faults.RECREATE if fault:
                self._delete_stack(fault.away_s)
                return
            case _ if fault:
                self._change_stack(fault)
        self.invoke(event)

    def _delete_stack(self, away_s: float) -> None:
        self.function.exists = False
        self.function.events.clear()
        self.timeline.after(away_s, self.begin)

    def _change_stack(self, fault: Fault) -> None:
        if fault.way == faults.LOWERED:
            self.function.max_lease_s = LOWERED_S
        elif fault.way == faults.CLOSED:
            self.function.is_closed = True
            self.timeline.after(fault.away_s, lambda: setattr(self.function, "is_closed", False))
        elif fault.way == faults.BUSY:
            self.limits = OTHERS_LEAVE
            self._drain_buckets()
            self.timeline.after(fault.away_s, lambda: setattr(self, "limits", 0.0))

    def _drain_buckets(self) -> None:
        for operation in (
            *faults.FLEET_LISTS,
            "DescribeInstances",
            *faults.FLEET_ENDS,
            "TerminateInstances",
            "CreateTags",
            "RequestSpotFleet",
            "CreateFleet",
        ):
            while self._buckets.takes(REGION, operation, {"Filters": []}, self.limits):
                pass


def _name(request: Request) -> str:
    """Return the operation of a request, and its variant."""
    operation = request.operation
    if request.service != "ec2":
        return operation
    body = request.body.decode()
    if "DryRun=true" in body:
        return DRY_RUN + operation
    by_id = any(f"&{name}.1=" in f"&{body}" for name in ("SpotFleetRequestId", "FleetId"))
    return operation + BY_ID if by_id and operation.startswith("Describe") else operation


def _nobody(_: object) -> None:
    raise AssertionError("no lease function was deployed")
