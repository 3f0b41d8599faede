"""Step 1: is there a lease function, and may a rule call it?

Asked first, since nothing is made yet that would need undoing.  A function that EventBridge may not call is no lease:
the rule would fire for ever, to no effect, and nobody would hear of it.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from annexd.annex.steps.asking import World, asking
from annexd.aws import answers
from annexd.aws.errors import AWS_ERRORS, is_denied, is_not_found
from annexd.workflow import Json, Refused, Retry

EVENTBRIDGE: Final = "events.amazonaws.com"
USABLE: Final = ("Active", "Inactive")
LONGEST_REASON: Final = 500


class GetFunction:
    """The Lambda function exists and can be called by a rule.  Leaves nothing behind."""

    name = "get_function"

    def __init__(self, world: World) -> None:
        self._world = world

    def plan(self, order: Json, results: Mapping[str, Json]) -> Json:  # noqa: ARG002
        """{function_arn}"""
        return {"function_arn": order["lease_function_arn"]}

    def forward(self, order: Json, intent: Json) -> Json:
        """{state}"""
        arn = intent["function_arn"]
        functions = self._world.access(order).functions
        with asking(f"GetFunction {arn}"):
            configuration = answers.value(functions.get_function(FunctionName=arn), "Configuration", dict)
        state = configuration.get("State", "Active")  # AWS leaves it out for functions from before there were states
        if state == "Pending":
            raise Retry(f"the lease function {arn} is still being made", untouched=True)
        if state == "Failed":
            reason = str(configuration.get("StateReason"))[:LONGEST_REASON]
            raise Refused(f"the lease function {arn} has failed: {reason}", untouched=True)
        if state not in USABLE:
            raise Retry(f"the lease function {arn} is in a state that AWS has not: {str(state)[:20]}", untouched=True)
        with asking(f"GetPolicy {arn}"):
            may_be = may_be_called(_policy(functions, arn))
        if not may_be:
            words = f"EventBridge may not call the lease function {arn}, deploy it by the CloudFormation template"
            raise Refused(words, untouched=True)
        return {"state": state}  # Active, or Inactive: idle for weeks, and made active by its first call

    def backward(self, order: Json, intent: Json, asked_at_s: float) -> None:
        """Nothing was made."""


def _policy(functions: Any, arn: str) -> str | None:
    """The function's resource policy; None when these credentials may not see it."""
    try:
        return str(answers.value(functions.get_policy(FunctionName=arn), "Policy", str))
    except AWS_ERRORS as error:
        if is_denied(error):
            return None
        if is_not_found(error):
            return "{}"
        raise


def may_be_called(policy: str | None) -> bool:
    """False when surely no statement lets EventBridge in.  Conditions are AWS's to judge."""
    if policy is None:
        return True
    statements = json.loads(policy).get("Statement", [])
    return any(
        statement.get("Effect") == "Allow" and _names_eventbridge(statement.get("Principal"))
        for statement in (statements if isinstance(statements, list) else [statements])
    )


def _names_eventbridge(principal: Any) -> bool:
    services = principal.get("Service", principal.get("AWS")) if isinstance(principal, dict) else principal
    return any(each in (EVENTBRIDGE, "*") for each in (services if isinstance(services, list) else [services]))
