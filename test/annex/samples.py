"""One value for every member that AWS's service model has: nothing may be lost or changed on its way."""

from typing import Any

from botocore.model import ListShape, Shape, StructureShape

SCALARS: dict[str, Any] = {
    "string": "text", "integer": 7, "long": 7, "double": 1.5, "float": 1.5, "boolean": True,
    "timestamp": "2027-01-15T08:00:00Z",
}


def sample_of(shape: Shape) -> Any:
    """A value in which every member of `shape` is given, down to the leaves."""
    if isinstance(shape, StructureShape):
        return {name: sample_of(member) for name, member in shape.members.items()}
    if isinstance(shape, ListShape):
        return [sample_of(shape.member)]
    values = getattr(shape, "enum", None)
    return values[0] if values else SCALARS[shape.type_name]
