"""One CloudFormation stack, in whatever state an earlier run, an interruption or a failure left it.

CloudFormation goes on by itself whatever becomes of us, so there is nothing to remember: each run looks at the
stack and does what its state asks for, until it is as wanted, or gone.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from annexd.account.errors import AccountError
from annexd.account.session import translate_aws_errors
from annexd.account.template import DESCRIPTION, MAX_LEASE, max_lease_limits
from annexd.aws import errors
from annexd.aws.errors import AWS_ERRORS

Say = Callable[[str], object]

GOOD: Final = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"})
UNFINISHED: Final = "REVIEW_IN_PROGRESS"  # a change set that nobody carried out: no resource was made
STUCK: Final = "UPDATE_ROLLBACK_FAILED"
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
BEGINNING: Final = "User Initiated"  # ResourceStatusReason of the stack's first event of an operation
REASONS: Final = 5  # told of a failure: the first is the cause, the rest mostly its consequences


@dataclass(frozen=True)
class Seen:
    """What DescribeStacks told."""

    stack_id: str
    status: str
    description: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]

    @property
    def max_lease_s(self) -> int:
        """The seconds after which the function ends every annex; the usual ones for a stack without the parameter."""
        told = self.parameters.get(MAX_LEASE, "")
        return int(told) if told.isdecimal() else max_lease_limits()[2]

    @property
    def is_busy(self) -> bool:
        return self.status.endswith("_IN_PROGRESS") and self.status != UNFINISHED

    @property
    def is_good(self) -> bool:
        return self.status in GOOD


class Stack:
    """A stack by its name.  Everything raises AccountError; `say` gets a line for each event of a resource."""

    def __init__(self, cloudformation: Any, name: str, say: Say, deadline_s: float) -> None:
        """`deadline_s` by time.monotonic()."""
        self.name = name
        self._cloudformation, self._say, self._deadline_s = cloudformation, say, deadline_s
        self._told: set[str] = set()
        self._follows = False  # whether something goes on whose events are news

    def look(self) -> Seen | None:
        """Its state; None when there is no such stack.  Refuses a stack that is not ours."""
        with translate_aws_errors(f"DescribeStacks {self.name}"):
            try:
                told = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
            except AWS_ERRORS as error:
                if errors.is_no_stack(error):
                    return None
                raise
        outputs = {output["OutputKey"]: output["OutputValue"] for output in told.get("Outputs") or ()}
        parameters = {each["ParameterKey"]: each["ParameterValue"] for each in told.get("Parameters") or ()}
        seen = Seen(told["StackId"], told["StackStatus"], told.get("Description") or "", outputs, parameters)
        if seen.description and not seen.description.startswith(DESCRIPTION):
            raise AccountError(
                f"the stack {self.name} is somebody else's: {seen.description[:80]!r}",
                "choose another name for annexd's with -stack-name",
            )
        return seen

    def settled(self) -> Seen | None:
        """Its state, once CloudFormation has done with it; tells the events meanwhile."""
        pause_s = FIRST_PAUSE_S
        while (seen := self.look()) is not None and seen.is_busy:
            self._follows = True
            self._tell()
            if time.monotonic() + pause_s > self._deadline_s:
                raise AccountError(
                    f"the stack {self.name} is still {seen.status} when the time given by -timeout is over",
                    "CloudFormation goes on; run the same command again to go on waiting",
                )
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        if seen is not None and self._follows:
            self._tell()
        self._follows = False
        return seen

    def create(self, body: str, parameters: Mapping[str, str]) -> None:
        self._follows = True
        with translate_aws_errors(f"CreateStack {self.name}"):
            try:
                self._cloudformation.create_stack(**self._made_of(body, parameters))
            except AWS_ERRORS as error:
                if not errors.is_existing(error):  # another run, or our own lost answer: it is being made
                    raise

    def update(self, body: str, parameters: Mapping[str, str]) -> bool:
        """Whether there was anything to change."""
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
        """Build the call: a parameter that is left out is the template's default again."""
        return {
            "StackName": self.name,
            "TemplateBody": body,
            "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            "Capabilities": ["CAPABILITY_IAM"],
        }

    def deployed_template(self) -> Any:
        """What it was last made of, or meant to be."""
        with translate_aws_errors(f"GetTemplate {self.name}"):
            return self._cloudformation.get_template(StackName=self.name)["TemplateBody"]

    def physical_ids(self) -> dict[str, str]:
        """Of the resources that are there, by their names in the template."""
        with translate_aws_errors(f"DescribeStackResources {self.name}"):
            told = self._cloudformation.describe_stack_resources(StackName=self.name)["StackResources"]
        made = [each for each in told if each.get("PhysicalResourceId")]
        there = [each for each in made if each["ResourceStatus"] != "DELETE_COMPLETE"]
        return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in there}

    def failures(self) -> list[str]:
        """Why the newest operation failed, the cause first."""
        failed = [event for event in self._events() if _is_failure(event) and event["LogicalResourceId"] != self.name]
        return [f"{event['LogicalResourceId']}: {_reason(event)}" for event in failed][:REASONS]

    def _tell(self) -> None:
        for event in self._events():
            if event["EventId"] not in self._told:
                self._told.add(event["EventId"])
                reason = f": {_reason(event)}" if _is_failure(event) else ""
                self._say(f"{event['LogicalResourceId']} {event['ResourceStatus']}{reason}")

    def _events(self) -> list[dict[str, Any]]:
        """Of the newest operation, in the order of time."""
        events: list[dict[str, Any]] = []
        with translate_aws_errors(f"DescribeStackEvents {self.name}"):
            pages = self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=self.name)
            try:
                for event in (event for page in pages for event in page["StackEvents"]):
                    events.insert(0, event)
                    if event["LogicalResourceId"] == self.name and event.get("ResourceStatusReason") == BEGINNING:
                        break
            except AWS_ERRORS as error:
                if errors.is_no_stack(error):  # it has just gone
                    return []
                raise
        return events


def _is_failure(event: Mapping[str, Any]) -> bool:
    return bool(event["ResourceStatus"].endswith("_FAILED"))


def _reason(event: Mapping[str, Any]) -> str:
    return str(event.get("ResourceStatusReason") or "no reason given")
