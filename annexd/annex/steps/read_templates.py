"""The user's own launch templates of an EC2 Fleet: read once, and kept in the journal.

So annexd always makes the same copy, even if the user's templates change meanwhile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from annexd.annex.request.order import FleetOrder
from annexd.annex.request.template_copy import copied, faults_of_source, notes_of_source
from annexd.annex.request.template_data import TemplateVersion
from annexd.annex.steps.context import StepContext, translate_aws_errors
from annexd.aws import answers
from annexd.workflow import Refused, Results


@dataclass(frozen=True)
class ReadIntent:
    """The versions of launch templates to read; empty for a Spot Fleet, and for a request that names none."""

    sources: tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class TemplatesRead:
    """The whole data of each version of the launch template that annexd will create; the changes, or empty."""

    versions: tuple[Mapping[str, Any], ...]
    warning: str


class ReadTemplates:
    """Reads each of the user's launch templates and checks that it may be copied.  Creates nothing."""

    name = "read_templates"
    intent_type = ReadIntent
    shows_late = False
    result_type = TemplatesRead

    def __init__(self, context: StepContext) -> None:
        self._context = context

    def plan(self, order: FleetOrder, _results: Results) -> ReadIntent:
        sources = [each.source for each in order.versions if each.source is not None]
        return ReadIntent(tuple(each for i, each in enumerate(sources) if each not in sources[:i]))

    def forward(self, order: FleetOrder, intent: ReadIntent) -> TemplatesRead:
        ec2 = self._context.access(order.target).ec2 if intent.sources else None
        response = [_described(ec2, source) for source in intent.sources]
        versions, notes, faults = list[Mapping[str, Any]](), list[str](), list[str]()
        for version in order.versions:
            if version.source is None:
                versions.append(version.data)
                continue
            found = response[intent.sources.index(version.source)]
            where = f"{version.where} ({version.source_name})"
            faults += [f"{where} has {fault}" for fault in faults_of_source(found)]
            notes += [f"{where}: {note}" for note in notes_of_source(found)]
            versions.append(_copy(version, found))
        if faults:
            message = f"{'; '.join(faults)}: create a version without it, and name that in the file"
            raise Refused(message, untouched=True, result="InvalidRequest")
        return TemplatesRead(tuple(versions), "; ".join(notes))

    def backward(self, _order: FleetOrder, _intent: ReadIntent, _asked_at_s: float) -> None:
        """Do nothing: this step creates nothing."""


def _copy(version: TemplateVersion, response: Mapping[str, Any]) -> Mapping[str, Any]:
    with translate_aws_errors("DescribeLaunchTemplateVersions"):  # a response of another shape
        return copied(version, response)


def _described(ec2: Any, source: Mapping[str, str]) -> Mapping[str, Any]:
    named = {name: value for name, value in source.items() if name != "Version"}
    with translate_aws_errors(f"DescribeLaunchTemplateVersions {next(iter(named.values()), '')}"):
        answer = ec2.describe_launch_template_versions(**named, Versions=[source["Version"]])
        [found] = answers.rows(answer, "LaunchTemplateVersions")
        data: Mapping[str, Any] = answers.value(found, "LaunchTemplateData", dict)
        return data
