"""The parts of CloudFormation's templates that ours use: references, their order, and their values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

VARIABLE = re.compile(r"\$\{(!?)([A-Za-z0-9:.]+)\}")
MAX_BODY_BYTES = 51_200  # CERTAIN: CloudFormation API reference, CreateStack, TemplateBody
NO_VALUE = object()  # the result of {"Ref": "AWS::NoValue"}: the property is removed
Lookup = Callable[[str, str], Any]  # (resource, attribute; empty: Ref) -> value


class TemplateError(ValueError):
    """A fault that CloudFormation reports as ValidationError."""


def parsed(body: str) -> dict[str, Any]:
    """Parse a template.  Raises TemplateError for a fault that does not depend on the parameters' values."""
    if len(body.encode()) > MAX_BODY_BYTES:
        raise TemplateError(
            "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: "
            f"Member must have length less than or equal to {MAX_BODY_BYTES}"
        )
    try:
        template = json.loads(body)
    except ValueError as error:
        raise TemplateError(f"Template format error: JSON not well-formed. ({error})") from error
    if not isinstance(template, dict) or not template.get("Resources"):
        raise TemplateError("Template format error: At least one Resources member must be defined.")
    if unknown := {"Mappings", "Rules", "Transform"} & set(template):
        raise TemplateError(f"the emulated CloudFormation does not know {sorted(unknown)}")
    _check_references(template)
    return template


def _check_references(template: Mapping[str, Any]) -> None:
    known = {*template["Resources"], *template.get("Parameters", {})}
    for block in ("Resources", "Outputs"):
        referred = [each for value in template.get(block, {}).values() for each in _referred(value)]
        if unknown := sorted({each for each in referred if each not in known and not each.startswith("AWS::")}):
            raise TemplateError(
                f"Template format error: Unresolved resource dependencies [{', '.join(unknown)}] "
                f"in the {block} block of the template"
            )


def resolved(value: Any, lookup: Lookup) -> Any:
    """Return `value` with Ref, Fn::GetAtt, Fn::Sub and Fn::Join evaluated.  Raises TemplateError for another one."""
    if isinstance(value, list):
        return [each for each in (resolved(each, lookup) for each in value) if each is not NO_VALUE]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and (next(iter(value)) == "Ref" or next(iter(value)).startswith("Fn::")):
        return _called(value, lookup)
    pairs = ((key, resolved(each, lookup)) for key, each in value.items())
    return {key: each for key, each in pairs if each is not NO_VALUE}


def _called(value: dict[str, Any], lookup: Lookup) -> Any:
    match list(value.items()):
        case [("Ref", "AWS::NoValue")]:
            return NO_VALUE
        case [("Ref", str(name))]:
            return lookup(name, "")
        case [("Fn::GetAtt", [str(name), str(attribute)])]:
            return lookup(name, attribute)
        case [("Fn::Sub", str(text))]:
            return VARIABLE.sub(lambda found: _variable(found, lookup), text)
        case [("Fn::If", [str(), yes, no])]:  # only to find references: test.cloud.stack_conditions decides
            return [resolved(yes, lookup), resolved(no, lookup)]
        case [("Fn::Join", [str(separator), list(parts)])]:
            return separator.join(str(resolved(part, lookup)) for part in parts)
    raise TemplateError(f"the emulated CloudFormation does not know this: {value}")


def _variable(found: re.Match[str], lookup: Lookup) -> str:
    if found[1]:
        return f"${{{found[2]}}}"
    name, _, attribute = found[2].partition(".")
    return str(lookup(name, attribute))


def in_order(resources: Mapping[str, Any]) -> list[str]:
    """Return the resources' names, each after all those that it refers to."""
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
