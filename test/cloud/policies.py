"""The subset of IAM's policy language that the policies of this project and its users need.

moto's own engine ignores conditions, most resources and resource policies.  This engine raises an error for anything
that it does not know (a condition operator, for example), so no policy passes by being misread.

Source: AWS, "IAM JSON policy elements reference" and "Policy evaluation logic".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

Document = Mapping[str, Any]
Context = Mapping[str, Sequence[str]]  # condition keys in lower case


class UnknownPolicyError(Exception):
    """A policy uses something that this engine does not know and the emulator must implement first."""


@dataclass(frozen=True)
class Need:
    """One permission that a call needs."""

    action: str
    resource: str
    context: Context = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """A decision; `reason` is the end of AWS's message: an explicit deny, or nothing that allows the action."""

    allowed: bool
    reason: str = ""


def like(pattern: str, text: str) -> bool:
    return _pattern(pattern).fullmatch(text) is not None


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern)
    return re.compile("".join(parts), re.DOTALL)


def judge(documents: Iterable[Document], need: Need, context: Context, principal_arn: str = "") -> Verdict:
    """Return whether these policies, identity-based or of the resource, allow `need`; any Deny wins."""
    known = {**context, **need.context}
    allowed = False
    for statement in (each for document in documents for each in _listed(document["Statement"])):
        if not _applies(statement, need, known, principal_arn):
            continue
        if statement["Effect"] == "Deny":
            return Verdict(False, f"with an explicit deny in a policy: {need.action}")
        allowed = True
    return Verdict(allowed, "" if allowed else f"because no identity-based policy allows the {need.action} action")


def _applies(statement: Document, need: Need, context: Context, principal_arn: str) -> bool:
    return (
        _covers(statement, "Action", need.action.lower(), str.lower)
        and _covers(statement, "Resource", need.resource, lambda pattern: _filled(pattern, context))
        and _is_for(statement.get("Principal"), principal_arn)
        and all(_holds(operator, tests, context) for operator, tests in statement.get("Condition", {}).items())
    )


def _covers(statement: Document, element: str, value: str, prepared: Callable[[str], str]) -> bool:
    """Return whether Action (or NotAction), or Resource (or NotResource), covers this value."""
    if f"Not{element}" in statement:
        return not any(like(prepared(each), value) for each in _listed(statement[f"Not{element}"]))
    return any(like(prepared(each), value) for each in _listed(statement[element]))


def _is_for(principal: Any, principal_arn: str) -> bool:
    """Return whether a statement applies to a principal; an AWS service has its name instead of an ARN.

    An identity's own policy has no Principal.
    """
    if principal is None or principal == "*":
        return True
    if principal_arn.endswith(".amazonaws.com"):
        return not isinstance(principal, str) and principal_arn in _listed(principal.get("Service", []))
    named = _listed(principal.get("AWS", []))
    return any(each in {"*", principal_arn} or each == _root_of(principal_arn) for each in named)


def _root_of(arn: str) -> str:
    partition, _, _, account = arn.split(":")[1:5]
    return f"arn:{partition}:iam::{account}:root"


def _holds(operator: str, tests: Mapping[str, Any], context: Context) -> bool:
    quantifier, _, plain = operator.rpartition(":")
    if_exists = plain.endswith("IfExists")
    plain = plain.removesuffix("IfExists")
    if plain == "Null":
        return all((key.lower() not in context) == _is_true(wanted) for key, wanted in tests.items())
    compare, negated = _operator(plain)
    return all(
        _test(
            context.get(key.lower()),
            [_filled(str(each), context) for each in _listed(wanted)],
            compare,
            negated,
            quantifier,
            if_exists,
        )
        for key, wanted in tests.items()
    )


def _test(
    actual: Sequence[str] | None,
    wanted: Sequence[str],
    compare: Callable[[str, str], bool],
    negated: bool,
    quantifier: str,
    if_exists: bool,
) -> bool:
    if actual is None:
        return if_exists or negated or quantifier == "ForAllValues"
    results = [any(compare(each, value) for each in wanted) != negated for value in actual]
    return all(results) if quantifier == "ForAllValues" or negated else any(results)


OPERATORS: Mapping[str, Callable[[str, str], bool]] = {  # (the policy's value, the actual one)
    "StringEquals": lambda wanted, value: wanted == value,
    "StringEqualsIgnoreCase": lambda wanted, value: wanted.lower() == value.lower(),
    "StringLike": like,
    "ArnEquals": like,
    "ArnLike": like,
    "Bool": lambda wanted, value: wanted.lower() == value.lower(),
    "NumericEquals": lambda wanted, value: float(value) == float(wanted),
    "NumericLessThan": lambda wanted, value: float(value) < float(wanted),
    "NumericLessThanEquals": lambda wanted, value: float(value) <= float(wanted),
    "NumericGreaterThan": lambda wanted, value: float(value) > float(wanted),
    "NumericGreaterThanEquals": lambda wanted, value: float(value) >= float(wanted),
}


def _operator(name: str) -> tuple[Callable[[str, str], bool], bool]:
    if name in OPERATORS:
        return OPERATORS[name], False
    positive = name.replace("Not", "", 1)
    if name != positive and positive in OPERATORS:
        return OPERATORS[positive], True
    raise UnknownPolicyError(f"the condition operator {name} is not known to test/cloud/policies.py")


def _is_true(wanted: Any) -> bool:
    return str(_listed(wanted)[0]).lower() == "true"


def _filled(pattern: str, context: Context) -> str:
    """Substitute policy variables such as ${aws:username}; one without a value matches nothing."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        return name if name in {"*", "?", "$"} else next(iter(context.get(name.lower(), ())), "\0")

    return re.sub(r"\$\{([^}]*)\}", value, pattern)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
