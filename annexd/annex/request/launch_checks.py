"""Check what to launch, by rules that AWS documents but its service model lacks.

Each cites botocore's EC2 model (2016-11-15) by the shape, unless it says otherwise.  AWS reports most of these only
after the lease is made, and some only in the fleet's history.
"""

from collections.abc import Iterator
from typing import Final

from annexd.annex.request.config_members import Part, overrides, parts, pools, specifications, templates
from annexd.annex.request.fleet_api import SPOT_FLEET

IN_INTERFACES: Final = {"SecurityGroups": "Groups", "SubnetId": "SubnetId"}
REQUIREMENTS: Final = ("VCpuCount", "MemoryMiB")
LAUNCH_WAYS: Final = ("LaunchSpecifications", "LaunchTemplateConfigs")


def faults_of_launch(config: Part, api: str = SPOT_FLEET) -> Iterator[str]:
    yield from _ways(config)
    for path, specification in specifications(config):
        yield from _faults_of_specification(path, specification, api)
    yield from faults_of_templates(config)
    yield from _faults_of_type(config)


def faults_of_templates(config: Part) -> Iterator[str]:
    """Yield the faults of launch templates and their overrides, which both APIs have."""
    for path, template in templates(config):
        yield from _faults_of_template(path, template)
    for path, override in overrides(config):
        yield from _faults_of_zone(path, override)
        yield from _faults_of_priority(path, override)
    yield from _faults_of_types(config)


def _ways(config: Part) -> Iterator[str]:
    """Yield faults: "If you specify LaunchSpecifications, you can't specify LaunchTemplateConfigs" (Spot Fleet)."""
    given = [way for way in LAUNCH_WAYS if way in config]
    if len(given) == 2 and all(config[way] for way in given):
        yield "LaunchSpecifications and LaunchTemplateConfigs exclude each other"
    elif not given:
        yield "LaunchSpecifications or LaunchTemplateConfigs is missing: nothing says what to launch"


def _faults_of_specification(path: str, specification: Part, api: str) -> Iterator[str]:
    if "ImageId" not in specification:
        yield f"{path}ImageId is missing: it says which image the instances start from"
    if not specification.keys() & {"InstanceType", "InstanceRequirements"}:
        yield f"{path}InstanceType is missing, or InstanceRequirements"
    profile = specification.get("IamInstanceProfile") or {}
    if {"Arn", "Name"} <= profile.keys():  # EC2: "may not be used in combination with"
        yield f"{path}IamInstanceProfile has an Arn and a Name, and AWS accepts only one of them"
    for where, mapping in parts(specification, "BlockDeviceMappings", path):
        yield from _faults_of_mapping(where, mapping)
    yield from _faults_of_placement(path, specification)
    yield from _faults_of_interfaces(path, specification, api)


def _faults_of_mapping(path: str, mapping: Part) -> Iterator[str]:
    """Yield faults of EbsBlockDevice: a zone "is not supported when using ... RequestSpotFleet"."""
    if "DeviceName" not in mapping:
        yield f"{path}DeviceName is missing"
    zones = {"AvailabilityZone", "AvailabilityZoneId"} & (mapping.get("Ebs") or {}).keys()
    yield from (
        f"{path}Ebs.{zone}: AWS accepts no zone here, since a volume is in the zone of its instance"
        for zone in sorted(zones)
    )


def _faults_of_placement(path: str, specification: Part) -> Iterator[str]:
    """Yield faults of SpotPlacement: "The host tenancy is not supported for Spot Instances"."""
    placement = specification.get("Placement") or {}
    yield from _faults_of_zone(f"{path}Placement.", placement)
    if placement.get("Tenancy") == "host":
        yield f"{path}Placement.Tenancy is host, which AWS does not support for Spot instances"


def _faults_of_zone(path: str, place: Part) -> Iterator[str]:
    """Yield faults of SpotPlacement and overrides: "Either AvailabilityZone or AvailabilityZoneId ... but not both"."""
    if {"AvailabilityZone", "AvailabilityZoneId"} <= place.keys():
        yield f"{path}AvailabilityZone and AvailabilityZoneId exclude each other"


def _faults_of_priority(path: str, override: Part) -> Iterator[str]:
    """Yield faults of LaunchTemplateOverrides: "Valid values are whole numbers starting at 0"."""
    priority = override.get("Priority")
    if priority is not None and (priority < 0 or priority != int(priority)):
        yield f"{path}Priority must be 0 or a positive integer, not {priority}"


