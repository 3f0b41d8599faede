"""One stack: its template and parameters, its resources and its events."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from test.cloud.stack_conditions import decided
from test.cloud.stack_kinds import Client, Kind, Made
from test.cloud.stack_parameters import referred
from test.cloud.stack_permissions import needed
from test.cloud.stack_resources import TYPES
from test.cloud.stack_template import TemplateError, parsed, resolved
from test.cloud.views import ACCOUNT

Permit = Callable[[str, str], None]  # (action, resource); raises Denied


class Denied(Exception):
    """The caller of CloudFormation lacks a permission that a handler needs."""


@dataclass
class Resource:
    """One resource of a stack, as last created or updated."""

    logical_id: str
    kind: str
    made: Made
    properties: dict[str, Any]
    policies: dict[str, str] = field(default_factory=dict)  # DeletionPolicy, UpdateReplacePolicy
    as_made: Any = None  # the result of reading it then
    is_unsure: bool = False  # an update of it failed halfway

    @property
    def handler(self) -> Kind:
        return TYPES[self.kind]

    @property
    def identity(self) -> tuple[str, str]:
        return self.kind, self.made.physical_id

    @property
    def subject(self) -> str:
        return self.handler.subject(self.made.physical_id, self.properties)


@dataclass(frozen=True)
class Wanted:
    """The template and parameters of a stack."""

    body: str
    parameters: dict[str, str]


@dataclass
class Stack:
    """A stack; a failed update rolls back to `before` and `resources_before`."""

    name: str
    stack_id: str
    region: str
    wanted: Wanted
    client: Client
    permit: Permit
    role_arn: str = ""  # the role whose permissions are used; empty: the caller's
    status: str = "CREATE_IN_PROGRESS"
    reason: str = ""
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    resources: dict[str, Resource] = field(default_factory=dict)
    before: Wanted | None = None
    resources_before: dict[str, Resource] = field(default_factory=dict)
    leftover: list[Resource] = field(default_factory=list)  # removed when an update, or its rollback, is complete
    events: list[dict[str, Any]] = field(default_factory=list)
    drift: dict[str, Any] = field(default_factory=lambda: {"StackDriftStatus": "NOT_CHECKED"})
    drifts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def template(self) -> dict[str, Any]:
        return decided(parsed(self.wanted.body), self.wanted.parameters)

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

    def note_of(self, resource: Resource, status: str, reason: str = "") -> None:
        self.note(resource.logical_id, resource.made.physical_id, resource.kind, status, reason)

    def turn(self, status: str, reason: str = "") -> None:
        self.note(self.name, self.stack_id, "AWS::CloudFormation::Stack", status, reason)
        self.status, self.reason = status, reason  # a reader who sees the status finds its event

    def outputs(self) -> list[dict[str, str]]:
        if not self.status.endswith("_COMPLETE") or self.status.startswith(("ROLLBACK", "DELETE", "REVIEW")):
            return []
        response = self.template.get("Outputs", {})
        return [
            {
                "OutputKey": key,
                "OutputValue": resolved(output["Value"], self.lookup),
                "Description": output.get("Description"),
            }
            for key, output in response.items()
        ]

    def lookup(self, name: str, attribute: str) -> Any:
        pseudo = {
            "AWS::Region": self.region,
            "AWS::AccountId": ACCOUNT,
            "AWS::Partition": "aws",
            "AWS::StackId": self.stack_id,
            "AWS::StackName": self.name,
            "AWS::URLSuffix": "amazonaws.com",
        }
        if name in pseudo:
            return pseudo[name]
        if name in self.wanted.parameters:
            return referred(self.template["Parameters"][name], self.wanted.parameters[name])
        if name not in self.resources:
            raise TemplateError(f"Unresolved resource dependencies [{name}]")
        made = self.resources[name].made
        return made.attributes[attribute] if attribute else made.physical_id

    def permit_to(self, kind: str, verb: str, subject: str) -> None:
        """Raises Denied unless the caller has all permissions that this handler needs."""
        for action, resource in needed(kind, verb, subject, self.region, ACCOUNT):
            self.permit(action, resource)

    def tags_of(self, resource: Resource) -> dict[str, str]:
        """Return the aws: tags of a stack's resource.  CERTAIN: CloudFormation user guide, "Resource tag"."""
        own = {"stack-name": self.name, "stack-id": self.stack_id, "logical-id": resource.logical_id}
        return {f"aws:cloudformation:{key}": value for key, value in own.items()}

    def new_name(self, logical_id: str) -> str:
        """Return a name for a resource without its own."""
        letters = string.ascii_letters + string.digits
        suffix = "".join(secrets.choice(letters) for _ in range(12))
        return f"{self.name[:24]}-{logical_id[:24]}-{suffix}"
