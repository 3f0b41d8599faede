"""Launch templates as EC2 keeps them: names, numbered versions, and a time from which each is known.

moto's are not used: they have no pages, client tokens or tags of their own, and put the template's tags on instances.
Codes and messages: LIKELY, moto's and those that github.com/aws/karpenter-provider-aws, pkg/errors, waits for.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.ec2.exceptions import EC2ClientError

from test.cloud.tags import TagLog

NAME = re.compile(r"[a-zA-Z0-9().\-/_]{3,128}")  # CERTAIN: botocore's EC2 model, LaunchTemplateName
MAX_TEMPLATE_TOKEN = 128  # CERTAIN: the same, CreateLaunchTemplate.ClientToken
MALFORMED = "InvalidLaunchTemplateName.MalformedException"
EXISTS = "InvalidLaunchTemplateName.AlreadyExistsException"
NO_NAME, NO_ID = "InvalidLaunchTemplateName.NotFoundException", "InvalidLaunchTemplateId.NotFound"
NO_VERSION = "InvalidLaunchTemplateId.VersionNotFound"


@dataclass(frozen=True)
class Version:
    """One version of a template: the data that instances are launched from."""

    number: int
    data: Mapping[str, Any]
    description: str | None
    created_at_s: float


@dataclass
class Template:
    """One launch template; `tags` are its own, not those of its instances."""

    sequence: int
    template_id: str
    name: str
    created_at_s: float
    tags: TagLog
    default: int = 1
    versions: list[Version] = field(default_factory=list)

    def version(self, wanted: str) -> Version:
        named = {"$Latest": len(self.versions), "$Default": self.default}
        number = named.get(wanted, int(wanted) if wanted.isdecimal() else 0)
        if not 1 <= number <= len(self.versions):
            message = (
                f"Could not find the specified version {wanted} for the launch template with ID {self.template_id}."
            )
            raise EC2ClientError(NO_VERSION, message)
        return self.versions[number - 1]


class LaunchTemplates:
    """The launch templates of one region."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._templates: dict[str, Template] = {}
        self._tokens: dict[str, tuple[str, str]] = {}
        self._version_tokens: dict[str, tuple[str, Version]] = {}
        self._made = 0

    def create(self, name: str, asked: Mapping[str, Any], tags: Mapping[str, str]) -> Template:
        """Create a template, or return the one that an identical request has created before."""
        token, body = asked.get("ClientToken"), json.dumps(asked, sort_keys=True, default=str)
        if len(token or "") > MAX_TEMPLATE_TOKEN:
            raise EC2ClientError("InvalidParameterValue", f"ClientToken is longer than {MAX_TEMPLATE_TOKEN}.")
        if token in self._tokens:
            before, template_id = self._tokens[token]
            if before != body:
                message = f"The client token {token} was used with other parameters."
                raise EC2ClientError("IdempotentParameterMismatch", message)
            if template_id in self._templates:
                return self._templates[template_id]
        self._check_name(name)
        self._made += 1
        template = Template(self._made, f"lt-{secrets.token_hex(8)}1", name, self._clock(), TagLog(tags))
        self._templates[template.template_id] = template
        self.add_version(template, asked["LaunchTemplateData"], asked.get("VersionDescription"))
        if token:
            self._tokens[token] = body, template.template_id
        return template

    def _check_name(self, name: str) -> None:
        if not NAME.fullmatch(name):
            raise EC2ClientError(MALFORMED, "A launch template name has 3 to 128 letters, digits and ( ) . - / _")
        if any(each.name == name for each in self._templates.values()):
            raise EC2ClientError(EXISTS, "Launch template name already in use.")

    def add_version(
        self, template: Template, given: Mapping[str, Any], description: str | None, token: str | None = None
    ) -> Version:
        """Add a version, or return the one that an identical request has added before."""
        body = json.dumps([template.template_id, given, description], sort_keys=True, default=str)
        if token in self._version_tokens:
            before, known = self._version_tokens[token]
            if before != body:
                message = f"The client token {token} was used with other parameters."
                raise EC2ClientError("IdempotentParameterMismatch", message)
            return known
        version = Version(len(template.versions) + 1, dict(given), description, self._clock())
        template.versions.append(version)
        if token:
            self._version_tokens[token] = body, version
        return version

    def find(self, wanted: Mapping[str, Any], late_s: float = 0.0) -> Template:
        """Return the template by LaunchTemplateId or LaunchTemplateName; it is unknown in its first `late_s`."""
        named = wanted.get("LaunchTemplateId"), wanted.get("LaunchTemplateName")
        if (named[0] is None) == (named[1] is None):
            raise EC2ClientError("MissingParameter", "Give the launch template ID or the launch template name.")
        for each in self.known(late_s):
            if each.template_id == named[0] or each.name == named[1]:
                return each
        message = f"The specified launch template, with template {named[0] or named[1]}, does not exist."
        raise EC2ClientError(NO_ID if named[0] else NO_NAME, message)

    def known(self, late_s: float) -> Iterator[Template]:
        return (each for each in self._templates.values() if each.created_at_s + late_s <= self._clock())

    def by_id(self, template_id: str) -> Template | None:
        return self._templates.get(template_id)

    def delete(self, template: Template) -> None:
        """Delete a template with all its versions.  CERTAIN: EC2 API reference.  Its fleets can launch no more."""
        del self._templates[template.template_id]
