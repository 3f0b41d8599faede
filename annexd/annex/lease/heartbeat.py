"""Read the lease function's heartbeat: the receipt that each of its runs writes to its log group.

annexd orders nothing unless the rule of the stack has called the function recently.  So only receipts of ticks count: a
run that someone started by hand does not prove that another follows.  lambda/lease.py documents the receipt.  The line
is read with FilterLogEvents, which may return empty pages before those with events:
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html.
"""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from annexd.annex.translate_aws_errors import translate_aws_errors
from annexd.aws import account_of_function, answers, region_of_function
from annexd.aws.errors import AWS_ERRORS, is_not_found

CONTRACT: Final = 3  # of lambda/lease.py: an older function does less than annexd relies on
TICK_S: Final = 300.0  # between two runs
STALE_S: Final = 900.0  # three ticks
AHEAD_S: Final = 300.0  # a receipt from further in the future is not the function's
LOOK_BACK_S: Final = 1800.0  # older receipts are not accepted; without one the reply cannot say when the last tick was
RECEIPT: Final = '{ $.receipt = "htcondor-annex-lease" && $.tick IS TRUE }'
LONGEST_LINE: Final = 8000
LONGEST_MAX_LEASE_S: Final = 999_999_999  # the function accepts no larger number
KEPT_S: Final = 60.0
MOST_KEPT: Final = 256
NEEDED: Final = ("cancel", "terminate", "stamp")  # few annexes need the fourth right, which -check-setup reports
CLOSED_DESCRIPTION: Final = "closed by condor_annex -teardown: annexd orders nothing"
CHECK: Final = "condor_annex -check-setup says why"


@dataclass(frozen=True)
class Receipt:
    """The findings of the newest tick; times in seconds since the epoch."""

    at_s: float
    account: str
    region: str
    function: str  # its ARN
    contract: int
    digest: str  # SHA-256 of its code
    max_lease_s: int | None  # beyond which it ends every fleet; None where the stack's parameter is unreadable
    is_complete: bool
    lacking: tuple[str, ...]  # the rights that AWS denied it
    stuck: int
    stuck_ids: tuple[str, ...]
    error_texts: tuple[str, ...]


def is_closed(configuration: Mapping[str, Any]) -> bool:
    """Return whether -teardown is about to delete this function; `configuration` is GetFunction's."""
    return str(configuration.get("Description") or "") == CLOSED_DESCRIPTION


def log_group_of(function_arn: str) -> str:
    """Return the group to which the function's output goes.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html
    """
    return f"/aws/lambda/{function_arn.split(':')[6]}"


def newest_receipt(logs: Any, function_arn: str, now_s: float) -> Receipt | None:
    """Return the receipt of the newest tick in the last half hour; None when there is none.  Raises Retry or Refused.

    `logs` is a client of CloudWatch Logs; `now_s` the time by AWS's clock.
    """
    group = log_group_of(function_arn)
    with translate_aws_errors(f"FilterLogEvents of {group}"):
        receipts = [receipt for event in _events(logs, group, now_s) if (receipt := read(event)) is not None]
    return max(reversed(receipts), key=lambda receipt: receipt.at_s, default=None)  # of one tick twice: the later run


def _events(logs: Any, group: str, now_s: float) -> Iterator[str]:
    asked = {"logGroupName": group, "filterPattern": RECEIPT, "startTime": int((now_s - LOOK_BACK_S) * 1000)}
    try:
        for event in answers.listed(logs, "filter_log_events", "events", next_page="nextToken", **asked):
            yield str(answers.value(event, "message", str))
    except AWS_ERRORS as error:
        if not is_not_found(error):
            raise


def read(line: str) -> Receipt | None:
    """Return the receipt in a line of the log; None for any other line."""
    if len(line) > LONGEST_LINE:
        return None
    try:
        message = json.loads(line)
        return _receipt(message) if message["receipt"] == "htcondor-annex-lease" and message["tick"] is True else None
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
        return None


def _receipt(message: Mapping[str, Any]) -> Receipt:
    """Validate and convert a receipt.  Raises TypeError, LookupError and others for an unexpected shape."""
    rights = message["rights"]
    if (
        not isinstance(message["contract"], int)
        or not isinstance(message["complete"], bool)
        or not _is_count(message["at"])
    ):
        raise TypeError("contract, complete or at")
    return Receipt(
        at_s=float(message["at"]),
        account=str(message["account"]),
        region=str(message["region"]),
        function=str(message["function"]),
        contract=message["contract"],
        digest=str(message["digest"]),
        max_lease_s=_max_lease_s(message["max_lease_s"]),
        is_complete=message["complete"],
        lacking=tuple(name for name, has in sorted(rights.items()) if has is False),
        stuck=int(message["stuck"]),
        stuck_ids=tuple(str(each) for each in message["stuck_ids"]),
        error_texts=tuple(str(each) for each in message["error_texts"]),
    )


