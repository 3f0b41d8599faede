"""The emulator's own endpoints, under a path that no service has: faults, audit, meter, clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from test.cloud import function_code, quotas
from test.cloud.clock import Clock
from test.cloud.emulated_aws import EmulatedAws
from test.cloud.errors import Answer
from test.cloud.functions import deployed
from test.cloud.request import Request

PREFIX = "/_cloud/"
IDLE_TIMEOUT_S = 300.0


class Control:
    """GET reads, POST acts; JSON both ways."""

    def __init__(self, aws: EmulatedAws, clock: Clock, settings: dict[str, Any], end_hangs: Callable[[], int]) -> None:
        self._aws, self._clock = aws, clock
        self._endpoints: dict[tuple[str, str], Callable[[dict[str, Any]], Any]] = {
            ("GET", "settings"): lambda _: settings,
            ("GET", "judged"): lambda _: aws.judged(),
            ("GET", "audit"): lambda _: aws.audit.entries(),
            ("GET", "faults"): lambda _: aws.faults.remaining(),
            ("GET", "fleets"): lambda _: aws.fleets(),
            ("GET", "functions"): lambda _: deployed(),
            ("GET", "instances"): lambda _: aws.instances(),
            ("GET", "lives"): lambda _: aws.lives(),
            ("GET", "meter"): lambda _: aws.meter(),
            ("POST", "behaviour"): aws.chosen.change,
            ("POST", "faults"): aws.faults.add,
            ("POST", "forget-fleet"): lambda asked: aws.forget_fleet(asked["fleet"]),
            ("POST", "clear-faults"): lambda _: aws.faults.clear(),
            ("POST", "end-hangs"): lambda _: {"ended": end_hangs()},
            ("POST", "clear-audit"): lambda _: aws.audit.clear(),
            ("POST", "clock"): self._set_clock,
            ("POST", "turn-off"): lambda asked: aws.turned_off(**asked),
            ("POST", "announce"): lambda asked: aws.metadata.announce(**asked),
            ("POST", "expire-metadata-tokens"): lambda _: aws.metadata.expire_tokens(),
            ("POST", "quotas"): quotas.QUOTAS.update,
            ("POST", "prices"): aws.set_prices,
            ("POST", "capacity"): aws.set_capacity,
            ("POST", "stacks"): lambda asked: aws.stacks.pace(asked["step_s"]),
            ("POST", "tick"): self._tick,
            ("POST", "idle"): lambda _: {"ended": self._aws.functions.wait_until_idle(IDLE_TIMEOUT_S)},
            ("POST", "reset"): lambda _: aws.reset(),
        }

    def answer(self, request: Request) -> Answer:
        if request.path.startswith(function_code.CODE_PATH):
            return function_code.zip_at(request.path)
        endpoint = self._endpoints.get((request.method, request.path.removeprefix(PREFIX)))
        if endpoint is None:
            return _answer(404, {"error": f"no such endpoint; there are {sorted(name for _, name in self._endpoints)}"})
        try:
            return _answer(200, endpoint(request.json()))
        except (TypeError, ValueError) as error:
            return _answer(400, {"error": str(error)})

    def _set_clock(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._aws.ahead_s = float(asked["ahead_s"])
        return {}

    def _tick(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Fire one rule, or all, and wait until the functions that this started have ended."""
        fired = 1
        if rule := asked.get("rule"):
            self._clock.fire(rule)
        else:
            fired = self._clock.fire_all()
        return {"fired": fired, "ended": self._aws.functions.wait_until_idle(IDLE_TIMEOUT_S)}


def _answer(status: int, response: Any) -> Answer:
    return Answer(status, json.dumps(response, default=str).encode(), {"Content-Type": "application/json"})
