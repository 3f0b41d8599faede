"""Iterate over a Spot Fleet request config, each part with its path in the file: `LaunchSpecifications[0].ImageId`.

A config that is being checked has None in place of invalid values: these are left out here, since they are reported
already.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

Part: TypeAlias = Mapping[str, Any]
NOT_NAMES: Final = frozenset({"UserData", "TagSpecifications", "Description", "Context"})  # free text


def specifications(config: Part) -> Iterator[tuple[str, Part]]:
    return parts(config, "LaunchSpecifications")


def templates(config: Part) -> Iterator[tuple[str, Part]]:
    return parts(config, "LaunchTemplateConfigs")


def overrides(config: Part) -> Iterator[tuple[str, Part]]:
    for path, template in templates(config):
        yield from parts(template, "Overrides", path)


def pools(config: Part) -> Iterator[tuple[str, Part]]:
    """Yield the parts that define instance types: launch specifications and overrides of launch templates."""
    yield from specifications(config)
    yield from overrides(config)


def parts(holder: Part, name: str, path: str = "") -> Iterator[tuple[str, Part]]:
    """Yield the members of a list; a path ends with a dot."""
    for i, part in enumerate(holder.get(name) or ()):
        if part is not None:
            yield f"{path}{name}[{i}].", part


def texts(value: Any, path: str = "", name: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (path, member's name, text) of every name, ID and price; the items of a list have the list's name."""
    if isinstance(value, str):
        yield path, name, value
    elif isinstance(value, Mapping):
        for member, inner in value.items():
            if member not in NOT_NAMES:
                yield from texts(inner, f"{path}.{member}" if path else member, member)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from texts(inner, f"{path}[{i}]", name)
