"""Bring one CloudFormation stack, in any state, to the wanted one.

An earlier run, an interruption or a failure may have left any state.  CloudFormation continues by itself, so no state
is stored: each run reads the stack's state and acts on it, until the stack is as wanted, or deleted.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from annexd.account.changes import CREATED, DELETED, UPDATED, Changed, ignore
from annexd.account.errors import AccountError
from annexd.account.session import translate_aws_errors
from annexd.account.template import DESCRIPTION, MAX_LEASE, max_lease_limits
from annexd.aws import errors
from annexd.aws.errors import AWS_ERRORS

Say = Callable[[str], object]

GOOD: Final = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"})
UNFINISHED: Final = "REVIEW_IN_PROGRESS"  # a change set that was not executed: no resources exist
STUCK: Final = "UPDATE_ROLLBACK_FAILED"
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
BEGINNING: Final = "User Initiated"  # ResourceStatusReason of the stack's first event of an operation
DONE: Final = {"CREATE_COMPLETE": CREATED, "UPDATE_COMPLETE": UPDATED, "DELETE_COMPLETE": DELETED}
REASONS: Final = 5  # reported of a failure: the first is the cause, the rest mostly its consequences


@dataclass(frozen=True)
class Seen:
    """A stack as DescribeStacks returned it."""

    stack_id: str
    status: str
    description: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]

    @property
    def max_lease_s(self) -> int:
        """Return MaxLease in seconds; the default for a stack without the parameter."""
        response = self.parameters.get(MAX_LEASE, "")
        return int(response) if response.isdecimal() else max_lease_limits()[2]

    @property
    def is_busy(self) -> bool:
        return self.status.endswith("_IN_PROGRESS") and self.status != UNFINISHED

    @property
    def is_good(self) -> bool:
        return self.status in GOOD


class Stack:
    """A stack by its name.  All methods raise AccountError; `say` receives a line for each event of a resource, and
    `changed` what was created, updated or deleted."""

    def __init__(self, cloudformation: Any, name: str, say: Say, deadline_s: float, changed: Changed = ignore) -> None:
        """Prepare the stack; `deadline_s` is by time.monotonic()."""
        self.name = name
        self._cloudformation, self._say, self._deadline_s = cloudformation, say, deadline_s
        self._changed = changed
        self._stack_id = ""  # the events of a deleted stack are found only by its ID
        self._reported: set[str] = set()
        self._follows = False  # whether an operation is in progress whose events are new

    def look(self) -> Seen | None:
        """Return its state; None if there is no such stack.  Refuses a stack that is not ours."""
        with translate_aws_errors(f"DescribeStacks {self.name}"):
            try:
                response = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
            except AWS_ERRORS as error:
                if errors.is_no_stack(error):
                    return None
                raise
        outputs = {output["OutputKey"]: output["OutputValue"] for output in response.get("Outputs") or ()}
        parameters = {each["ParameterKey"]: each["ParameterValue"] for each in response.get("Parameters") or ()}
        seen = Seen(
            response["StackId"], response["StackStatus"], response.get("Description") or "", outputs, parameters
        )
        if seen.description and not seen.description.startswith(DESCRIPTION):
            raise AccountError(
                f"the stack {self.name} does not belong to annexd: {seen.description[:80]!r}",
                "use another name with -stack-name",
            )
        self._stack_id = seen.stack_id
        return seen

    def settled(self) -> Seen | None:
        """Wait until CloudFormation is done, report events meanwhile, and return the state."""
        pause_s = FIRST_PAUSE_S
        while (seen := self.look()) is not None and seen.is_busy:
            self._follows = True
            self._report()
            if time.monotonic() + pause_s > self._deadline_s:
                raise AccountError(
                    f"the stack {self.name} is still {seen.status} after -timeout",
                    "CloudFormation continues; run the same command again to wait longer",
                )
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        if self._follows:
            self._report()
        self._follows = False
        return seen

    def create(self, body: str, parameters: Mapping[str, str]) -> None:
        self._follows = True
        with translate_aws_errors(f"CreateStack {self.name}"):
            try:
                self._cloudformation.create_stack(**self._made_of(body, parameters))
            except AWS_ERRORS as error:
                if not errors.is_existing(error):  # another run, or a lost response: it is being created
                    raise

    def update(self, body: str, parameters: Mapping[str, str]) -> bool:
        """Update the stack, and return whether there was anything to change."""
        self._follows = True
        with translate_aws_errors(f"UpdateStack {self.name}"):
            try:
                self._cloudformation.update_stack(**self._made_of(body, parameters))
            except AWS_ERRORS as error:
                if not errors.is_nothing_to_update(error):
                    raise
                return False
        return True

    def delete(self) -> None:
        self._follows = True
        with translate_aws_errors(f"DeleteStack {self.name}"):
            self._cloudformation.delete_stack(StackName=self.name)

    def go_on_rolling_back(self) -> None:
        self._follows = True
        with translate_aws_errors(f"ContinueUpdateRollback {self.name}"):
            self._cloudformation.continue_update_rollback(StackName=self.name)

    def _made_of(self, body: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Build the call: an omitted parameter returns to the template's default."""
        return {
            "StackName": self.name,
            "TemplateBody": body,
            "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            "Capabilities": ["CAPABILITY_IAM"],
        }

    def deployed_template(self) -> Any:
        """Return the template of the latest operation, even a failed one."""
        with translate_aws_errors(f"GetTemplate {self.name}"):
            return self._cloudformation.get_template(StackName=self.name)["TemplateBody"]

    def physical_ids(self) -> dict[str, str]:
        """Return the physical IDs of existing resources, by logical ID."""
        with translate_aws_errors(f"DescribeStackResources {self.name}"):
            response = self._cloudformation.describe_stack_resources(StackName=self.name)["StackResources"]
        made = [each for each in response if each.get("PhysicalResourceId")]
        there = [each for each in made if each["ResourceStatus"] != "DELETE_COMPLETE"]
        return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in there}

    def failures(self) -> list[str]:
        """Return why the latest operation failed, the cause first."""
        failed = [event for event in self._events() if _is_failure(event) and event["LogicalResourceId"] != self.name]
        return [f"{event['LogicalResourceId']}: {_reason(event)}" for event in failed][:REASONS]

    def _report(self) -> None:
        for event in self._events():
            if event["EventId"] not in self._reported:
                self._reported.add(event["EventId"])
                reason = f": {_reason(event)}" if _is_failure(event) else ""
                self._say(f"{event['LogicalResourceId']} {event['ResourceStatus']}{reason}")
                if action := DONE.get(event["ResourceStatus"]):
                    self._changed(action, event["LogicalResourceId"], str(event.get("PhysicalResourceId") or ""))

    def _events(self) -> list[dict[str, Any]]:
        """Return the events of the latest operation, oldest first."""
        events: list[dict[str, Any]] = []
        which = self._stack_id or self.name
        with translate_aws_errors(f"DescribeStackEvents {self.name}"):
            pages = self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=which)
            try:
                for event in (event for page in pages for event in page["StackEvents"]):
                    events.insert(0, event)
                    if event["LogicalResourceId"] == self.name and event.get("ResourceStatusReason") == BEGINNING:
                        break
            except AWS_ERRORS as error:
                if errors.is_no_stack(error):  # it does not exist yet, or was deleted before its ID was known
                    return []
                raise
        return events


def _is_failure(event: Mapping[str, Any]) -> bool:
    return bool(event["ResourceStatus"].endswith("_FAILED"))


def _reason(event: Mapping[str, Any]) -> str:
    return str(event.get("ResourceStatusReason") or "no reason given")
