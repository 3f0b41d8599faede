"""A quick AWS in this process, spoken to in its own protocols: what annexd and lease.py call, and no more.

The Spot Fleets are the emulated cloud's own (test/cloud), without moto's way to them, which costs ten times
as much.  A test compares its answers with the emulated cloud's, call by call.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.ec2.exceptions import EC2ClientError

from test.cloud import views, wire
from test.cloud.ec2 import ActingEC2
from test.cloud.errors import Answer, error_answer
from test.cloud.fleets import Fleets
from test.cloud.partial import ENTRIES, with_refused_entries
from test.cloud.request import Request
from test.histories.objects import Objects

REGION = "us-east-1"
FUNCTION_ARN = f"arn:aws:lambda:{REGION}:123456789012:function:lease"
JSON = {"Content-Type": "application/x-amz-json-1.1"}
XML = {"Content-Type": "text/xml;charset=UTF-8"}
POLICY = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}}]}
Refuses = Callable[[str, str], str | None]


@dataclass
class Rule:
    """An EventBridge rule and its targets by ID."""

    name: str
    made_at_s: float
    schedule: str
    enabled: bool = True
    description: str = ""
    targets: dict[str, dict[str, Any]] = field(default_factory=dict)


class RefusedError(Exception):
    """An error answer: HTTP status, code, words."""


class Events:
    """EventBridge: rules, targets, and what is refused in AWS's words."""

    def __init__(self, now_s: Callable[[], float], made: Callable[[Rule], None]) -> None:
        self.rules: dict[str, Rule] = {}
        self._now_s, self._made = now_s, made

    def answer(self, request: Request) -> Answer:
        operations: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "PutRule": self._put_rule,
            "PutTargets": self._put_targets,
            "RemoveTargets": self._remove_targets,
            "ListTargetsByRule": lambda asked: {"Targets": list(self._rule(asked["Rule"]).targets.values())},
            "ListRules": lambda _: {"Rules": [_told(rule) for rule in self.rules.values()]},
            "DescribeRule": lambda asked: _told(self._rule(asked["Name"])),
            "DeleteRule": self._delete_rule,
        }
        try:
            told = operations[request.operation](request.json())
        except RefusedError as error:
            return error_answer("events", *error.args)
        return Answer(200, json.dumps(told).encode(), JSON)

    def _rule(self, name: str) -> Rule:
        if name not in self.rules:
            words = f"Rule {name} does not exist on EventBus default."
            raise RefusedError(400, "ResourceNotFoundException", words)
        return self.rules[name]

    def _put_rule(self, asked: dict[str, Any]) -> dict[str, Any]:
        name, enabled = asked["Name"], asked.get("State", "ENABLED") == "ENABLED"
        known = self.rules.get(name)
        if known is None:
            self.rules[name] = Rule(name, self._now_s(), asked["ScheduleExpression"], enabled)
            self._made(self.rules[name])
        else:
            known.schedule, known.enabled = asked["ScheduleExpression"], enabled
        self.rules[name].description = asked.get("Description", "")
        return {"RuleArn": f"arn:aws:events:{REGION}:123456789012:rule/{name}"}

    def _put_targets(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._rule(asked["Rule"]).targets.update({target["Id"]: target for target in asked["Targets"]})
        return {"FailedEntryCount": 0, "FailedEntries": []}

    def _remove_targets(self, asked: dict[str, Any]) -> dict[str, Any]:
        rule = self._rule(asked["Rule"])
        for target_id in asked["Ids"]:
            rule.targets.pop(target_id, None)
        return {"FailedEntryCount": 0, "FailedEntries": []}

    def _delete_rule(self, asked: dict[str, Any]) -> dict[str, Any]:
        rule = self.rules.get(asked["Name"])
        if rule is not None and rule.targets:
            raise RefusedError(400, "ValidationException", "Rule can't be deleted since it has targets.")
        self.rules.pop(asked["Name"], None)
        return {}


def _told(rule: Rule) -> dict[str, Any]:
    told = {"Name": rule.name, "ScheduleExpression": rule.schedule, "State": "ENABLED" if rule.enabled else "DISABLED"}
    return told | ({"Description": rule.description} if rule.description else {})


class QuickEC2(ActingEC2):
    """The emulated cloud's EC2 for one request, without moto around it; so no instances of moto's either."""

    ec2_backend = None
    refuses = staticmethod(lambda *_: None)

    def __init__(  # no super(): that is moto
        self, request: Request, fleets: Fleets, refuses: Refuses, lag_s: float
    ) -> None:
        self._request = request
        self.regions = defaultdict(lambda: fleets)
        self.region, self.current_account = REGION, views.ACCOUNT
        self._refuses, self._lag = refuses, lag_s

    def _lag_s(self, operation: str) -> float:  # noqa: ARG002
        return self._lag

    def _parameters(self) -> dict[str, Any]:
        return self._request.parameters()

    def _why_not_cancel(self, fleet_id: str, terminate: bool) -> str | None:
        return super()._why_not_cancel(fleet_id, terminate) or self._refuses("CancelSpotFleetRequests", fleet_id)

    def _is_of_moto(self, _: Any) -> bool:
        return False

    def _reservations_of_moto(self) -> list[Any]:
        return []

    def answer(self) -> Answer:
        operations = {
            "RequestSpotFleet": self.request_spot_fleet,
            "DescribeSpotFleetRequests": self.describe_spot_fleet_requests,
            "DescribeSpotFleetInstances": self.describe_spot_fleet_instances,
            "CancelSpotFleetRequests": self.cancel_spot_fleet_requests,
            "DescribeInstances": self.describe_instances,
            "TerminateInstances": self.terminate_instances,
        }
        operation = self._request.operation
        try:
            told = operations[operation]()
        except EC2ClientError as error:
            return error_answer("ec2", 400, error.code, error.message)
        text = told if isinstance(told, str) else wire.document(operation, told.result)
        return Answer(200, text.encode(), XML)


def function_answer(request: Request) -> Answer:
    """GetFunction or GetPolicy of the lease function, which is there."""
    if request.path.endswith("/policy"):
        told: dict[str, Any] = {"Policy": json.dumps(POLICY)}
    else:
        told = {"Configuration": {"FunctionName": "lease", "FunctionArn": FUNCTION_ARN, "State": "Active"}}
    return Answer(200, json.dumps(told).encode(), {"Content-Type": "application/json"})


class Services:
    """All of them; `refuses(operation, entry)` gives the code with which one entry fails inside an HTTP 200."""

    def __init__(self, events: Events, fleets: Fleets, objects: Objects, refuses: Refuses) -> None:
        self.events, self.fleets, self.objects, self._refuses = events, fleets, objects, refuses

    def answer(self, request: Request, lag_s: float = 0.0) -> Answer:
        """`lag_s`: a Describe call of EC2 tells what was so that long ago."""
        match request.service:
            case "ec2":
                return QuickEC2(request, self.fleets, self._refuses, lag_s).answer()
            case "events" if request.operation in ENTRIES:
                return with_refused_entries(request, self._refuses, self.events.answer)
            case "events":
                return self.events.answer(request)
            case "s3":
                return self.objects.answer(request)
        return function_answer(request)
