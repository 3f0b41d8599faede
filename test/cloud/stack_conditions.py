"""Conditions of a template: their values for given parameters, and the part of the template that remains.

Source (CERTAIN): CloudFormation user guide, "CloudFormation template Conditions syntax" and "Condition functions":
conditions are evaluated before anything is created, from parameters and pseudo parameters only; the unused branch of
an Fn::If is ignored; a resource or an output whose condition is false is not created.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from test.cloud.stack_template import TemplateError

Values = Mapping[str, str]


def decided(template: Mapping[str, Any], values: Values) -> dict[str, Any]:
    """Return the template without conditions.  Raises TemplateError for a function that a condition cannot have."""
    conditions = template.get("Conditions", {})

    def holds(name: str) -> bool:
        if name not in conditions:
            raise TemplateError(f"Template format error: Unresolved condition dependency {name}")
        return bool(_value(conditions[name], values, holds))

    left = {key: _chosen(block, holds) for key, block in template.items() if key != "Conditions"}
    for block in ("Resources", "Outputs"):
        if block in left:
            left[block] = {name: _without(each) for name, each in left[block].items() if _is_there(each, holds)}
    return left


def _is_there(part: Mapping[str, Any], holds: Callable[[str], bool]) -> bool:
    return "Condition" not in part or holds(part["Condition"])


def _without(part: Mapping[str, Any]) -> dict[str, Any]:
    return {key: each for key, each in part.items() if key != "Condition"}


def _chosen(value: Any, holds: Callable[[str], bool]) -> Any:
    """Return `value` with each Fn::If replaced by its applicable branch."""
    if isinstance(value, list):
        return [_chosen(each, holds) for each in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["Fn::If"]:
        name, yes, no = value["Fn::If"]
        return _chosen(yes if holds(name) else no, holds)
    return {key: _chosen(each, holds) for key, each in value.items()}


def _value(value: Any, values: Values, holds: Callable[[str], bool]) -> Any:
    if not isinstance(value, dict):
        return value
    match list(value.items()):
        case [("Ref", str(name))] if name in values:
            return values[name]
        case [("Condition", str(name))]:
            return holds(name)
        case [("Fn::Equals", [one, other])]:
            return str(_value(one, values, holds)) == str(_value(other, values, holds))
        case [("Fn::Not", [one])]:
            return not _value(one, values, holds)
        case [("Fn::And", list(each))]:
            return all(_value(one, values, holds) for one in each)
        case [("Fn::Or", list(each))]:
            return any(_value(one, values, holds) for one in each)
    raise TemplateError(f"Template error: a condition cannot have {value}")
