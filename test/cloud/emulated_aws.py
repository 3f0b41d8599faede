"""All parts of the emulated cloud, and the path of one request through them."""

from __future__ import annotations

import threading
import time
import traceback
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from test.cloud import (
    cloudformation,
    ec2,
    events,
    functions,
    logs,
    organization,
    pricing,
    propagation,
    quotas,
    s3,
    service_roles,
)
from test.cloud.audit import Audit
from test.cloud.behaviour import Behaviour, Chosen
from test.cloud.buckets import Buckets
from test.cloud.capacity import Capacity
from test.cloud.errors import Answer, code_of, error_answer
from test.cloud.faults import Fault, Faults
from test.cloud.fleets import Fleets
from test.cloud.gate import Gate
from test.cloud.instances import SELF, Instance, Timing
from test.cloud.keys import OTHER_ACCOUNT, OTHER_KEY
from test.cloud.metadata import Metadata
from test.cloud.meter import reading
from test.cloud.partial import ENTRIES, with_refused_entries
from test.cloud.prices import Market
from test.cloud.request import Request
from test.cloud.stacks import Stacks


@dataclass(frozen=True)
class Broken:
    """No response: the connection is reset at once, or left hanging for a while."""

    hang_s: float = 0.0


class EmulatedAws:
    """moto with the acting parts installed; one per process, since moto's state is global."""

    def __init__(
        self, timing: Timing, speed: float, enforce_iam: bool = False, behaviour: Behaviour | None = None
    ) -> None:
        self.chosen, self.buckets = Chosen(behaviour or Behaviour()), Buckets(time.monotonic)
        self.audit, self.faults = Audit(), Faults()
        self.market, self.capacity = Market(), Capacity()
        self.regions: defaultdict[str, Fleets] = _Regions(timing, self.audit, self.chosen, self.market, self.capacity)
        self.ahead_s = 0.0  # AWS's clock relative to this machine's
        self.functions = functions.Functions(self.audit.effect, speed, self.chosen)
        ec2.install(self.regions, self.faults, self.chosen)
        self.functions.enforce_iam = enforce_iam
        functions.install(self.functions, self.chosen)
        logs.install(self.chosen)
        events.install()
        s3.install()
        self.stacks = Stacks()
        quotas.install(self.chosen)
        service_roles.install(lambda: bool(self.instances()))
        self.gate = Gate(self.regions) if enforce_iam else None
        cloudformation.install(self.stacks, lambda: self.functions.endpoint_url, self.gate)
        self.metadata = Metadata(self._instance)
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.RLock()  # moto's backends are not thread-safe

    def answer(self, request: Request) -> Answer | Broken:
        fault = self.faults.take(request.operation, request.target + request.body.decode("utf-8", "replace"))
        if fault is not None and fault.when == "before":
            return self._fail(request, fault)
        answer = self._act(request)
        if fault is not None:
            return self._fail(request, fault)
        self.audit.call(request, {"status": answer.status, **_trouble(answer)})
        return answer

    def _fail(self, request: Request, fault: Fault) -> Answer | Broken:
        self.audit.call(request, {"fault": fault.kind, "when": fault.when})
        if fault.kind in {"reset", "hang"}:
            return Broken(fault.hang_s if fault.kind == "hang" else 0.0)
        known = (fault.status, fault.code) if fault.kind == "error" else code_of(fault.kind, request.service)
        return error_answer(request.service, *known, fault.message)

    def now_s(self) -> float:
        """Return the time on AWS's clock."""
        return time.time() + self.ahead_s

    def _throttles(self, request: Request) -> bool:
        """Return whether this call exceeds EC2's request limits; it pays for the call."""
        speed = self.chosen.now.ec2_limits
        if request.service != "ec2" or not speed:
            return False
        place = f"{request.region} elsewhere" if request.access_key_id == OTHER_KEY else request.region
        with self._lock:
            return not self.buckets.takes(place, request.operation, request.parameters(), speed)

    def _act(self, request: Request) -> Answer:
        if self._throttles(request):
            return error_answer(request.service, *code_of("throttle", request.service), "Request limit exceeded.")
        now = self.chosen.now
        if refusal := organization.refusal(request, tuple(now.forbidden), now.control_policy_words, self.regions):
            return refusal
        if self.gate is None:
            return self._carry_out(request)
        with self._lock:
            refusal = self.gate.refusal(request, self.now_s())
        if refusal is not None:
            return refusal
        answer = self._carry_out(request)
        with self._lock:
            return self.gate.hide(request, answer)

    def _carry_out(self, request: Request) -> Answer:
        with self._lock:
            refusal = propagation.refusal(request, self.chosen.now)
        if refusal is not None:
            return refusal
        if request.operation in ENTRIES:
            return with_refused_entries(request, self.faults.refuses, self._forward)
        return self._forward(request)

    def _forward(self, request: Request) -> Answer:
        if request.operation == "DecodeAuthorizationMessage":
            return organization.decoded(request)
        if request.operation == "Invoke":  # runs a function that calls back: never under the lock
            return self._ask_moto(request)
        with self._lock:
            if request.service == "pricing":
                return pricing.answer(request, self.market)
            return self._ask_moto(request)

    def _ask_moto(self, request: Request) -> Answer:
        started: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
            started.update(status=int(status.split()[0]), headers=dict(headers))

        try:
            body = b"".join(self._moto(_environ(request), start_response))
        except Exception:  # noqa: BLE001  the edge: a fault of moto's or ours becomes a response, and is reported
            self.audit.effect("emulator failed", operation=request.operation, trace=traceback.format_exc())
            return error_answer(request.service, 500, "InternalError", traceback.format_exc(limit=-3))
        return Answer(started["status"], body, started["headers"])

    def ask_metadata(self, request: Request) -> Answer | Broken:
        """Respond as an instance's metadata service; faults name its calls PutToken and GetMetadata."""
        operation = "PutToken" if request.method == "PUT" else "GetMetadata"
        fault = self.faults.take(operation, request.target)
        if fault is not None:
            self.audit.effect("metadata", operation=operation, path=request.path, fault=fault.kind)
            return (
                Broken(fault.hang_s if fault.kind == "hang" else 0.0)
                if fault.kind in {"reset", "hang"}
                else (Answer(fault.status if fault.kind == "error" else 500, b""))
            )
        with self._lock:
            answer = self.metadata.answer(request)
        self.audit.effect("metadata", operation=operation, path=request.path, status=answer.status)
        return answer

    def _instance(self, instance_id: str) -> tuple[Instance, str] | None:
        """Return an instance that has not ended yet, and its region."""
        for region, fleets in self.regions.items():
            instance = fleets.instances.get(instance_id)
            if instance is not None and instance.state(fleets.settle()) in {"pending", "running"}:
                return instance, region
        return None

    def meter(self) -> dict[str, Any]:
        with self._lock:
            now_s = max((region.settle() for region in self.regions.values()), default=time.time())
            fleets = [fleet for region in self.regions.values() for fleet in region.fleets.values()]
            return reading(fleets, now_s, self.market)

    def set_prices(self, asked: dict[str, Any]) -> None:
        """Set the prices of all regions.  Raises TypeError or ValueError for invalid prices."""
        with self._lock:
            self.market.set(asked, time.time())

    def set_capacity(self, asked: dict[str, int | None]) -> None:
        """Set the capacity of all regions, effective at once.  Raises ValueError for an invalid pool."""
        with self._lock:
            self.capacity.set(asked)
            for region in self.regions.values():
                region.settle()

    def lives(self) -> list[dict[str, Any]]:
        """Return every instance that ever existed, with its beginning and end."""
        with self._lock:
            return [
                {"id": each.instance_id, "fleet": each.fleet_id, "began_s": each.launched_at_s, "gone_s": gone_s}
                for region in self.regions.values()
                for now_s in [region.settle()]
                for each in region.instances.values()
                for gone_s in [each.gone_at_s() if each.is_gone(now_s) else None]
            ]

    def instances(self) -> list[dict[str, Any]]:
        """Return every instance that is not gone yet."""
        with self._lock:
            return [
                {
                    "id": each.instance_id,
                    "fleet": each.fleet_id,
                    "image": each.specification.get("ImageId"),
                    "state": state,
                    "tags": dict(each.tags.at(now_s)),
                }
                for region in self.regions.values()
                for now_s in [region.settle()]
                for each in region.instances.values()
                if (state := each.state(now_s)) != "terminated"
            ]

    def forget_fleet(self, fleet_id: str) -> None:
        """Forget a fleet.  Raises ValueError for an unknown one."""
        with self._lock:
            [fleets] = [each for each in self.regions.values() if fleet_id in each.fleets]
            fleets.forget(fleet_id)

    def turned_off(self, instance_id: str, console: str = "", reason: str = SELF) -> None:
        """End an instance whose machine was shut down from within: an annex's instance is then terminated."""
        with self._lock:
            for fleets in self.regions.values():
                if instance_id in fleets.instances:
                    self.audit.effect("machine shut down", instance=instance_id)
                    fleets.instances[instance_id].console = console
                    fleets.terminate([instance_id], reason)

    def fleets(self) -> list[dict[str, Any]]:
        """Return every fleet, with every field of the request that created it."""
        with self._lock:
            return [
                {
                    "id": each.fleet_id,
                    "state": each.state(now_s),
                    "config": each.config,
                    "launched": len(each.instances),
                }
                for region in self.regions.values()
                for now_s in [region.settle()]
                for each in region.fleets.values()
            ]

    def judged(self) -> list[tuple[str, str, str, dict[str, Any]]]:
        """Return every permission that was checked: principal, action, resource and context."""
        with self._lock:
            judged = list(self.gate.judged) if self.gate is not None else []
        return [(arn, need.action, need.resource, {**context, **need.context}) for arn, need, context in judged]

    def reset(self) -> None:
        """Reset to a new account: no resources, no records, no pending faults."""
        self.functions.stop()
        self.stacks.clear()
        quotas.QUOTAS.update(quotas.DEFAULTS)
        with self._lock:
            self._ask_moto(Request("POST", "/moto-api/reset", {}, b""))
            self.regions.clear()
            self.market.clear()
            self.capacity.rooms.clear()
            self.chosen.reset()
            self.buckets.clear()
            self.metadata.clear()
            self.ahead_s = 0.0
            if self.gate is not None:
                self.gate.judged.clear()
            self.faults.clear()
            self.audit.clear()


def _environ(request: Request) -> dict[str, Any]:
    """Return moto's environment of a request, in which a header selects the other account."""
    other = {"HTTP_X_MOTO_ACCOUNT_ID": OTHER_ACCOUNT} if request.access_key_id == OTHER_KEY else {}
    return {**request.environ(), **other, "cloud.request": request}


class _Regions(defaultdict[str, Fleets]):
    def __init__(self, timing: Timing, audit: Audit, chosen: Chosen, market: Market, capacity: Capacity) -> None:
        super().__init__()
        self._timing, self._audit, self._chosen, self._market = timing, audit, chosen, market
        self._capacity = capacity

    def __missing__(self, region: str) -> Fleets:
        self[region] = Fleets(region, self._timing, time.time, self._audit.effect, self._chosen)
        self[region].market, self[region].capacity = self._market, self._capacity
        return self[region]


def _trouble(answer: Answer) -> dict[str, str]:
    return {} if answer.status < 400 else {"error": answer.body.decode("utf-8", "replace")[:2000]}
