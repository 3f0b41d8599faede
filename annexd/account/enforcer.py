"""Handle the lease function of one region for -setup and -teardown: its stack, opening, closing, and its heartbeat.

It has one fixed name in each region of an account, whatever the stack's name.  Its description says whether annexd may
rely on it: annexd refuses orders with a closed function, which still ends annexes until it is deleted.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from annexd.account.changes import CLOSED, OPENED, Changed, ignore
from annexd.account.errors import AccountError
from annexd.account.session import Session, translate_aws_errors
from annexd.account.stack import Say, Stack
from annexd.account.template import FUNCTION, LOGICAL_ID, function_code, template
from annexd.annex.lease import heartbeat
from annexd.annex.lease.heartbeat import CLOSED_DESCRIPTION, Receipt, is_closed
from annexd.annex.steps import StepContext
from annexd.annex.steps.check_lease_function import CHECK_AGAIN_S
from annexd.aws import errors
from annexd.aws.errors import AWS_ERRORS
from annexd.workflow import Refused, Retry

STACK_TAG: Final = "aws:cloudformation:stack-name"  # on everything that CloudFormation creates; GetFunction returns it
# An order requests its fleet at most CHECK_AGAIN_S after it checked the function, and a request without a response may
# take effect until StepContext.settle_s after that; 10 s more until EC2 lists a new fleet.
CLOSING_S: Final = CHECK_AGAIN_S + StepContext.settle_s + 10.0
HEARTBEAT_S: Final = 420.0  # until the first one: a tick comes within five minutes, a run may take two
PAUSE_S: Final = 5.0
PROGRESS_S: Final = 30.0
CHANGING_S: Final = 60.0


class Enforcer:
    """The lease function of a region.  All methods raise AccountError; `say` receives progress messages, and `changed`
    that it was closed or opened."""

    def __init__(self, session: Session, region: str, say: Say, changed: Changed = ignore) -> None:
        self._session, self.region, self._changed = session, region, changed
        self._say: Say = lambda line: say(f"{region}: {line}")
        self._functions = session.client("lambda", region)

    def look(self) -> Mapping[str, Any] | None:
        """Return the response of GetFunction; None if there is no function."""
        with translate_aws_errors(f"GetFunction {FUNCTION}"):
            try:
                response: Mapping[str, Any] = self._functions.get_function(FunctionName=FUNCTION)
            except AWS_ERRORS as error:
                if errors.is_not_found(error):
                    return None
                raise
        return response

    def is_whole(self, role: str) -> bool:
        """Return whether function, rule and role exist: without any of them no annex ends."""
        events, iam = (self._session.client(service, self.region) for service in ("events", "iam"))
        for operation, call, name in (
            ("DescribeRule", events.describe_rule, {"Name": FUNCTION}),
            ("GetRole", iam.get_role, {"RoleName": role}),
        ):
            with translate_aws_errors(operation):
                try:
                    call(**name)
                except AWS_ERRORS as error:
                    if errors.is_not_found(error):
                        return False
                    raise
        return self.look() is not None

    def stack_name(self) -> str | None:
        """Return the stack that created it; None if there is no function, an empty text if no stack created it.

        GetFunction returns tags only to callers with lambda:ListTags (botocore's model, GetFunctionResponse).
        """
        response = self.look()
        return None if response is None else str((response.get("Tags") or {}).get(STACK_TAG, ""))

    def is_of(self, stack: Stack) -> bool:
        """Return whether this stack contains it, and would delete it."""
        return self.stack_name() in (stack.name, "") and LOGICAL_ID in stack.physical_ids()

    def close(self) -> None:
        self._say("closing the lease function: it still ends annexes, but annexd refuses new orders")
        self._describe(CLOSED_DESCRIPTION)
        self._changed(CLOSED, LOGICAL_ID, FUNCTION)

    def open(self) -> None:
        """Open the function for orders if it exists and is closed."""
        response = self.look()
        if response is not None and is_closed(response["Configuration"]):
            self._describe(str(template()["Resources"][LOGICAL_ID]["Properties"]["Description"]))
            self._changed(OPENED, LOGICAL_ID, FUNCTION)
            self._say("the lease function is open again: annexd accepts orders")

    def is_open(self) -> bool:
        response = self.look()
        return response is not None and not is_closed(response["Configuration"])

    def refuse_if_being_closed(self) -> None:
        """Raise AccountError while a -teardown may rely on the closed function."""
        response = self.look()
        if response is None or not is_closed(response["Configuration"]):
            return
        age_s = self._now_s() - _modified_s(response["Configuration"])
        if age_s < 2 * CLOSING_S:
            raise AccountError(
                f"{self.region}: a -teardown closed the lease function {max(age_s, 0):.0f} s ago and may still run",
                f"wait until it ends, or {2 * CLOSING_S - age_s:.0f} s, and run the same command again",
            )

    def wait_for_orders(self) -> None:
        """Wait until no order relies on a check of the function from before it was closed."""
        self._say(f"waiting {CLOSING_S:.0f} s for orders in progress")
        time.sleep(CLOSING_S)

    def wait_for_heartbeat(self, max_lease_s: int, digest: str | None) -> None:
        """Wait until the rule has called the function with this MaxLease and code (None: any code)."""
        response = self.look()
        if response is None:
            raise AccountError(f"{self.region}: the lease function {FUNCTION} is missing: it was deleted meanwhile")
        arn, begun_s, said_s = str(response["Configuration"]["FunctionArn"]), time.monotonic(), -PROGRESS_S
        while (why := self._without_heartbeat(arn, max_lease_s, digest)) is not None:
            waited_s = time.monotonic() - begun_s
            if waited_s > HEARTBEAT_S:
                raise AccountError(
                    f"{self.region}: all resources exist, but annexd would refuse orders: {why}",
                    "find the cause with condor_annex -check-setup; then run the same command again",
                )
            if waited_s - said_s >= PROGRESS_S:
                said_s = waited_s
                self._say(
                    f"waiting for the rule, which calls the lease function every five minutes ({waited_s:.0f} s so far)"
                )
            time.sleep(PAUSE_S)
        self._say("the rule calls the lease function, which sees all fleets and instances: annexd accepts orders")

    def receipt(self, arn: str) -> Receipt | None:
        """Return the receipt of the latest tick."""
        try:
            return heartbeat.newest_receipt(self._session.client("logs", self.region), arn, self._now_s())
        except (Retry, Refused) as error:
            raise AccountError(str(error)) from (error.__cause__ or error)

    def fault_of(self, receipt: Receipt | None, arn: str) -> str | None:
        """Return why annexd refuses orders with this heartbeat, or None."""
        return heartbeat.fault_of(receipt, arn, self._now_s())

    def _without_heartbeat(self, arn: str, max_lease_s: int, digest: str | None) -> str | None:
        receipt = self.receipt(arn)
        fault = self.fault_of(receipt, arn)
        if fault is not None or receipt is None:
            return fault or "there is no heartbeat"
        if digest not in (None, receipt.digest):
            return "the latest heartbeat is from the previous code"
        if receipt.max_lease_s != max_lease_s:
            return f"the latest heartbeat has a MaxLease of {receipt.max_lease_s} s, not {max_lease_s} s"
        return None

    def _now_s(self) -> float:
        return time.time() + self._session.skew_s

    def _describe(self, description: str) -> None:
        """Change the description once no other change is in progress: Lambda refuses concurrent changes."""
        self._settle()
        with translate_aws_errors(f"UpdateFunctionConfiguration {FUNCTION}"):
            self._functions.update_function_configuration(FunctionName=FUNCTION, Description=description)
        self._settle()

    def _settle(self) -> None:
        deadline_s = time.monotonic() + CHANGING_S
        while (response := self.look()) and response["Configuration"].get("LastUpdateStatus") == "InProgress":
            if time.monotonic() > deadline_s:
                raise AccountError(
                    f"{self.region}: an update of the lease function takes longer than {CHANGING_S:.0f} s",
                    "run the same command again",
                )
            time.sleep(min(1.0, PAUSE_S))


def _modified_s(configuration: Mapping[str, Any]) -> float:
    """Return when a function was last changed, from 2026-11-28T09:10:47.000+0000; always UTC."""
    text = str(configuration["LastModified"])[: len("2026-11-28T09:10:47")]
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp()


def own_digest() -> str:
    """Return the code digest in heartbeats of this annexd's lambda/lease.py."""
    return sha256(function_code().encode()).hexdigest()
