"""The calls of EventBridge's API in which moto accepts more than AWS does.

Source (CERTAIN): EventBridge API reference, PutTargets and RetryPolicy (age 60 to 86,400 s, at most 185 attempts); user
guide, "Amazon EventBridge quotas": five targets a rule; PutRule: tags for an existing rule are ignored.
"""

from __future__ import annotations

import json
from typing import Any

import moto.events.urls
from moto.events.exceptions import ResourceNotFoundException, ValidationException
from moto.events.responses import EventsHandler

MAX_TARGETS = 5
LIMITS = {"MaximumEventAgeInSeconds": (60, 86_400), "MaximumRetryAttempts": (0, 185)}


class LimitExceededError(ValidationException):  # type: ignore[misc]  # moto has no types
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.error_type = "LimitExceededException"
        self.description = json.dumps({"__type": self.error_type, "message": message})


class ActingEvents(EventsHandler):  # type: ignore[misc]  # moto has no types
    """The replacement of moto's handler."""

    body: str

    def put_rule(self) -> Any:
        asked: dict[str, Any] = json.loads(self.body)
        if asked["Name"] in self.events_backend.describe_event_bus("default").rules:
            self.body = json.dumps({key: each for key, each in asked.items() if key != "Tags"})
        return super().put_rule()

    def describe_rule(self) -> Any:
        """Describe a rule, with AWS's message for an unknown one.

        CERTAIN: test/cloud/recordings/events.json.
        """
        name = self._get_param("Name")
        if name not in self.events_backend.describe_event_bus("default").rules:
            raise ResourceNotFoundException(f"Rule {name} does not exist on EventBus default.")
        return super().describe_rule()

    def put_targets(self) -> Any:
        targets = self._get_param("Targets")
        for target in targets:
            _check_retries(target.get("RetryPolicy") or {})
        rule = self.events_backend.describe_rule(self._get_param("Rule"), self._get_param("EventBusName"))
        if len({each["Id"] for each in [*rule.targets, *targets]}) > MAX_TARGETS:
            raise LimitExceededError("The requested resource exceeds the maximum number allowed.")
        return super().put_targets()


def _check_retries(policy: dict[str, Any]) -> None:
    for key, (least, most) in LIMITS.items():
        if key in policy and not least <= policy[key] <= most:
            raise ValidationException(
                f"Value '{policy[key]}' at 'retryPolicy.{key}' failed to satisfy constraint: "
                f"Member must have value from {least} to {most}"
            )


def install() -> None:
    """Install the handler before the first request: moto reads its routing table once."""
    for pattern in moto.events.urls.url_paths:
        moto.events.urls.url_paths[pattern] = ActingEvents.dispatch
