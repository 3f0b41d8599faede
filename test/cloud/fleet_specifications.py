"""AWS's checks of a CreateFleet request, and the launch specifications in it.

Rules: CERTAIN, botocore's EC2 model and the user guide's page on CreateFleet, whose wording they have.  The code
InvalidFleetConfig is that of github.com/hashicorp/terraform-provider-aws, internal/service/ec2 (LIKELY for all rules).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from moto.ec2.exceptions import EC2ClientError

from test.cloud.fleet_order import total
from test.cloud.launch_templates import LaunchTemplates
from test.cloud.specifications import MAX_TOKEN, TEMPLATE

Config = Mapping[str, Any]
INVALID = "InvalidFleetConfig"
KINDS = ("request", "maintain", "instant")
MAX_OVERRIDES = 300
MAX_CAPACITY = 10_000  # of one fleet.  CERTAIN: EC2 user guide, "Fleet quotas"
LEAST_PRICE = 0.001
OF_INSTANT = {"ImageId", "KeyName", "BlockDeviceMappings", "IamInstanceProfile", "MetadataOptions"}
OPTIONS_OF_INSTANT = {"SingleInstanceType", "SingleAvailabilityZone", "MinTargetCapacity", "CapacityReservationOptions"}


def checked(config: Config) -> Config:
    """Return `config` unchanged, or raise an error of EC2's."""
    if len(config.get("ClientToken") or "") > MAX_TOKEN:
        raise EC2ClientError("InvalidParameterValue", f"ClientToken is longer than {MAX_TOKEN} characters.")
    if any(float(each["MaxPrice"]) <= LEAST_PRICE for each in _overrides(config) if "MaxPrice" in each):
        raise EC2ClientError("InvalidParameterValue", f"MaxPrice must be more than USD ${LEAST_PRICE}.")
    for message, is_broken in DOCUMENTED.items():
        if is_broken(config):
            raise EC2ClientError(INVALID, message)
    return config


def _kind(config: Config) -> str:
    return str(config.get("Type") or "maintain")


def _overrides(config: Config) -> Iterator[Config]:
    return (each for one in config["LaunchTemplateConfigs"] for each in one.get("Overrides") or [])


def _templates(config: Config) -> list[Config]:
    return [each.get("LaunchTemplateSpecification") or {} for each in config["LaunchTemplateConfigs"]]


def _options(config: Config) -> set[str]:
    spot, on_demand = config.get("SpotOptions") or {}, config.get("OnDemandOptions") or {}
    return {*spot, *on_demand}


def _capacity_is_left(config: Config) -> bool:
    """Return whether the parts exceed the total, or leave capacity of no type.

    AWS's response to the latter is UNKNOWN; it is refused here.
    """
    wanted = config["TargetCapacitySpecification"]
    parts = int(wanted.get("OnDemandTargetCapacity") or 0) + int(wanted.get("SpotTargetCapacity") or 0)
    return parts > total(config) or (parts < total(config) and "DefaultTargetCapacityType" not in wanted)


def _stops(config: Config) -> bool:
    return bool((config.get("SpotOptions") or {}).get("InstanceInterruptionBehavior", "terminate") != "terminate")


def _repeats_a_pool(config: Config) -> bool:
    """Return whether two overrides have one type in one place.

    They are refused, as reported for CreateFleet's lists of type times subnet.
    """
    places = Counter(
        (each.get("InstanceType"), subnet, each.get("AvailabilityZone"))
        for each in _overrides(config)
        if "InstanceType" in each
        for subnet in str(each.get("SubnetId") or "").split(",")
    )
    return any(number > 1 for number in places.values())


