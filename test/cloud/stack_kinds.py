"""What every type of resource has in common: how CloudFormation makes, finishes, changes, reads and removes one.

By calls to the services themselves, with the keys of CloudFormation's caller, as AWS does it: so that
what they may not do fails here too, and why.  Which calls those are is from the handlers' permissions in AWS's
own resource schemas, and so are the properties that nothing can change (`createOnlyProperties`).
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
    """A handler gave up; says why."""


class ExistingError(HandlerError):
    """A resource of that name is there, and not of this stack."""


@dataclass
class Made:
    """A resource that exists: what Ref and Fn::GetAtt give."""

    physical_id: str
    attributes: dict[str, str] = field(default_factory=dict)


class Kind:
    """One type of resource.  `create` is the one call after which there is something; `finish` is the rest."""

    NAME = ""  # the property that gives it a name of its own
    CREATE_ONLY: ClassVar[tuple[str, ...]] = ()

    def create(self, client: Client, name: str, properties: Properties) -> Made:
        raise NotImplementedError

    def finish(self, client: Client, made: Made, properties: Properties) -> Made:  # noqa: ARG002
        return made

    def mark(self, client: Client, made: Made, tags: dict[str, str]) -> None:
        """Write the stack's own tags (aws:cloudformation:...) on it, where somebody looks at them."""

    def update(self, client: Client, name: str, properties: Properties) -> Made:
        raise NotImplementedError

    def read(self, client: Client, name: str) -> Properties | None:
        raise NotImplementedError

    def delete(self, client: Client, name: str) -> None:
        raise NotImplementedError

    def subject(self, name: str, properties: Properties) -> str:  # noqa: ARG002
        """The physical ID of what a permission is about: its own, or that of what it hangs on."""
        return name

    def is_replaced(self, before: Properties, after: Properties) -> bool:
        return any(before.get(each) != after.get(each) for each in self.CREATE_ONLY)


def is_gone(error: Exception) -> bool:
    return isinstance(error, ClientError) and error.response["Error"]["Code"] in GONE


def handler_code(error: Exception) -> str:
    """CloudFormation's own word for what went wrong in a handler."""
    if isinstance(error, ExistingError):
        return "AlreadyExists"
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
    if code in EXISTING or "already exist" in str(error):
        return "AlreadyExists"
    if code in GONE:
        return "NotFound"
    return "AccessDenied" if code.startswith(("AccessDenied", "Unauthorized")) else "GeneralServiceException"
