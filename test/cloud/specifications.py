"""What AWS checks in a Spot Fleet request, and the launch specifications that it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.ec2.exceptions import EC2ClientError

MAX_TOKEN = 64


def checked(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """`config` as it came, or an error of EC2's."""
    if int(config["TargetCapacity"]) <= 0:
        raise EC2ClientError("InvalidSpotFleetRequestConfig", "TargetCapacity must be positive.")
    if bool(config.get("LaunchSpecifications")) == bool(config.get("LaunchTemplateConfigs")):
        raise EC2ClientError(
            "InvalidSpotFleetRequestConfig", "Give either LaunchSpecifications or LaunchTemplateConfigs."
        )
    if len(config.get("ClientToken") or "") > MAX_TOKEN:
        raise EC2ClientError("InvalidParameterValue", f"ClientToken is longer than {MAX_TOKEN} characters.")
    if config.get("Type") == "instant":
        raise EC2ClientError("InvalidSpotFleetRequestConfig", "Spot Fleet does not take Type instant.")
    _check_tags(config)
    return config


def _check_tags(config: Mapping[str, Any]) -> None:
    for tagged, own in [(config, "spot-fleet-request"), *((spec, "instance") for spec in _inline(config))]:
        for group in tagged.get("TagSpecifications") or []:
            if group.get("ResourceType", own) != own:
                raise EC2ClientError(
                    "InvalidParameterValue",
                    f"The value for ResourceType must be {own}, not {group['ResourceType']}.",
                )


def specifications(config: Mapping[str, Any], backend: Any) -> list[dict[str, Any]]:
    """One specification an instance pool: inline ones, or launch templates with each of their overrides."""
    found = [dict(spec) for spec in _inline(config)]
    for each in config.get("LaunchTemplateConfigs") or []:
        template = _template_data(each["LaunchTemplateSpecification"], backend)
        overrides = each.get("Overrides") or [{}]
        found += [template | override for override in overrides]
    price = {"SpotPrice": config["SpotPrice"]} if "SpotPrice" in config else {}
    return [price | spec for spec in found]


def _inline(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return config.get("LaunchSpecifications") or []


def _template_data(wanted: Mapping[str, Any], backend: Any) -> dict[str, Any]:
    if "LaunchTemplateId" in wanted:
        template = backend.get_launch_template(template_id=wanted["LaunchTemplateId"])
    else:
        template = backend.get_launch_template_by_name(name=wanted["LaunchTemplateName"])
    return dict(template.get_version(wanted.get("Version", "$Default")).data)
