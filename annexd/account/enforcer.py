"""The lease function of one region, as -setup and -teardown handle it: whose it is, open, closed, and seen at work.

It has one name in each region of an account, whatever the stack is called.  Its description says whether annexd may
rely on it: orders refuse a closed function, which goes on ending annexes until it is deleted.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

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

STACK_TAG: Final = "aws:cloudformation:stack-name"  # on whatever CloudFormation makes; GetFunction tells it
# An order begins to ask for its fleet at most CHECK_AGAIN_S after its look at the function, and a request of which no
# answer came may take effect until StepContext.settle_s after that; 10 s more until EC2 lists a new fleet.
CLOSING_S: Final = CHECK_AGAIN_S + StepContext.settle_s + 10.0
HEARTBEAT_S: Final = 420.0  # until the first: a tick comes within five minutes, a run may take two
PAUSE_S: Final = 5.0
PROGRESS_S: Final = 30.0
CHANGING_S: Final = 60.0


class Enforcer:
    """Everything raises AccountError; `say` gets what is done and waited for."""

    def __init__(self, session: Session, region: str, say: Say) -> None:
        self._session, self.region = session, region
        self._say: Say = lambda line: say(f"{region}: {line}")
        self._functions = session.client("lambda", region)

    def look(self) -> Mapping[str, Any] | None:
        """Return what GetFunction tells; None when there is none."""
        with translate_aws_errors(f"GetFunction {FUNCTION}"):
            try:
                told: Mapping[str, Any] = self._functions.get_function(FunctionName=FUNCTION)
            except AWS_ERRORS as error:
                if errors.is_not_found(error):
                    return None
                raise
        return told

    def is_whole(self, role: str) -> bool:
        """Tell whether function, rule and role are there: without any of them no annex ends."""
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
        """Return the stack that made it; None when there is no function, an empty text when no stack made it.

        GetFunction tells tags only to those who have lambda:ListTags (botocore's model, GetFunctionResponse).
        """
        told = self.look()
        return None if told is None else str((told.get("Tags") or {}).get(STACK_TAG, ""))

    def is_of(self, stack: Stack) -> bool:
        """Tell whether this stack has it, and would delete it."""
        return self.stack_name() in (stack.name, "") and LOGICAL_ID in stack.physical_ids()

    def close(self) -> None:
        self._say("closing the lease function: it still ends annexes, and annexd orders no new ones")
        self._describe(CLOSED_DESCRIPTION)

    def open(self) -> None:
        """Let annexd order again, if the function is there and closed."""
        told = self.look()
        if told is not None and is_closed(told["Configuration"]):
            self._describe(str(template()["Resources"][LOGICAL_ID]["Properties"]["Description"]))
            self._say("the lease function is open again: annexd may order annexes")

    def is_open(self) -> bool:
        told = self.look()
        return told is not None and not is_closed(told["Configuration"])

    def refuse_if_being_closed(self) -> None:
        """Raise AccountError while a -teardown may rely on the function's being closed."""
        told = self.look()
        if told is None or not is_closed(told["Configuration"]):
            return
        age_s = self._now_s() - _modified_s(told["Configuration"])
        if age_s < 2 * CLOSING_S:
            raise AccountError(
                f"{self.region}: a -teardown closed the lease function {max(age_s, 0):.0f} s ago, and may still run",
                f"wait until it has ended, or {2 * CLOSING_S - age_s:.0f} s, and run the same command again",
            )

    def wait_for_orders(self) -> None:
        """Wait until no order relies on a look at the function from before it was closed."""
        self._say(f"waiting {CLOSING_S:.0f} s for orders that are under way")
        time.sleep(CLOSING_S)

    def wait_for_heartbeat(self, max_lease_s: int, digest: str | None) -> None:
        """Wait until the rule has called the function, with this MaxLease and code (None: whatever code)."""
        told = self.look()
        if told is None:
            raise AccountError(f"{self.region}: the lease function {FUNCTION} is gone: somebody deletes it")
        arn, begun_s, said_s = str(told["Configuration"]["FunctionArn"]), time.monotonic(), -PROGRESS_S
        while (why := self._without_heartbeat(arn, max_lease_s, digest)) is not None:
            waited_s = time.monotonic() - begun_s
            if waited_s > HEARTBEAT_S:
                raise AccountError(
                    f"{self.region}: all is made, but annexd would order nothing: {why}",
                    "condor_annex -check-setup finds the cause; then run the same command again",
                )
            if waited_s - said_s >= PROGRESS_S:
                said_s = waited_s
                self._say(
                    "waiting for the rule to call the lease function, which it does every five minutes "
                    f"({waited_s:.0f} s so far)"
                )
            time.sleep(PAUSE_S)
        self._say("the rule calls the lease function, and it sees all fleets and instances: annexd may order annexes")

    def receipt(self, arn: str) -> Receipt | None:
        """Return what the newest tick found."""
        try:
            return heartbeat.newest_receipt(self._session.client("logs", self.region), arn, self._now_s())
        except (Retry, Refused) as error:
            raise AccountError(str(error)) from (error.__cause__ or error)

    def fault_of(self, receipt: Receipt | None, arn: str) -> str | None:
        """Return why annexd orders nothing with this heartbeat."""
        return heartbeat.fault_of(receipt, arn, self._now_s())

    def _without_heartbeat(self, arn: str, max_lease_s: int, digest: str | None) -> str | None:
        receipt = self.receipt(arn)
        fault = self.fault_of(receipt, arn)
        if fault is not None or receipt is None:
            return fault or "there is no heartbeat"
        if digest not in (None, receipt.digest):
            return "the newest heartbeat is of the code that was there before"
        if receipt.max_lease_s != max_lease_s:
            return f"the newest heartbeat is of a MaxLease of {receipt.max_lease_s} s, not {max_lease_s} s"
        return None

    def _now_s(self) -> float:
        return time.time() + self._session.skew_s

    def _describe(self, description: str) -> None:
        """Change the description, once no other change is under way: Lambda refuses a second one meanwhile."""
        self._settle()
        with translate_aws_errors(f"UpdateFunctionConfiguration {FUNCTION}"):
            self._functions.update_function_configuration(FunctionName=FUNCTION, Description=description)
        self._settle()

    def _settle(self) -> None:
        deadline_s = time.monotonic() + CHANGING_S
        while (told := self.look()) and told["Configuration"].get("LastUpdateStatus") == "InProgress":
            if time.monotonic() > deadline_s:
                raise AccountError(
                    f"{self.region}: the lease function has been changing for {CHANGING_S:.0f} s",
                    "run the same command again",
                )
            time.sleep(min(1.0, PAUSE_S))


def _modified_s(configuration: Mapping[str, Any]) -> float:
    """Return when a function was changed, from 2026-11-28T09:10:47.000+0000; always UTC."""
    text = str(configuration["LastModified"])[: len("2026-11-28T09:10:47")]
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp()


def own_digest() -> str:
    """Return what a heartbeat of this annexd's lambda/lease.py says of its code."""
    return sha256(function_code().encode()).hexdigest()
