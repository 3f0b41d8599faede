"""CloudFormation's templates, as far as ours go: references, their order, and values in place of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

VARIABLE = re.compile(r"\$\{(!?)([A-Za-z0-9:.]+)\}")
Lookup = Callable[[str, str], Any]  # (resource, attribute; empty: Ref) -> value


class TemplateError(ValueError):
    """What CloudFormation answers with ValidationError."""


def parsed(body: str) -> dict[str, Any]:
    try:
        template = json.loads(body)
    except ValueError as error:
        raise TemplateError(f"Template format error: JSON not well-formed. ({error})") from error
    if not isinstance(template, dict) or not template.get("Resources"):
        raise TemplateError("Template format error: At least one Resources member must be defined.")
    return template


def resolved(value: Any, lookup: Lookup) -> Any:
    """`value` with Ref, Fn::GetAtt, Fn::Sub and Fn::Join done."""
    if isinstance(value, list):
        return [resolved(each, lookup) for each in value]
    if not isinstance(value, dict):
        return value
    match list(value.items()):
        case [("Ref", name)]:
            return lookup(name, "")
        case [("Fn::GetAtt", [name, attribute])]:
            return lookup(name, attribute)
        case [("Fn::Sub", str(text))]:
            return VARIABLE.sub(lambda found: _variable(found, lookup), text)
        case [("Fn::Join", [separator, parts])]:
            return separator.join(str(resolved(part, lookup)) for part in parts)
    return {key: resolved(each, lookup) for key, each in value.items()}


def _variable(found: re.Match[str], lookup: Lookup) -> str:
    if found[1]:
        return f"${{{found[2]}}}"
    name, _, attribute = found[2].partition(".")
    return str(lookup(name, attribute))


def in_order(resources: Mapping[str, Any]) -> list[str]:
    """Each after all that it refers to."""
    ordered: list[str] = []

    def place(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise TemplateError(f"Circular dependency between resources: {list(above)}")
        if name not in ordered:
            for other in _referred(resources[name]):
                if other in resources and other != name:
                    place(other, (*above, name))
            ordered.append(name)

    for name in resources:
        place(name, ())
    return ordered


def _referred(value: Any) -> Iterator[str]:
    found: list[str] = []

    def note(name: str, _: str) -> str:
        found.append(name)
        return ""

    resolved(value, note)
    more = value.get("DependsOn", []) if isinstance(value, dict) else []
    yield from [*found, *([more] if isinstance(more, str) else more)]
