"""The data of an EC2 launch template: rendered from a launch specification of Spot Fleet.

EC2 Fleet takes launch templates only, so annexd creates one for each fleet; specifications that differ in more than an
override of EC2 Fleet can express become versions of it.  A template also sets what a launch specification cannot: the
instance metadata service requires a token and shows the tags, and an instance that shuts down is terminated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from annexd.annex.request.config_members import Part
from annexd.workflow import Json

# botocore's EC2 model, FleetLaunchTemplateOverridesRequest: the members that each override of a type-request fleet may
# have.
IN_OVERRIDES: Final = ("InstanceType", "InstanceRequirements", "WeightedCapacity", "SubnetId")
ZONES: Final = ("AvailabilityZone", "AvailabilityZoneId")
RENAMED: Final = {"RamdiskId": "RamDiskId"}
AS_THEY_ARE: Final = (
    "BlockDeviceMappings",
    "EbsOptimized",
    "IamInstanceProfile",
    "ImageId",
    "KernelId",
    "KeyName",
    "Monitoring",
    "NetworkInterfaces",
    "TagSpecifications",
    "UserData",
)
# Of all machines: the metadata service requires a token and shows the annex; a machine that shuts down is terminated.
OWN_METADATA: Final = {"HttpEndpoint": "enabled", "HttpTokens": "required", "InstanceMetadataTags": "enabled"}
SHUTDOWN: Final = {"InstanceInitiatedShutdownBehavior": "terminate"}


@dataclass(frozen=True)
class TemplateVersion:
    """One version of annexd's own launch template; its number is its place in the order, from 1.

    `data` is its LaunchTemplateData, or, with a `source`, the additions to the copy of that user's launch template,
    which is named by LaunchTemplateId or LaunchTemplateName, and Version.  `where`: the part of the file that it
    represents.
    """

    where: str
    data: Mapping[str, Any]
    source: Mapping[str, str] | None = None

    @property
    def source_name(self) -> str:
        """Describe the user's template by its name or ID, and its version."""
        source = self.source or {}
        name = source.get("LaunchTemplateName") or source.get("LaunchTemplateId")
        return f"launch template {name}, version {source.get('Version')}"


def launch_template_data(specification: Part) -> Json:
    """Return the parts of a launch specification that are not in its `overrides_of`."""
    data: Json = {
        RENAMED.get(name, name): specification[name] for name in (*AS_THEY_ARE, *RENAMED) if name in specification
    }
    placement = {name: value for name, value in (specification.get("Placement") or {}).items() if name not in ZONES}
    if placement:
        data["Placement"] = placement
    return {**data, **_groups(specification), **SHUTDOWN, "MetadataOptions": dict(OWN_METADATA)}


def _groups(specification: Part) -> Json:
    """Return the IDs and names of SecurityGroups; in a launch specification each is an object with one or both."""
    groups = specification.get("SecurityGroups") or ()
    ids = [each["GroupId"] for each in groups if each.get("GroupId")]
    names = [each["GroupName"] for each in groups if each.get("GroupName") and not each.get("GroupId")]
    return {**({"SecurityGroupIds": ids} if ids else {}), **({"SecurityGroups": names} if names else {})}


def overrides_of(specification: Part, price: str | None) -> list[Json]:
    """Return the overrides for one launch specification: one for each zone that it names.

    `price` is the request's own bound, for a specification without one.
    """
    override = {name: specification[name] for name in IN_OVERRIDES if name in specification}
    if "SubnetId" in override:
        override["SubnetId"] = ",".join(str(override["SubnetId"]).replace(",", " ").split())
    bound = specification.get("SpotPrice") or price
    if bound:
        override["MaxPrice"] = bound
    placement = specification.get("Placement") or {}
    zones = [(name, zone) for name in ZONES for zone in str(placement.get(name) or "").replace(",", " ").split()]
    return [{**override, name: zone} for name, zone in zones] or [override]
