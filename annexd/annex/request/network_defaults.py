"""Choose the subnets of a request without any: those that -setup chose, or else the default VPC's.

A security group belongs to one VPC.  AWS accepts a fleet with a group and a subnet of different VPCs, and the fleet
then starts nothing ("belong to different networks": InvalidParameter in EC2's "Error codes").  So the order warns of
it, as far as that is visible without calling AWS for the subnet's VPC.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from annexd.annex.request.config_members import Part, overrides, parts, specifications
from annexd.annex.request.defaults import Defaults

ELSEWHERE: Final = ("SubnetId", "NetworkInterfaces")
ZONES: Final = ("AvailabilityZone", "AvailabilityZoneId")


def faults_of_network(config: Part, defaults: Defaults) -> Iterator[str]:
    """Yield the parts that cannot be completed: AWS refuses subnets of several zones with one zone, and interfaces with
    several.

    "The specified Subnet ... cannot be used with the specified Availability Zone", InvalidSpotFleetRequestConfig
    (github.com/hashicorp/terraform-provider-aws/issues/30751).
    """
    if not defaults.subnet_ids:
        return
    chosen = f"machines are in {', '.join(defaults.subnet_ids)} otherwise, as -setup chose"
    for path, specification in specifications(config):
        if "SubnetId" in specification:
            continue
        placement = specification.get("Placement") or {}
        yield from (f"{path}Placement.{zone} needs a SubnetId in it: {chosen}" for zone in ZONES if placement.get(zone))
        interfaces = parts(specification, "NetworkInterfaces", path)
        yield from (f"{where}SubnetId is missing: {chosen}" for where, each in interfaces if "SubnetId" not in each)


def in_network(specification: Mapping[str, Any], defaults: Defaults) -> dict[str, Any]:
    """Fill in subnets and security group where they are missing.

    A specification that names another place keeps its own groups: ours belongs to one VPC.
    """
    whole = dict(specification)
    if defaults.subnet_ids and not whole.keys() & set(ELSEWHERE):
        whole["SubnetId"] = ",".join(defaults.subnet_ids)  # botocore's EC2 model: "separate them using commas"
    is_here = "NetworkInterfaces" not in whole and _is_known(whole, defaults)
    if defaults.security_group_id is not None and is_here and "SecurityGroups" not in whole:
        whole["SecurityGroups"] = [{"GroupId": defaults.security_group_id}]
    return whole


def notes_of_network(config: Mapping[str, Any], defaults: Defaults) -> list[str]:
    """Warn of a group that may belong to another VPC than the subnet, and of a template that may lack a subnet."""
    group = defaults.security_group_id
    notes = [
        f"{path.rstrip('.')}: {group} belongs to the VPC that -setup chose. If {each['SubnetId']} belongs to another "
        "VPC, AWS accepts the order and starts nothing: leave SecurityGroups out, or name a group of that VPC"
        for path, each in specifications(config)
        if not _is_known(each, defaults) and group in [one.get("GroupId") for one in each.get("SecurityGroups") or ()]
    ]
    if defaults.subnet_ids and "LaunchTemplateConfigs" in config and not _names_subnet(config):
        notes.append(
            "LaunchTemplateConfigs: the template or its Overrides must name a subnet, such as "
            f"{defaults.subnet_ids[0]}: without one AWS looks for a default VPC"
        )
    return notes


def _names_subnet(config: Mapping[str, Any]) -> bool:
    return any("SubnetId" in override for _, override in overrides(config))


def _is_known(specification: Mapping[str, Any], defaults: Defaults) -> bool:
    """Return whether it is certain that it is in the VPC of our security group."""
    named = (specification.get("SubnetId") or "").replace(",", " ").split()
    return not set(named) - set(defaults.subnet_ids)
