"""Step 1: check that the lease function works, so that it will end what the next steps order.

It comes first, since nothing that would need undoing exists yet.  It is repeated before the fleet is requested, if that
is later than CHECK_AGAIN_S: by then the function may be closed, or silent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from annexd.annex.lease.heartbeat import Receipt, fault_of, is_closed, unqualified
from annexd.annex.lease.lease_code import warning_of
from annexd.annex.request.account_target import AccountTarget
from annexd.annex.request.lease_length import GRACE_S, duration
from annexd.annex.request.order import FleetOrder
from annexd.annex.steps.context import StepContext
from annexd.annex.translate_aws_errors import translate_aws_errors
from annexd.aws import Clients, answers
from annexd.aws.errors import AWS_ERRORS, is_not_found
from annexd.workflow import Refused, Results, Retry

USABLE: Final = ("Active", "Inactive")  # Inactive: idle for weeks; its first call activates it
LONGEST_REASON: Final = 500
CHECK_AGAIN_S: Final = 60.0  # -teardown closes the function, waits for longer, and checks again for new annexes


@dataclass(frozen=True)
class LeaseFunction:
    """The checked lease function; `configuration` is GetFunction's."""

    receipt: Receipt
    configuration: Mapping[str, Any]
    max_lease_s: int  # after a fleet's creation, beyond which no tag moves its end


def lease_function_of(
    context: StepContext, target: AccountTarget, clients: Clients, *, fresh: bool = False
) -> LeaseFunction:
    """Check the lease function, with a receipt at most a minute old, or with `fresh` a new one.

    Raises Refused, with the cause and the fix, unless it ends leases now.
    """
    arn = target.lease_function_arn
    configuration = _usable_function(clients.functions, arn)
    now_s = context.aws_now_s(clients)
    receipt = context.heartbeats.newest(clients.logs, repr(target.endpoints), arn, now_s, fresh=fresh)
    fault = fault_of(receipt, arn, now_s)
    if fault is not None or receipt is None or receipt.max_lease_s is None:
        raise Refused(fault or "", untouched=True)
    return LeaseFunction(receipt, configuration, receipt.max_lease_s)


def _usable_function(functions: Any, arn: str) -> Mapping[str, Any]:
    with translate_aws_errors(f"GetFunction {arn}"):
        answer = _function(functions, arn)
        configuration: Mapping[str, Any] = answers.value(answer, "Configuration", dict)
    state = configuration.get("State", "Active")  # AWS omits it for functions that are older than states
    if state == "Pending":
        raise Retry(f"the lease function {arn} is still being created", untouched=True)
    if state == "Failed":
        reason = str(configuration.get("StateReason"))[:LONGEST_REASON]
        raise Refused(f"the lease function {arn} has failed: {reason}", untouched=True)
    if state not in USABLE:
        raise Retry(f"the lease function {arn} is in an unknown state: {str(state)[:20]}", untouched=True)
    if is_closed(configuration):
        message = f"the lease function {arn} is closed: somebody runs condor_annex -teardown; -setup opens it again"
        raise Refused(message, untouched=True)
    if (answer.get("Concurrency") or {}).get("ReservedConcurrentExecutions") == 0:
        message = (
            f"the lease function {arn} cannot run, since its reserved concurrency is 0: aws lambda "
            "delete-function-concurrency --function-name removes that limit"
        )
        raise Refused(message, untouched=True)
    return configuration


def _function(functions: Any, arn: str) -> Any:
    try:
        return functions.get_function(FunctionName=unqualified(arn))
    except AWS_ERRORS as error:
        if is_not_found(error):
            repair = "condor_annex -setup creates it"
            message = f"the lease function {arn} does not exist, so nothing would end a lease: {repair}"
            raise Refused(message, untouched=True) from error
        raise


def check_max_lease(enforcer: LeaseFunction, end_of_lease_s: int, created_s: float) -> None:
    """Refuse a lease whose end the function would move to an earlier time."""
    length_s = end_of_lease_s - created_s
    if length_s > enforcer.max_lease_s + GRACE_S:
        longest = duration(enforcer.max_lease_s)
        message = (
            f"a lease of {duration(int(length_s))} is longer than the lease function allows ({longest}, the "
            "stack's parameter MaxLease)"
        )
        raise Refused(message, untouched=True, result="InvalidRequest")


@dataclass(frozen=True)
class LeaseCheck:
    """The function that ends the lease, and the end."""

    function_arn: str
    end_of_lease_s: int


@dataclass(frozen=True)
class LeaseFunctionSeen:
    """The content of the function's newest receipt; `checked_at_s` is the time of the check."""

    at_s: float
    checked_at_s: float
    max_lease_s: int
    digest: str
    warning: str  # may be empty


class CheckLeaseFunction:
    """Checks that the lease function exists, is open, and was recently called by its rule.  Creates nothing."""

    name = "check_lease_function"
    intent_type = LeaseCheck
    shows_late = False
    result_type = LeaseFunctionSeen

    def __init__(self, context: StepContext) -> None:
        self._context = context

    def plan(self, order: FleetOrder, _results: Results) -> LeaseCheck:
        return LeaseCheck(order.target.lease_function_arn, order.end_of_lease_s)

    def forward(self, order: FleetOrder, intent: LeaseCheck) -> LeaseFunctionSeen:
        clients = self._context.access(order.target)
        checked_at_s = self._context.now_s()  # before the look, which may take long
        enforcer = lease_function_of(self._context, order.target, clients)
        check_max_lease(enforcer, intent.end_of_lease_s, self._context.aws_now_s(clients))
        return LeaseFunctionSeen(
            at_s=enforcer.receipt.at_s,
            checked_at_s=checked_at_s,
            max_lease_s=enforcer.max_lease_s,
            digest=enforcer.receipt.digest,
            warning=warning_of(enforcer.receipt, intent.function_arn),
        )

    def backward(self, _order: FleetOrder, _intent: LeaseCheck, _asked_at_s: float) -> None:
        """Do nothing: this step creates nothing."""
