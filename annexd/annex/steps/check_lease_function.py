"""Step 1: the lease function was seen at work, so that what is ordered next will be ended.

Asked first, since nothing is made yet that would need undoing, and once more before the fleet is requested, if that
is later than CHECK_AGAIN_S: by then the function may be closed, or silent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from annexd.annex.lease.heartbeat import Receipt, fault_of, is_closed, unqualified
from annexd.annex.lease.lease_code import warning_of
from annexd.annex.request.lease_length import GRACE_S, duration
from annexd.annex.steps.context import StepContext
from annexd.annex.translate_aws_errors import translate_aws_errors
from annexd.aws import Clients, answers
from annexd.aws.errors import AWS_ERRORS, is_not_found
from annexd.workflow import Json, Refused, Retry

USABLE: Final = ("Active", "Inactive")  # Inactive: idle for weeks, and made active by its first call
LONGEST_REASON: Final = 500
CHECK_AGAIN_S: Final = 60.0  # -teardown closes the function, waits for longer, and looks again for what was ordered


@dataclass(frozen=True)
class Enforcer:
    """The lease function, seen at work; `configuration` is GetFunction's."""

    receipt: Receipt
    configuration: Mapping[str, Any]
    max_lease_s: int  # after a fleet's creation, beyond which no tag moves its end


def enforcer_of(world: StepContext, order: Json, clients: Clients, *, fresh: bool = False) -> Enforcer:
    """Look at the lease function of an order, with a receipt from the last minute's look unless it is to be `fresh`.

    Raises Refused, with cause and repair, unless it ends leases now.
    """
    arn = order["lease_function_arn"]
    configuration = _usable_function(clients.functions, arn)
    now_s = world.aws_now_s(clients)
    receipt = world.heartbeats.newest(clients.logs, repr(order["endpoints"]), arn, now_s, fresh=fresh)
    fault = fault_of(receipt, arn, now_s)
    if fault is not None or receipt is None or receipt.max_lease_s is None:
        raise Refused(fault or "", untouched=True)
    return Enforcer(receipt, configuration, receipt.max_lease_s)


def _usable_function(functions: Any, arn: str) -> Mapping[str, Any]:
    with translate_aws_errors(f"GetFunction {arn}"):
        answer = _function(functions, arn)
        configuration: Mapping[str, Any] = answers.value(answer, "Configuration", dict)
    state = configuration.get("State", "Active")  # AWS leaves it out for functions from before there were states
    if state == "Pending":
        raise Retry(f"the lease function {arn} is still being made", untouched=True)
    if state == "Failed":
        reason = str(configuration.get("StateReason"))[:LONGEST_REASON]
        raise Refused(f"the lease function {arn} has failed: {reason}", untouched=True)
    if state not in USABLE:
        raise Retry(f"the lease function {arn} is in a state that AWS has not: {str(state)[:20]}", untouched=True)
    if is_closed(configuration):
        words = f"the lease function {arn} is closed: somebody runs condor_annex -teardown; -setup opens it again"
        raise Refused(words, untouched=True)
    if (answer.get("Concurrency") or {}).get("ReservedConcurrentExecutions") == 0:
        words = (
            f"the lease function {arn} may not run, its reserved concurrency is 0: "
            "aws lambda delete-function-concurrency --function-name gives it back"
        )
        raise Refused(words, untouched=True)
    return configuration


def _function(functions: Any, arn: str) -> Any:
    try:
        return functions.get_function(FunctionName=unqualified(arn))
    except AWS_ERRORS as error:
        if is_not_found(error):
            repair = "condor_annex -setup makes it"
            words = f"the lease function {arn} does not exist, so nobody would end a lease: {repair}"
            raise Refused(words, untouched=True) from error
        raise


def check_max_lease(enforcer: Enforcer, end_of_lease_s: int, created_s: float) -> None:
    """Refuse a lease whose end the function would move to an earlier time."""
    length_s = end_of_lease_s - created_s
    if length_s > enforcer.max_lease_s + GRACE_S:
        longest = duration(enforcer.max_lease_s)
        words = (
            f"a lease of {duration(int(length_s))} is longer than the lease function allows ({longest}, the "
            "stack's parameter MaxLease)"
        )
        raise Refused(words, untouched=True, result="InvalidRequest")


class CheckLeaseFunction:
    """The lease function exists, is open, and was called by its rule a short while ago.  Leaves nothing behind."""

    name = "check_lease_function"
    shows_late = False

    def __init__(self, world: StepContext) -> None:
        self._world = world

    def plan(self, order: Json, results: Mapping[str, Json]) -> Json:  # noqa: ARG002
        """{function_arn, end_of_lease_s}"""
        return {"function_arn": order["lease_function_arn"], "end_of_lease_s": order["end_of_lease_s"]}

    def forward(self, order: Json, intent: Json) -> Json:
        """{at_s, checked_at_s, max_lease_s, digest, warning}: of the newest tick; warning is empty or words."""
        clients, checked_at_s = self._world.access(order), self._world.now_s()  # before the look, which may take long
        enforcer = enforcer_of(self._world, order, clients)
        check_max_lease(enforcer, intent["end_of_lease_s"], self._world.aws_now_s(clients))
        return {
            "at_s": enforcer.receipt.at_s,
            "checked_at_s": checked_at_s,
            "max_lease_s": enforcer.max_lease_s,
            "digest": enforcer.receipt.digest,
            "warning": warning_of(enforcer.receipt, intent["function_arn"]),
        }

    def backward(self, order: Json, intent: Json, asked_at_s: float) -> None:
        """Nothing was made."""
