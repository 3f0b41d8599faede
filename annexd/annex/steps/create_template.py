"""The launch template of an EC2 Fleet, which defines its machines.  A Spot Fleet needs none.

Its name is the fleet's client token, which contains the annex's ID and its end and is unique.  So the lease function
recognises the template, and removes it after the end; and an existing template of this name was created by an earlier
attempt.  The fleet refers to its versions by number: nobody else creates any, and each is requested with its own token.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from annexd.annex.lease import lease
from annexd.annex.request.order import FleetOrder
from annexd.annex.steps.context import StepContext, before_the_end, require_settled, translate_aws_errors
from annexd.annex.steps.read_templates import TemplatesRead
from annexd.annex.steps.switch import with_switch_hint
from annexd.aws import answers
from annexd.aws.errors import AWS_ERRORS, is_existing, is_not_found
from annexd.workflow import Nothing, Refused, Results

RESOURCE: Final = "launch-template"  # AWS's type, in tags


@dataclass(frozen=True)
class TemplateIntent:
    """The template's name and tags, and its versions in their order; no name for an annex without one."""

    name: str
    tags: tuple[Mapping[str, str], ...]
    versions: tuple[Mapping[str, Any], ...]
    end_of_lease_s: int
    planned_at_s: float


class CreateTemplate:
    """Creates one launch template, under the fleet's own name; a repetition creates the same one."""

    name = "create_template"
    intent_type = TemplateIntent
    shows_late = False
    result_type = Nothing

    def __init__(self, context: StepContext) -> None:
        self._context = context

    def plan(self, order: FleetOrder, results: Results) -> TemplateIntent:
        owner, versions = order.target.requester.owner, results.of(TemplatesRead).versions
        tags = lease.tags(order.annex_id, owner, order.end_of_lease_s, order.annex_name) if versions else []
        name = order.client_token if versions else ""
        return TemplateIntent(name, tuple(tags), versions, order.end_of_lease_s, self._context.now_s())

    def forward(self, order: FleetOrder, intent: TemplateIntent) -> Nothing:
        if not intent.name:
            return Nothing()
        before_the_end(self._context, intent.end_of_lease_s)
        ec2 = self._context.access(order.target).ec2
        with with_switch_hint(order.api):
            _create(ec2, intent)
            for number in range(2, len(intent.versions) + 1):
                _add_version(ec2, intent, number)
        return Nothing()

    def backward(self, order: FleetOrder, intent: TemplateIntent, asked_at_s: float) -> None:
        """Delete it.  AWS may not know a new one for a while although it exists: then the deletion is repeated.

        A template that remains costs nothing, and the lease function removes it after the end.
        """
        if not intent.name:
            return
        ec2, known = self._context.access(order.target).ec2, True
        with translate_aws_errors(f"DeleteLaunchTemplate {intent.name}"):
            try:
                ec2.delete_launch_template(LaunchTemplateName=intent.name)
            except AWS_ERRORS as error:
                if not is_not_found(error):
                    raise
                known = False
        new_at_s = asked_at_s if known else max(asked_at_s, intent.planned_at_s)
        require_settled(self._context, new_at_s, f"the launch template {intent.name}")


def _create(ec2: Any, intent: TemplateIntent) -> None:
    with translate_aws_errors(f"CreateLaunchTemplate {intent.name}"):
        try:
            answer = ec2.create_launch_template(
                LaunchTemplateName=intent.name,
                ClientToken=intent.name,
                LaunchTemplateData=intent.versions[0],
                TagSpecifications=[{"ResourceType": RESOURCE, "Tags": list(intent.tags)}],
            )
        except AWS_ERRORS as error:
            if not is_existing(error):
                raise
            return  # a response was lost
        answers.text(answers.value(answer, "LaunchTemplate", dict), "LaunchTemplateId")


def _add_version(ec2: Any, intent: TemplateIntent, number: int) -> None:
    with translate_aws_errors(f"CreateLaunchTemplateVersion {intent.name}"):
        answer = ec2.create_launch_template_version(
            LaunchTemplateName=intent.name,
            ClientToken=f"{intent.name}-{number}",
            LaunchTemplateData=intent.versions[number - 1],
        )
        made = answers.value(answers.value(answer, "LaunchTemplateVersion", dict), "VersionNumber", int)
    if made != number:
        raise Refused(f"the launch template {intent.name} has a version {made} that somebody else made: order again")
