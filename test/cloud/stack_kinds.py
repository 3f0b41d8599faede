"""The base of all resource types: how CloudFormation creates, finishes, updates, reads and deletes a resource.

A handler calls the services themselves with the keys of CloudFormation's caller, as AWS does, so a call for which the
caller lacks the permission fails here too, with the same reason.  The calls are derived from the handlers' permissions
in AWS's own resource schemas, as are the properties that nothing can change (`createOnlyProperties`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from botocore.exceptions import ClientError

Client = Callable[[str], Any]
Properties = dict[str, Any]
GONE = frozenset(
    {
        "NoSuchEntity",
        "NoSuchBucket",
        "NoSuchBucketPolicy",
        "ResourceNotFoundException",
        "InvalidGroup.NotFound",
        "404",
    }
)
EXISTING = frozenset(
    {
        "AlreadyExists",
        "BucketAlreadyExists",
        "BucketAlreadyOwnedByYou",
        "EntityAlreadyExists",
        "InvalidGroup.Duplicate",
        "ResourceAlreadyExistsException",
    }
)


class HandlerError(Exception):
    """A handler gave up; the message has the reason."""


class ExistingError(HandlerError):
    """A resource of that name exists and does not belong to this stack."""


@dataclass
class Made:
    """A resource that exists: the results of Ref and Fn::GetAtt."""

    physical_id: str
    attributes: dict[str, str] = field(default_factory=dict)


class Kind:
    """One type of resource.  `create` is the one call after which the resource exists; `finish` makes the others."""

    NAME = ""  # the property that gives the resource a custom name
    CREATE_ONLY: ClassVar[tuple[str, ...]] = ()

    def create(self, client: Client, name: str, properties: Properties) -> Made:
        raise NotImplementedError

    def finish(self, client: Client, made: Made, properties: Properties) -> Made:  # noqa: ARG002
        return made

    def mark(self, client: Client, made: Made, tags: dict[str, str]) -> None:
        """Set the stack's own tags (aws:cloudformation:...) on a resource, for the types whose tags are used."""

    def update(self, client: Client, name: str, properties: Properties) -> Made:
        raise NotImplementedError

    def read(self, client: Client, name: str) -> Properties | None:
        raise NotImplementedError

    def delete(self, client: Client, name: str) -> None:
        raise NotImplementedError

    def subject(self, name: str, properties: Properties) -> str:  # noqa: ARG002
        """Return the physical ID that permissions are checked for: the resource's own, or that of its parent."""
        return name

    def is_replaced(self, before: Properties, after: Properties) -> bool:
        return any(before.get(each) != after.get(each) for each in self.CREATE_ONLY)


def is_gone(error: Exception) -> bool:
    return isinstance(error, ClientError) and error.response["Error"]["Code"] in GONE


def handler_code(error: Exception) -> str:
    """Return CloudFormation's own code for a handler's failure."""
    if isinstance(error, ExistingError):
        return "AlreadyExists"
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
    if code in EXISTING or "already exist" in str(error):
        return "AlreadyExists"
    if code in GONE:
        return "NotFound"
    return "AccessDenied" if code.startswith(("AccessDenied", "Unauthorized")) else "GeneralServiceException"
