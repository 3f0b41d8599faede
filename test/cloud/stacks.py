"""CloudFormation that acts: stacks are created in the background, resource by resource, and reported in events.  They
are rolled back when a resource fails, updated, deleted, and checked for drift.

moto's own creates everything within the call, without anybody's permissions.  It has no events of a failure, no
rollback and no drift, and it drops half of our resources' properties.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from test.cloud import stack_drift
from test.cloud.stack import Stack, Wanted
from test.cloud.stack_conditions import decided
from test.cloud.stack_parameters import effective, values_of
from test.cloud.stack_template import TemplateError, in_order, parsed
from test.cloud.stack_work import Cancelled, Work
from test.cloud.views import ACCOUNT

Given = Iterable[Mapping[str, Any]]


class Stacks:
    """All stacks of all regions; safe from any thread."""

    def __init__(self) -> None:
        self._step_s = 0.0
        self._lock = threading.RLock()
        self._stacks: list[Stack] = []
        self._operations: list[Operation] = []

    def pace(self, step_s: float) -> None:
        self._step_s = step_s

    def named(self, region: str, name_or_id: str) -> Stack | None:
        """Return a stack by name or ID; a deleted one only by its ID."""
        with self._lock:
            for stack in reversed(self._stacks):
                if stack.region == region and stack.stack_id == name_or_id:
                    return stack
                if stack.region == region and stack.name == name_or_id and stack.status != "DELETE_COMPLETE":
                    return stack
        return None

    def all_of(self, region: str) -> list[Stack]:
        with self._lock:
            return [each for each in self._stacks if each.region == region and each.status != "DELETE_COMPLETE"]

    def create(self, stack: Stack, given: Given) -> None:
        """Begin to create a stack.  Raises TemplateError."""
        stack.wanted = _wanted(stack.wanted.body, given, None)
        stack.stack_id = f"arn:aws:cloudformation:{stack.region}:{ACCOUNT}:stack/{stack.name}/{secrets.token_hex(16)}"
        with self._lock:
            self._stacks.append(stack)
        stack.turn("CREATE_IN_PROGRESS", "User Initiated")
        self._begin(lambda work: work.create(), stack)

    def changed(self, stack: Stack, body: str | None, given: Given) -> Wanted:
        """Return an update's result; without `body` the template stays.  Raises TemplateError if nothing changes."""
        wanted = _wanted(stack.wanted.body if body is None else body, given, stack.wanted.parameters)
        _check_kinds(stack.template["Resources"], decided(parsed(wanted.body), wanted.parameters)["Resources"])
        if _effective(wanted) == _effective(stack.wanted):
            raise TemplateError("No updates are to be performed.")
        return wanted

    def update(self, stack: Stack, wanted: Wanted) -> None:
        stack.turn("UPDATE_IN_PROGRESS", "User Initiated")
        self._begin(lambda work: work.update(wanted), stack)

    def delete(self, stack: Stack) -> None:
        stack.turn("DELETE_IN_PROGRESS", "User Initiated")
        with self._lock:
            under_way = [each for each in self._operations if each.stack is stack]
        self._begin(lambda work: work.delete(), stack, under_way)

    def roll_back(self, stack: Stack) -> None:
        stack.turn("UPDATE_ROLLBACK_IN_PROGRESS", "User Initiated")
        self._begin(lambda work: work.back_to_the_previous(), stack)

    def detect_drift(self, stack: Stack) -> None:
        stack.drift = {"DetectionStatus": "DETECTION_IN_PROGRESS"}
        self._begin(lambda _: stack_drift.detect_drift(stack), stack)

    def _begin(self, do: Callable[[Work], None], stack: Stack, superseded: Iterable[Operation] = ()) -> None:
        operation = Operation(do, stack, lambda: self._step_s, superseded)
        with self._lock:
            operation.start()
            self._operations = [each for each in self._operations if each.is_alive()] + [operation]

    def clear(self) -> None:
        """Stop all work and remove all stacks."""
        with self._lock:
            operations, self._operations = self._operations, []
        for each in operations:
            each.cancel()
        deadline = time.monotonic() + 30
        for each in operations:
            each.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            self._stacks.clear()
        self._step_s = 0.0


class Operation(threading.Thread):
    """The background work on one stack; a deletion first waits until the operations of `superseded` have stopped.

    So nothing is created after it.  LIKELY: a stack can be deleted in CREATE_IN_PROGRESS, too (requested in
    github.com/cloudtools/stacker/issues/422); AWS does not document the states in which DeleteStack is refused.
    """

    def __init__(
        self, do: Callable[[Work], None], stack: Stack, step_s: Callable[[], float], superseded: Iterable[Operation]
    ) -> None:
        super().__init__(daemon=True)
        self.stack = stack
        self._do, self._step_s, self._superseded = do, step_s, superseded
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Stop before the next resource; the current one is finished."""
        self._cancelled.set()

    def run(self) -> None:
        for each in self._superseded:
            each.cancel()
            each.join()
        with suppress(Cancelled):
            self._do(Work(self.stack, self._pause))

    def _pause(self) -> None:
        if self._cancelled.wait(self._step_s()):
            raise Cancelled


def _wanted(body: str, given: Given, before: Mapping[str, str] | None) -> Wanted:
    template = parsed(body)
    in_order(template["Resources"])  # finds circular references immediately
    return Wanted(body, values_of(template, given, before))


def _effective(wanted: Wanted) -> Any:
    return effective(decided(parsed(wanted.body), wanted.parameters), wanted.parameters)


def _check_kinds(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    changed = [each for each in after if each in before and after[each]["Type"] != before[each]["Type"]]
    if changed:
        raise TemplateError(
            "Update of resource type is not permitted. The new template modifies resource type of the "
            f"following resources: [{', '.join(changed)}]"
        )