DOCUMENTED: dict[str, Callable[[Config], bool]] = {
    "The fleet type is request, maintain or instant.": lambda config: _kind(config) not in KINDS,
    "You must specify a launch template, by its ID or its name, but not both.": lambda config: any(
        ("LaunchTemplateId" in each) == ("LaunchTemplateName" in each) for each in _templates(config)
    ),
    "You must specify the version of a launch template, otherwise the request fails.": lambda config: any(
        "Version" not in each for each in _templates(config)
    ),
    "The target capacity must be positive; a fleet of type maintain may have 0.": lambda config: (
        total(config) < (0 if _kind(config) == "maintain" else 1)
    ),
    f"The target capacity of a fleet is at most {MAX_CAPACITY:,}.": lambda config: total(config) > MAX_CAPACITY,
    "The parts of the target capacity do not make its total, and there is no default type.": _capacity_is_left,
    "Capacity Blocks and reserved capacity are for fleets of type instant.": lambda config: (
        config["TargetCapacitySpecification"].get("DefaultTargetCapacityType")
        in {"capacity-block", "reserved-capacity"}
    ),
    "InstancePoolsToUseCount is only available with the lowest-price allocation strategy.": lambda config: (
        "InstancePoolsToUseCount" in _options(config)
        and (config.get("SpotOptions") or {}).get("AllocationStrategy", "lowest-price") != "lowest-price"
    ),
    "The replacement strategy, ExcessCapacityTerminationPolicy and ReplaceUnhealthyInstances are for maintain.": (
        lambda config: (
            _kind(config) != "maintain"
            and (
                "MaintenanceStrategies" in _options(config)
                or "ExcessCapacityTerminationPolicy" in config
                or bool(config.get("ReplaceUnhealthyInstances"))
            )
        )
    ),
    "To stop or hibernate instances the type must be maintain.": lambda config: (
        _kind(config) != "maintain" and _stops(config)
    ),
    "That option is supported only for fleets of type instant.": lambda config: (
        _kind(config) != "instant"
        and (bool(OPTIONS_OF_INSTANT & _options(config)) or any(OF_INSTANT & {*each} for each in _overrides(config)))
    ),
    "A fleet of type request or maintain tags the fleet only.": lambda config: any(
        each.get("ResourceType", "fleet") != "fleet" and _kind(config) != "instant"
        for each in config.get("TagSpecifications") or []
    ),
    "If you specify InstanceRequirements, you can't specify InstanceType.": lambda config: (
        any("InstanceRequirements" in each for each in _overrides(config))
        and any("InstanceType" in each for each in _overrides(config))
    ),
    "An Availability Zone has a name or an ID, but not both.": lambda config: any(
        {"AvailabilityZone", "AvailabilityZoneId"} <= {*each} for each in _overrides(config)
    ),
    f"A maximum of {MAX_OVERRIDES} overrides is allowed.": lambda config: (
        _kind(config) != "instant" and len(list(_overrides(config))) > MAX_OVERRIDES
    ),
    "Two overrides are of the same instance pool.": _repeats_a_pool,
}


def specifications(config: Config, templates: LaunchTemplates, late_s: float) -> list[dict[str, Any]]:
    """Return one specification for each pool: each template with each override in each subnet.

    MaxPrice becomes SpotPrice.
    """
    found: list[dict[str, Any]] = []
    for each in config["LaunchTemplateConfigs"]:
        wanted = each["LaunchTemplateSpecification"]
        template = templates.find(wanted, late_s)
        version = template.version(str(wanted["Version"]))
        named = {TEMPLATE: {"LaunchTemplateId": template.template_id, "Version": str(version.number)}}
        for override in each.get("Overrides") or [{}]:
            found += [{**version.data, **named, **place} for place in _places(override)]
    if any("ImageId" not in each for each in found):
        raise EC2ClientError(INVALID, "The launch template names no image.")
    if not all("InstanceType" in each or "InstanceRequirements" in each for each in found):
        raise EC2ClientError(INVALID, "Neither the launch template nor its overrides name an instance type.")
    return found


def _places(override: Config) -> Iterator[dict[str, Any]]:
    """Yield an override for each of its subnets.

    CERTAIN: "Separate multiple subnet IDs using commas", botocore's EC2 model.
    """
    rest = {name: value for name, value in override.items() if name not in {"SubnetId", "MaxPrice"}}
    price = {"SpotPrice": override["MaxPrice"]} if "MaxPrice" in override else {}
    subnets = [each.strip() for each in str(override.get("SubnetId") or "").split(",") if each.strip()]
    yield from ({**rest, **price, "SubnetId": each} for each in subnets)
    if not subnets:
        yield {**rest, **price}
