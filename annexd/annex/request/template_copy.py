"""Copy a user's launch template into a version of annexd's own, after reading and checking it.

Members that would outlive the lease, or keep it from ending, are refused; those of annexd's own templates are added.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from annexd.annex.request.config_members import Part, parts
from annexd.annex.request.shapes import template_shape
from annexd.annex.request.tag_checks import RESERVED
from annexd.annex.request.template_data import OWN_METADATA, TemplateVersion
from annexd.workflow import Json

if TYPE_CHECKING:
    from botocore.model import Shape

INSTANCE: Final = "instance"
OF_ITS_OWN: Final = {"HttpTokens": "required", "HttpEndpoint": "enabled"}  # of MetadataOptions, visible to a user


def copied(version: TemplateVersion, source: Mapping[str, Any]) -> Json:
    """Return the data of this version, from what DescribeLaunchTemplateVersions returned for its source."""
    data: Json = _as_asked(source, template_shape())
    for mapping in data.get("BlockDeviceMappings") or ():
        if "Ebs" in mapping:  # if neither sets it, the image decides
            mapping["Ebs"].setdefault("DeleteOnTermination", True)
    own = dict(version.data)
    profile = own.pop("IamInstanceProfile", None)
    if profile is not None:
        data.setdefault("IamInstanceProfile", profile)
    metadata = {**(data.get("MetadataOptions") or {}), **own.pop("MetadataOptions", OWN_METADATA)}
    tags = _merged(data.get("TagSpecifications") or [], own.pop("TagSpecifications", []))
    return {**data, **own, "MetadataOptions": metadata, "TagSpecifications": tags}


def _as_asked(value: Any, shape: "Shape") -> Any:
    """Convert a response's data into that of a request: times as text, no members that AWS adds, such as a state."""
    if shape.type_name == "structure":
        members = shape.members
        return {name: _as_asked(inner, members[name]) for name, inner in value.items() if name in members}
    if shape.type_name == "list":
        return [_as_asked(each, shape.member) for each in value]
    return value.isoformat() if shape.type_name == "timestamp" else value


def _merged(given: list[Json], own: list[Json]) -> list[Json]:
    """Merge the template's tags and ours on instances, which replace all others of the same key."""
    ours = [tag for entry in own for tag in entry["Tags"]]
    others = [each for each in given if each.get("ResourceType") != INSTANCE]
    kept = [
        tag
        for each in given
        if each.get("ResourceType") == INSTANCE
        for tag in each.get("Tags") or ()
        if tag.get("Key") not in RESERVED
    ]
    return [*others, {"ResourceType": INSTANCE, "Tags": [*kept, *ours]}]


def faults_of_source(source: Part) -> Iterator[str]:
    """Yield, by member, the parts of a launch template that would outlive the lease or keep it from ending."""
    if source.get("DisableApiTermination"):
        yield "DisableApiTermination: its instances are protected from termination"
    if source.get("InstanceInitiatedShutdownBehavior") == "stop":
        yield "InstanceInitiatedShutdownBehavior stop: a machine that turns itself off would be stopped, not terminated"
    yield from _faults_of_parts(source)
    spot = (source.get("InstanceMarketOptions") or {}).get("SpotOptions") or {}
    behaviour = spot.get("InstanceInterruptionBehavior", "terminate")
    if behaviour != "terminate":
        yield f"InstanceInterruptionBehavior {behaviour}: a stopped or hibernated instance keeps its volumes"


def _faults_of_parts(source: Part) -> Iterator[str]:
    for where, mapping in parts(source, "BlockDeviceMappings"):
        if (mapping.get("Ebs") or {}).get("DeleteOnTermination") is False:
            yield f"{where}Ebs.DeleteOnTermination false: the volume would outlive the lease, and cost money"
    for where, interface in parts(source, "NetworkInterfaces"):
        if interface.get("DeleteOnTermination") is False:
            yield f"{where}DeleteOnTermination false: the network interface would outlive the lease"
        if "NetworkInterfaceId" in interface:
            yield f"{where}NetworkInterfaceId: it is one interface, but a fleet creates one for each instance"


def notes_of_source(source: Part) -> Iterator[str]:
    """Yield the changes in the copy of a launch template that contradict its author's settings."""
    options = source.get("MetadataOptions") or {}
    for name, value in OF_ITS_OWN.items():
        if options.get(name, value) != value:
            yield f"MetadataOptions.{name} became {value}"
    if any(
        tag.get("Key") in RESERVED for entry in source.get("TagSpecifications") or () for tag in entry.get("Tags") or ()
    ):
        yield "its tags of annexd's own names were left out"