def _is_count(found: object) -> bool:
    """Reject True, which Python treats as 1, and NaN, which is neither old nor new."""
    return isinstance(found, int) and not isinstance(found, bool)


def _max_lease_s(found: Any) -> int | None:
    return found if _is_count(found) and 0 < found <= LONGEST_MAX_LEASE_S else None


def fault_of(receipt: Receipt | None, function_arn: str, now_s: float) -> str | None:
    """Return why this heartbeat allows no order, as a message for the requester; None when it allows one."""
    if receipt is None:
        return (
            f"the lease function {function_arn} has not been called by its rule for {LOOK_BACK_S / 60:.0f} minutes "
            f"or more, so nothing would end a lease: {CHECK}"
        )
    strange = _fault_of_origin(receipt, function_arn)
    if strange:
        return f"the newest receipt in {log_group_of(function_arn)} is {strange}: {CHECK}"
    age_s = now_s - receipt.at_s
    if age_s > STALE_S or age_s < -AHEAD_S:
        when = f"{age_s / 60:.0f} minutes ago" if age_s > 0 else f"{-age_s / 60:.0f} minutes in the future"
        return (
            f"the lease function {function_arn} was last called by its rule {when}, but should be called every "
            f"{TICK_S / 60:.0f} minutes: {CHECK}"
        )
    return _fault_of_run(receipt, function_arn)


def _fault_of_origin(receipt: Receipt, function_arn: str) -> str | None:
    account, region = account_of_function(function_arn), region_of_function(function_arn)
    if (receipt.account, receipt.region) != (account, region):
        return f"of account {receipt.account[:12]} and region {receipt.region[:30]}, not of {account} and {region}"
    if unqualified(receipt.function) != unqualified(function_arn):
        return f"of another function, {receipt.function[:200]}"
    return None


def _fault_of_run(receipt: Receipt, function_arn: str) -> str | None:
    first = f", {receipt.error_texts[0][:200]}" if receipt.error_texts else ""
    if receipt.contract < CONTRACT:
        return f"the lease function {function_arn} belongs to an older annexd: update the stack (condor_annex -setup)"
    if receipt.max_lease_s is None:
        return f"the lease function {function_arn} has no readable MAX_LEASE_S: update the stack (condor_annex -setup)"
    if not receipt.is_complete:
        return f"the lease function {function_arn} could not see all fleets and instances{first}: {CHECK}"
    if lacking := [name for name in NEEDED if name in receipt.lacking]:
        return (
            f"the lease function {function_arn} lacks the right to {' and '.join(lacking)} instances: "
            "update the stack (condor_annex -setup), or look for a policy that denies it"
        )
    return None


def unqualified(function_arn: str) -> str:
    """Return the ARN without a version or alias: the rule calls that function, and -teardown closes it."""
    return ":".join(function_arn.split(":")[:7])


class Heartbeats:
    """Caches each lease function's newest receipt for KEPT_S, so that many orders need one call.  Thread-safe."""

    def __init__(self, steady_s: Callable[[], float] = time.monotonic) -> None:
        self._steady_s = steady_s
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], tuple[float, Receipt]] = OrderedDict()

    def newest(self, logs: Any, endpoints: str, function_arn: str, now_s: float, *, fresh: bool) -> Receipt | None:
        """Return the cached receipt, or with `fresh`, or without one, call newest_receipt.

        `endpoints` is part of the cache key, so that one user's endpoint cannot affect others.

        Only a receipt that allows an order is cached.
        """
        key, asked_s = (endpoints, function_arn), self._steady_s()
        with self._lock:
            kept = None if fresh else self._kept.get(key)
        if kept is not None and asked_s - kept[0] <= KEPT_S and fault_of(kept[1], function_arn, now_s) is None:
            return kept[1]
        receipt = newest_receipt(logs, function_arn, now_s)
        with self._lock:
            self._kept.pop(key, None)
            if receipt is not None and fault_of(receipt, function_arn, now_s) is None:
                self._kept[key] = asked_s, receipt
                while len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
        return receipt