def _faults_of_interfaces(path: str, specification: Part, api: str) -> Iterator[str]:
    """Yield faults of a SpotFleetLaunchSpecification.

    "If you specify a network interface, you must specify any security groups as part of the network interface instead",
    and the same for subnets.
    """
    interfaces = list(parts(specification, "NetworkInterfaces", path))
    if interfaces:
        yield from (
            f"{path}{name} and NetworkInterfaces exclude each other: put it into NetworkInterfaces[].{inner}"
            for name, inner in IN_INTERFACES.items()
            if name in specification
        )
    for where, interface in interfaces:
        yield from _faults_of_interface(where, interface, api, alone=len(interfaces) == 1)


def _faults_of_interface(path: str, interface: Part, api: str, *, alone: bool) -> Iterator[str]:
    """Yield faults of InstanceNetworkInterfaceSpecification, and of EFA SpotFleetLaunchSpecification."""
    if "DeviceIndex" not in interface:
        yield f"{path}DeviceIndex is missing: it is 0 for the first interface"
    if "NetworkInterfaceId" in interface:
        yield f"{path}NetworkInterfaceId names one interface, but a Spot Fleet creates one for each instance"
    if (interface.get("InterfaceType") or "").startswith("efa") and api == SPOT_FLEET:
        yield f"{path}InterfaceType is {interface['InterfaceType']}, for which AWS needs LaunchTemplateConfigs"
    if interface.get("AssociatePublicIpAddress") and not alone:
        yield f"{path}AssociatePublicIpAddress can be used only with a single network interface"


def _faults_of_template(path: str, template: Part) -> Iterator[str]:
    """Yield faults of FleetLaunchTemplateSpecification.

    It has an ID or a name, "but not both".  Of Version: "You must specify a value, otherwise the request fails".
    """
    named = template.get("LaunchTemplateSpecification", {})
    if named is None:
        return
    given = named.keys() & {"LaunchTemplateId", "LaunchTemplateName"}
    if not given:
        yield f"{path}LaunchTemplateSpecification must have a LaunchTemplateId or a LaunchTemplateName"
    elif len(given) == 2:
        yield f"{path}LaunchTemplateSpecification: LaunchTemplateId and LaunchTemplateName exclude each other"
    if given and "Version" not in named:
        yield f"{path}LaunchTemplateSpecification.Version is missing: $Default, $Latest or a number"


def _faults_of_types(config: Part) -> Iterator[str]:
    """Yield faults of instance types.

    EC2 user guide, "Examples of configurations that are valid and not valid" (attribute-based selection): "either
    InstanceRequirements or InstanceType, but not both, even if they're in different Overrides structures".
    """
    types = [path for path, pool in pools(config) if "InstanceType" in pool]
    by_attributes = [
        (path, pool["InstanceRequirements"]) for path, pool in pools(config) if "InstanceRequirements" in pool
    ]
    if types and by_attributes:
        yield f"{types[0]}InstanceType and {by_attributes[0][0]}InstanceRequirements exclude each other in one request"
    for path, wanted in by_attributes:  # InstanceRequirements: "You must specify VCpuCount and MemoryMiB."
        yield from (
            f"{path}InstanceRequirements.{name} needs a Min, which may be 0"
            for name in REQUIREMENTS
            if wanted is not None and (name not in wanted or "Min" not in (wanted[name] or {"Min": 0}))
        )


def _faults_of_type(config: Part) -> Iterator[str]:
    """Yield faults of Type and SpotCapacityRebalance ("Only available for fleets of type maintain")."""
    kind, strategies = config.get("Type", "request"), config.get("SpotMaintenanceStrategies")
    if kind == "instant":
        yield "Type must be request or maintain: instant is for EC2 Fleet, and AWS does not use it for a Spot Fleet"
    if not strategies:
        return
    if kind == "request":
        yield 'SpotMaintenanceStrategies requires "Type": "maintain" (a file without Type is a request here)'
    rebalance = strategies.get("CapacityRebalance") or {}
    delay, waits = rebalance.get("TerminationDelay"), rebalance.get("ReplacementStrategy") == "launch-before-terminate"
    path = "SpotMaintenanceStrategies.CapacityRebalance.TerminationDelay"
    if waits and "TerminationDelay" not in rebalance:
        yield f"{path} is missing: launch-before-terminate needs 120 to 7200 seconds"
    elif waits and delay is not None and not 120 <= delay <= 7200:
        yield f"{path} must be 120 to 7200 seconds, not {delay}"
    elif delay is not None and rebalance.get("ReplacementStrategy") == "launch":
        yield f"{path} can be used with launch-before-terminate, not with launch"
