"""AWS's checks of a Spot Fleet request, and the launch specifications that result from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from moto.ec2.exceptions import EC2ClientError

from test.cloud.launch_templates import LaunchTemplates

MAX_TOKEN = 64
TEMPLATE = "LaunchTemplate"  # the origin of a specification, by RunInstances' name


def checked(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `config` unchanged, or raise EC2's error."""
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
    for message, is_broken in DOCUMENTED.items():
        if is_broken(config):
            raise EC2ClientError("InvalidSpotFleetRequestConfig", message)
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


def _named(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each.get("LaunchTemplateSpecification") or {} for each in config.get("LaunchTemplateConfigs") or []]


def _pools(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    templates = config.get("LaunchTemplateConfigs") or []
    return [*_inline(config), *(each for template in templates for each in template.get("Overrides") or [])]


# The rules of AWS's documentation, in its own wording (botocore's EC2 model; the last one from the user guide,
# "Examples of configurations that are valid and not valid").  The error code that AWS returns is not documented.
DOCUMENTED: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "If you include On-Demand capacity in your request, you must use LaunchTemplateConfigs.": lambda config: (
        int(config.get("OnDemandTargetCapacity") or 0) > 0 and bool(_inline(config))
    ),
    "InstancePoolsToUseCount is valid only when Spot AllocationStrategy is set to lowest-price.": lambda config: (
        "InstancePoolsToUseCount" in config and config.get("AllocationStrategy", "lowestPrice") != "lowestPrice"
    ),
    "You must specify the version of a launch template, otherwise the request fails.": lambda config: any(
        "Version" not in each for each in _named(config)
    ),
    "You must specify the LaunchTemplateId or the LaunchTemplateName, but not both.": lambda config: any(
        ("LaunchTemplateId" in each) == ("LaunchTemplateName" in each) for each in _named(config)
    ),
    "The replacement strategy is only available for fleets of type maintain.": lambda config: (
        bool(config.get("SpotMaintenanceStrategies")) and config.get("Type", "maintain") != "maintain"
    ),
    "You can specify either InstanceRequirements or InstanceType, but not both.": lambda config: (
        any("InstanceType" in each for each in _pools(config))
        and any("InstanceRequirements" in each for each in _pools(config))
    ),
    "For EC2 Fleets of type maintain or request, or for Spot Fleets, you must specify the AMI ID.": lambda config: any(
        not str(each.get("ImageId", "ami-")).startswith("ami-") for each in _inline(config)
    ),
}


def specifications(config: Mapping[str, Any], templates: LaunchTemplates, late_s: float) -> list[dict[str, Any]]:
    """Return one specification per instance pool: inline ones, or launch templates with each of their overrides."""
    found = [dict(spec) for spec in _inline(config)]
    for each in config.get("LaunchTemplateConfigs") or []:
        template = _template_data(each["LaunchTemplateSpecification"], templates, late_s)
        overrides = each.get("Overrides") or [{}]
        found += [template | override for override in overrides]
    price = {"SpotPrice": config["SpotPrice"]} if "SpotPrice" in config else {}
    return [price | spec for spec in found]


def _inline(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return config.get("LaunchSpecifications") or []


def _template_data(wanted: Mapping[str, Any], templates: LaunchTemplates, late_s: float) -> dict[str, Any]:
    template = templates.find(wanted, late_s)
    version = template.version(str(wanted["Version"]))
    return {**version.data, TEMPLATE: {"LaunchTemplateId": template.template_id, "Version": str(version.number)}}
