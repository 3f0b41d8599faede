"""EC2's calls on launch templates."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError

from test.cloud.ec2_base import Acting
from test.cloud.launch_templates import Template, Version
from test.cloud.paging import page
from test.cloud.tags import check_keys
from test.cloud.views import ACCOUNT

PAGE = 200  # CERTAIN: "between 1 and 200", botocore's EC2 model; for calls without MaxResults LIKELY
CREATOR = f"arn:aws:iam::{ACCOUNT}:root"


@dataclass
class Row:
    """One version of a template, and its place in the list."""

    sequence: int
    template: Template
    version: Version


class TemplateCalls(Acting):
    """A part of ActingEC2."""

    def create_launch_template(self) -> ActionResult:
        asked = self._parameters()
        tags = [
            tag
            for group in asked.get("TagSpecifications") or []
            if _is_of_templates(group)
            for tag in group.get("Tags") or []
        ]
        check_keys(tags)
        own = {tag["Key"]: tag.get("Value", "") for tag in tags}
        template = self._fleets.templates.create(asked["LaunchTemplateName"], asked, own)
        self._fleets.effect("launch template created", template=template.template_id, name=template.name)
        return ActionResult({"LaunchTemplate": self._view(template)})

    def create_launch_template_version(self) -> ActionResult:
        asked = self._parameters()
        template = self._template(asked)
        source = asked.get("SourceVersion")
        given = {**(template.version(source).data if source else {}), **asked["LaunchTemplateData"]}
        description, token = asked.get("VersionDescription"), asked.get("ClientToken")
        version = self._fleets.templates.add_version(template, given, description, token)
        return ActionResult({"LaunchTemplateVersion": _version_view(template, version)})

    def modify_launch_template(self) -> ActionResult:
        asked = self._parameters()
        template = self._template(asked)
        template.default = template.version(str(asked["DefaultVersion"])).number
        return ActionResult({"LaunchTemplate": self._view(template)})

    def delete_launch_template(self) -> ActionResult:
        template = self._template(self._parameters())
        response = self._view(template)
        self._fleets.templates.delete(template)
        self._fleets.effect("launch template deleted", template=template.template_id, name=template.name)
        return ActionResult({"LaunchTemplate": response})

    def describe_launch_templates(self) -> ActionResult:
        """Describe templates; an unknown ID or name fails the call, a filter that fits none does not."""
        asked = self._parameters()
        wanted = [self._template({"LaunchTemplateId": each}) for each in asked.get("LaunchTemplateIds") or []]
        wanted += [self._template({"LaunchTemplateName": each}) for each in asked.get("LaunchTemplateNames") or []]
        among = sorted(wanted, key=lambda each: each.sequence) or self._fleets.templates.known(self._templates_late_s)
        left_out = "" if wanted else self.faults.omitted("DescribeLaunchTemplates")
        found, token = page(
            (each for each in among if each.template_id != left_out and self._fits(each, asked.get("Filters") or [])),
            asked.get("MaxResults"),
            asked.get("NextToken"),
            drift=lambda: self.faults.drift("DescribeLaunchTemplates"),
            most=PAGE,
        )
        return ActionResult({"LaunchTemplates": [self._view(each) for each in found], "NextToken": token})

    def describe_launch_template_versions(self) -> ActionResult:
        asked = self._parameters()
        rows = (Row(number, *each) for number, each in enumerate(self._versions(asked), 1))
        found, token = page(rows, asked.get("MaxResults"), asked.get("NextToken"), most=PAGE)
        response = [_version_view(each.template, each.version) for each in found]
        return ActionResult({"LaunchTemplateVersions": response, "NextToken": token})

    def _versions(self, asked: Mapping[str, Any]) -> Iterator[tuple[Template, Version]]:
        """Yield the named versions of one template, or all of them; or the latest or default ones of all templates."""
        wanted = [str(each) for each in asked.get("Versions") or []]
        if "LaunchTemplateId" not in asked and "LaunchTemplateName" not in asked:
            if not wanted or not set(wanted) <= {"$Latest", "$Default"}:
                raise EC2ClientError("MissingParameter", "Give a launch template, or the versions $Latest or $Default.")
            for each in self._fleets.templates.known(self._templates_late_s):
                yield from ((each, each.version(version)) for version in wanted)
            return
        template = self._template(asked)
        if wanted:
            yield from ((template, template.version(each)) for each in wanted)
            return
        least, most = int(asked.get("MinVersion") or 1), int(asked.get("MaxVersion") or len(template.versions))
        yield from ((template, each) for each in template.versions if least <= each.number <= most)

    @property
    def _templates_late_s(self) -> float:
        return self.chosen.now.templates_late_s

    def _template(self, wanted: Mapping[str, Any]) -> Template:
        return self._fleets.templates.find(wanted, self._templates_late_s)

    def _fits(self, template: Template, filters: list[Mapping[str, Any]]) -> bool:
        tags = template.tags.at(self._fleets.clock())
        return all(
            any(
                fnmatch.fnmatchcase(each, value) for value in wanted["Values"] for each in _read(wanted, template, tags)
            )
            for wanted in filters
        )

    def _view(self, template: Template) -> dict[str, Any]:
        tags = template.tags.at(self._fleets.clock())
        return {
            "LaunchTemplateId": template.template_id,
            "LaunchTemplateName": template.name,
            "CreateTime": _moment(template.created_at_s),
            "CreatedBy": CREATOR,
            "DefaultVersionNumber": template.default,
            "LatestVersionNumber": len(template.versions),
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }


def _is_of_templates(group: Mapping[str, Any]) -> bool:
    """Return True, or raise an error for any other type.

    CERTAIN: "To tag the launch template, the resource type must be launch-template", botocore's EC2 model.
    """
    if group.get("ResourceType") != "launch-template":
        raise EC2ClientError("InvalidParameterValue", "The resource type of a launch template is launch-template.")
    return True


def _read(wanted: Mapping[str, Any], template: Template, tags: Mapping[str, str]) -> list[str]:
    """Return the values that a filter tests.  CERTAIN: the service model, DescribeLaunchTemplates.Filters."""
    name = str(wanted["Name"])
    match name:
        case "launch-template-name":
            return [template.name]
        case "tag-key":
            return list(tags)
        case _ if name.startswith("tag:"):
            return [tags[name.removeprefix("tag:")]] if name.removeprefix("tag:") in tags else []
    raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")


def _version_view(template: Template, version: Version) -> dict[str, Any]:
    return {
        "LaunchTemplateId": template.template_id,
        "LaunchTemplateName": template.name,
        "VersionNumber": version.number,
        "VersionDescription": version.description,
        "CreateTime": _moment(version.created_at_s),
        "CreatedBy": CREATOR,
        "DefaultVersion": version.number == template.default,
        "LaunchTemplateData": version.data,
    }


def _moment(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None)
