"""CloudFormation that acts: stacks are made in the background, resource by resource, told in events, rolled back when
one fails, updated, deleted, and looked at for drift.

moto's own makes everything within the call, with the rights of nobody, knows no events of a failure, no rollback
and no drift, and of our resources it forgets half of the properties.
"""

from __future__ import annotations

import itertools
import secrets
import string
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from test.cloud.stack_permissions import needed
from test.cloud.stack_resources import TYPES, Client, Made, is_gone
from test.cloud.stack_template import TemplateError, in_order, parsed, resolved

ACCOUNT = "123456789012"
Permit = Callable[[str, str], None]  # (action, resource); raises Denied


class Denied(Exception):
    """Whoever called CloudFormation may not do what a handler needs."""


FAILURES = (ClientError, BotoCoreError, TemplateError, KeyError, Denied)


@dataclass
class Resource:
    """One resource of a stack, as it was last made."""

    logical_id: str
    kind: str
    made: Made
    properties: dict[str, Any]
    as_made: Any = None  # what reading it gave then

    @property
    def handler(self) -> Any:
        return TYPES[self.kind]


@dataclass
class Stack:
    """One stack and what happened to it."""

    name: str
    stack_id: str
    region: str
    body: str
    client: Client
    permit: Permit
    status: str = "CREATE_IN_PROGRESS"
    reason: str = ""
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    resources: dict[str, Resource] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    drift: dict[str, Any] = field(default_factory=lambda: {"StackDriftStatus": "NOT_CHECKED"})
    drifts: list[dict[str, Any]] = field(default_factory=list)
    previous_body: str = ""

    @property
    def template(self) -> dict[str, Any]:
        return parsed(self.body)

    def note(self, logical_id: str, physical_id: str, kind: str, status: str, reason: str = "") -> None:
        self.events.append(
            {
                "StackId": self.stack_id,
                "StackName": self.name,
                "EventId": secrets.token_hex(8),
                "LogicalResourceId": logical_id,
                "PhysicalResourceId": physical_id,
                "ResourceType": kind,
                "ResourceStatus": status,
                "ResourceStatusReason": reason or None,
                "Timestamp": datetime.now(UTC),
            }
        )

    def turn(self, status: str, reason: str = "") -> None:
        self.status, self.reason = status, reason
        self.note(self.name, self.stack_id, "AWS::CloudFormation::Stack", status, reason)

    def outputs(self) -> list[dict[str, str]]:
        if not self.status.endswith("_COMPLETE") or self.status.startswith(("ROLLBACK", "DELETE", "REVIEW")):
            return []
        told = self.template.get("Outputs", {})
        return [
            {
                "OutputKey": key,
                "OutputValue": resolved(output["Value"], self.lookup),
                "Description": output.get("Description"),
            }
            for key, output in told.items()
        ]

    def lookup(self, name: str, attribute: str) -> Any:
        pseudo = {
            "AWS::Region": self.region,
            "AWS::AccountId": ACCOUNT,
            "AWS::Partition": "aws",
            "AWS::StackName": self.name,
            "AWS::URLSuffix": "amazonaws.com",
        }
        if name in pseudo:
            return pseudo[name]
        if name not in self.resources:
            raise TemplateError(f"Unresolved resource dependencies [{name}]")
        made = self.resources[name].made
        return made.attributes[attribute] if attribute else made.physical_id


