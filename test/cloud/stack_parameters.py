"""The parameters of a stack: values that are given, kept or defaults of the template, and the change they make.

Source (CERTAIN unless marked): CloudFormation user guide, "Parameters", and API reference, Parameter: UsePreviousValue
keeps the stack's value.  A parameter that an update omits gets the template's Default again, not the stack's value.
The messages: LIKELY.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from test.cloud.stack_template import TemplateError, resolved

Values = Mapping[str, str]
Given = Mapping[str, Any]


def values_of(template: Mapping[str, Any], given: Iterable[Given], before: Values | None) -> dict[str, str]:
    """Return every parameter's value; `before` has the stack's values, None for a new one.  Raises TemplateError."""
    declared: Mapping[str, Any] = template.get("Parameters", {})
    asked = {each["ParameterKey"]: each for each in given}
    if unknown := [name for name in asked if name not in declared]:
        raise TemplateError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    found = {name: _value(name, each, asked.get(name), before) for name, each in declared.items()}
    if missing := [name for name, value in found.items() if value is None]:
        raise TemplateError(f"Parameters: [{', '.join(missing)}] must have values")
    values = {name: value for name, value in found.items() if value is not None}
    for name, value in values.items():
        _check(name, value, declared[name])
    return values


def _value(name: str, declared: Given, asked: Given | None, before: Values | None) -> str | None:
    if asked is not None and _is_true(asked.get("UsePreviousValue")):
        if before is None or name not in before:
            raise TemplateError(
                f"Invalid input for parameter key {name}. Cannot specify usePreviousValue as true "
                "for a parameter key not in the previous template"
            )
        return before[name]
    if asked is not None and "ParameterValue" in asked:
        return str(asked["ParameterValue"])
    return str(declared["Default"]) if "Default" in declared else None


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"


def _check(name: str, value: str, declared: Mapping[str, Any]) -> None:
    for fault in filter(None, (_range_fault(value, declared), _text_fault(value, declared))):
        described = declared.get("ConstraintDescription")
        message = fault if described is None else f"failed to satisfy constraint: {described}"
        raise TemplateError(f"Parameter '{name}' {message}")


def _range_fault(value: str, declared: Mapping[str, Any]) -> str:
    if declared["Type"] != "Number":
        return ""
    try:
        number = float(value)
    except ValueError:
        return "must be a number."
    if "MinValue" in declared and number < float(declared["MinValue"]):
        return f"must be a number not less than {declared['MinValue']}"
    if "MaxValue" in declared and number > float(declared["MaxValue"]):
        return f"must be a number not greater than {declared['MaxValue']}"
    return ""


def _text_fault(value: str, declared: Mapping[str, Any]) -> str:
    if "AllowedValues" in declared and value not in map(str, declared["AllowedValues"]):
        return f"must be one of AllowedValues: [{', '.join(map(str, declared['AllowedValues']))}]"
    if "AllowedPattern" in declared and re.fullmatch(declared["AllowedPattern"], value) is None:
        return f"must match pattern {declared['AllowedPattern']}"
    if len(value) < int(declared.get("MinLength", 0)):
        return f"must contain at least {declared['MinLength']} characters"
    if len(value) > int(declared.get("MaxLength", len(value))):
        return f"must contain at most {declared['MaxLength']} characters"
    return ""


def referred(declared: Mapping[str, Any], value: str) -> str | list[str]:
    """Return the result of a Ref to a parameter."""
    return value.split(",") if "List" in declared["Type"] else value


def effective(template: Mapping[str, Any], values: Values) -> Any:
    """Return the part of a template, with its parameters' values, that an update must change.

    CERTAIN: an update with an equal template fails ("No updates are to be performed."), and Description and Metadata
    cannot be updated by themselves (user guide, "Template anatomy").
    """
    declared = template.get("Parameters", {})

    def known(name: str, attribute: str) -> Any:
        return referred(declared[name], values[name]) if name in declared else f"{name}.{attribute}"

    return [resolved(template.get(block, {}), known) for block in ("Resources", "Outputs")]


def shown_parameters(template: Mapping[str, Any], values: Values) -> list[dict[str, str]]:
    """Return the parameters as DescribeStacks shows them."""
    declared = template.get("Parameters", {})
    return [
        {"ParameterKey": name, "ParameterValue": "****" if _is_true(declared[name].get("NoEcho")) else value}
        for name, value in values.items()
    ]
