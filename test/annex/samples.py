"""A value for every member of AWS's service model, for tests that none is lost or changed on its way."""

from collections.abc import Set
from typing import Any

from botocore.model import ListShape, Shape, StructureShape

SCALARS: dict[str, Any] = {
    "string": "text",
    "integer": 7,
    "long": 7,
    "double": 1.5,
    "float": 1.5,
    "boolean": True,
    "timestamp": "2027-01-15T08:00:00Z",
}
ID = "0123456789abcdef0"
NAMED: dict[str, Any] = {  # members with a fixed format, or with only a few valid values
    "IamFleetRole": "arn:aws:iam::123456789012:role/fleet",
    "Arn": "arn:aws:iam::123456789012:instance-profile/machine",
    "DeviceName": "/dev/sdb",
    "ImageId": f"ami-{ID}",
    "SubnetId": f"subnet-{ID}",
    "GroupId": f"sg-{ID}",
    "Groups": f"sg-{ID}",
    "SnapshotId": f"snap-{ID}",
    "LaunchTemplateId": f"lt-{ID}",
    "Version": "$Latest",
    "SpotPrice": "0.05",
    "SpotMaxTotalPrice": "5",
    "OnDemandMaxTotalPrice": "5",
    "Priority": 3,
    "Type": "maintain",
    "ReplacementStrategy": "launch-before-terminate",
    "TerminationDelay": 120,
    "TargetCapacityUnitType": "units",
    "InstanceInterruptionBehavior": "terminate",
    "InterfaceType": "interface",
    "UserData": "dGV4dA==",
}


def sample_of(shape: Shape, without: Set[str] = frozenset(), name: str = "") -> Any:
    """Return a value with every member of `shape`, down to the leaves, except those in `without` (Shape.Member)."""
    if isinstance(shape, StructureShape):
        members = {
            name: sample_of(member, without, name)
            for name, member in shape.members.items()
            if f"{shape.name}.{name}" not in without
        }
        if "ResourceType" in members:
            members["ResourceType"] = "instance" if shape.name == "SpotFleetTagSpecification" else "spot-fleet-request"
        return members
    if isinstance(shape, ListShape):
        return [sample_of(shape.member, without, name)]
    if name in NAMED:
        return NAMED[name]
    values = getattr(shape, "enum", None)
    return values[0] if values else SCALARS[shape.type_name]