class Work:
    """What goes on in the background of one stack; `pause` is between two resources."""

    def __init__(self, stack: Stack, pause: Callable[[], object]) -> None:
        self._stack, self._pause = stack, pause

    def create(self) -> None:
        try:
            self._build("CREATE")
        except FAILURES as error:
            self._stack.turn("ROLLBACK_IN_PROGRESS", f"The following resource(s) failed to create. {_words(error)}")
            failed = self._remove_all()
            self._stack.turn("ROLLBACK_FAILED" if failed else "ROLLBACK_COMPLETE", failed)
            return
        self._stack.turn("CREATE_COMPLETE")

    def update(self, body: str) -> None:
        stack = self._stack
        stack.previous_body, stack.body = stack.body, body
        try:
            self._build("UPDATE")
            self._remove_unwanted()
        except FAILURES as error:
            stack.turn("UPDATE_ROLLBACK_IN_PROGRESS", _words(error))
            stack.body = stack.previous_body
            self.back_to_the_previous()
            return
        stack.turn("UPDATE_COMPLETE")

    def back_to_the_previous(self) -> None:
        try:
            self._build("UPDATE")
            self._remove_unwanted()
        except FAILURES as error:
            self._stack.turn("UPDATE_ROLLBACK_FAILED", _words(error))
            return
        self._stack.turn("UPDATE_ROLLBACK_COMPLETE")

    def delete(self) -> None:
        failed = self._remove_all()
        self._stack.turn("DELETE_FAILED" if failed else "DELETE_COMPLETE", failed)

    def detect_drift(self) -> None:
        """Compare each resource with what it was when CloudFormation made it."""
        drifts = [self._drift_of(resource) for resource in self._stack.resources.values()]
        drifted = [each for each in drifts if each["StackResourceDriftStatus"] != "IN_SYNC"]
        self._stack.drifts = drifts
        self._stack.drift = {
            "StackDriftStatus": "DRIFTED" if drifted else "IN_SYNC",
            "DriftedStackResourceCount": len(drifted),
            "DetectionStatus": "DETECTION_COMPLETE",
        }

    def _drift_of(self, resource: Resource) -> dict[str, Any]:
        try:
            self._permit(resource.kind, "read", _named(resource.kind, resource.made.physical_id, resource.properties))
            now = resource.handler.read(self._stack.client, resource.made.physical_id)
        except (ClientError, Denied) as error:
            if isinstance(error, Denied) or not is_gone(error):
                return _drift(self._stack, resource, "NOT_CHECKED", [])
            now = None
        if now is None:
            return _drift(self._stack, resource, "DELETED", [])
        # AWS looks at no property that the template does not set.
        changed = [key for key in now if key in resource.properties and now[key] != (resource.as_made or {}).get(key)]
        return _drift(self._stack, resource, "MODIFIED" if changed else "IN_SYNC", changed)

    def _build(self, verb: str) -> None:
        template = self._stack.template
        for logical_id in in_order(template["Resources"]):
            self._pause()
            self._make(verb, logical_id, template["Resources"][logical_id])

    def _make(self, verb: str, logical_id: str, wanted: Mapping[str, Any]) -> None:
        stack, kind = self._stack, wanted["Type"]
        properties = resolved(wanted.get("Properties", {}), stack.lookup)
        known = stack.resources.get(logical_id)
        if known is not None and known.properties == properties:
            return
        verb = verb if known or verb == "CREATE" else "CREATE"
        name = known.made.physical_id if known else _new_name(stack.name, logical_id)
        stack.note(logical_id, "" if known is None else name, kind, f"{verb}_IN_PROGRESS")
        try:
            handler = TYPES[kind]
            for each in ("update" if known else "create", "read"):
                self._permit(kind, each, _named(kind, name, properties))
            made = (handler.update if known else handler.create)(stack.client, name, properties)
            stack.resources[logical_id] = Resource(logical_id, kind, made, properties)
            stack.resources[logical_id].as_made = handler.read(stack.client, made.physical_id)
        except FAILURES as error:
            stack.note(logical_id, name, kind, f"{verb}_FAILED", _words(error))
            self._keep_what_was_begun(logical_id, kind, name, properties)
            raise
        stack.note(logical_id, made.physical_id, kind, f"{verb}_COMPLETE")

    def _keep_what_was_begun(self, logical_id: str, kind: str, name: str, properties: dict[str, Any]) -> None:
        """A resource whose second call failed is there, and must go with the rest."""
        if logical_id not in self._stack.resources and "|" not in name:
            name = name.lower() if kind == "AWS::S3::Bucket" else name
            try:
                there = TYPES[kind].read(self._stack.client, name)
            except (*FAILURES, ValueError):
                return
            if there is not None:
                self._stack.resources[logical_id] = Resource(logical_id, kind, Made(name), properties)

    def _remove_all(self) -> str:
        """In reverse order; what could not be removed, in words."""
        failed = [words for logical_id in reversed(list(self._stack.resources)) if (words := self._remove(logical_id))]
        return f"The following resource(s) failed to delete: [{', '.join(failed)}]. " if failed else ""

    def _remove_unwanted(self) -> None:
        for logical_id in reversed(list(self._stack.resources)):
            if logical_id not in self._stack.template["Resources"]:
                self._remove(logical_id)

    def _remove(self, logical_id: str) -> str:
        self._pause()
        stack, resource = self._stack, self._stack.resources[logical_id]
        physical_id = resource.made.physical_id
        stack.note(logical_id, physical_id, resource.kind, "DELETE_IN_PROGRESS")
        try:
            self._permit(resource.kind, "delete", _named(resource.kind, physical_id, resource.properties))
            resource.handler.delete(stack.client, physical_id)
        except FAILURES as error:
            if not (isinstance(error, ClientError) and is_gone(error)):
                stack.note(logical_id, physical_id, resource.kind, "DELETE_FAILED", _words(error))
                return logical_id
        del stack.resources[logical_id]
        stack.note(logical_id, physical_id, resource.kind, "DELETE_COMPLETE")
        return ""


    def _permit(self, kind: str, verb: str, name: str) -> None:
        for action, resource in needed(kind, verb, name, self._stack.region, ACCOUNT):
            self._stack.permit(action, resource)


def _named(kind: str, name: str, properties: Mapping[str, Any]) -> str:
    """The physical ID of what a permission is about."""
    if kind == "AWS::Lambda::Permission":
        return str(properties["FunctionName"]).rpartition(":")[2]
    if kind == "AWS::IAM::RolePolicy":
        return str(properties["RoleName"])
    if kind == "AWS::S3::BucketPolicy":
        return str(properties["Bucket"])
    return name.lower() if kind == "AWS::S3::Bucket" else name


def _drift(stack: Stack, resource: Resource, status: str, changed: list[str]) -> dict[str, Any]:
    differences = [
        {"PropertyPath": f"/{key}", "ExpectedValue": "", "ActualValue": "", "DifferenceType": "NOT_EQUAL"}
        for key in changed
    ]
    return {
        "StackId": stack.stack_id,
        "LogicalResourceId": resource.logical_id,
        "PhysicalResourceId": resource.made.physical_id,
        "ResourceType": resource.kind,
        "StackResourceDriftStatus": status,
        "PropertyDifferences": differences,
        "Timestamp": datetime.now(UTC),
    }


def _words(error: Exception) -> str:
    return str(error)


def _new_name(stack: str, logical_id: str) -> str:
    letters = string.ascii_letters + string.digits
    suffix = "".join(secrets.choice(letters) for _ in range(12))
    return f"{stack[:24]}-{logical_id[:24]}-{suffix}"


class Stacks:
    """All stacks of all regions; safe from any thread."""

    def __init__(self) -> None:
        self._step_s = 0.0
        self._lock = threading.RLock()
        self._stacks: list[Stack] = []
        self._numbers = itertools.count(1)
        self._threads: list[threading.Thread] = []
        self._ended = threading.Event()

    def pace(self, step_s: float) -> None:
        self._step_s = step_s

    def named(self, region: str, name_or_id: str) -> Stack | None:
        """A deleted one only by its ID."""
        with self._lock:
            for stack in reversed(self._stacks):
                if stack.region == region and stack.stack_id == name_or_id:
                    return stack
                if stack.region == region and stack.name == name_or_id and stack.status != "DELETE_COMPLETE":
                    return stack
        return None

    def all_of(self, region: str) -> list[Stack]:
        with self._lock:
            return [each for each in self._stacks if each.region == region and each.status != "DELETE_COMPLETE"]

    def create(self, region: str, name: str, body: str, client: Client, permit: Permit) -> Stack:
        parsed(body)
        stack_id = f"arn:aws:cloudformation:{region}:{ACCOUNT}:stack/{name}/{secrets.token_hex(16)}"
        stack = Stack(name, stack_id, region, body, client, permit)
        with self._lock:
            self._stacks.append(stack)
        stack.turn("CREATE_IN_PROGRESS", "User Initiated")
        self._begin(lambda work: work.create(), stack)
        return stack

    def update(self, stack: Stack, body: str, client: Client, permit: Permit) -> None:
        parsed(body)
        stack.client, stack.permit = client, permit
        stack.turn("UPDATE_IN_PROGRESS", "User Initiated")
        self._begin(lambda work: work.update(body), stack)

    def delete(self, stack: Stack, client: Client, permit: Permit) -> None:
        stack.client, stack.permit = client, permit
        stack.turn("DELETE_IN_PROGRESS", "User Initiated")
        self._begin(lambda work: work.delete(), stack)

    def roll_back(self, stack: Stack, client: Client, permit: Permit) -> None:
        stack.client, stack.permit = client, permit
        stack.turn("UPDATE_ROLLBACK_IN_PROGRESS", "User Initiated")
        self._begin(lambda work: work.back_to_the_previous(), stack)

    def detect_drift(self, stack: Stack, client: Client, permit: Permit) -> None:
        stack.client, stack.permit = client, permit
        stack.drift = {"DetectionStatus": "DETECTION_IN_PROGRESS"}
        self._begin(lambda work: work.detect_drift(), stack)

    def _begin(self, do: Callable[[Work], None], stack: Stack) -> None:
        thread = threading.Thread(target=do, args=(Work(stack, lambda: self._ended.wait(self._step_s)),), daemon=True)
        with self._lock:
            self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        thread.start()

    def clear(self) -> None:
        """Nothing is left, and nothing goes on."""
        self._ended.set()
        with self._lock:
            threads, self._threads = self._threads, []
        deadline = time.monotonic() + 30
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            self._stacks.clear()
        self._step_s = 0.0
        self._ended = threading.Event()
