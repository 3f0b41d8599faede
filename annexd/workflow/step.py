"""A step: one external effect that can be repeated and undone.

The engine guarantees completion; a step only acts.  So `forward` and `backward` must be idempotent: they may be called
any number of times with one intent, by a process that remembers nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from annexd.workflow.json_form import Unreadable, from_json
from annexd.workflow.record import Json, Results

OrderT = TypeVar("OrderT")
OrderT_contra = TypeVar("OrderT_contra", contravariant=True)
IntentT = TypeVar("IntentT")
ResultT_co = TypeVar("ResultT_co", covariant=True)

LONGEST_ERROR: Final = 4000  # characters: it may quote a response, and the journal stores it for each attempt


class StepError(Exception):
    """A step failed; the text goes to the sender and contains no secret."""

    def __init__(self, error: str) -> None:
        super().__init__(error if len(error) <= LONGEST_ERROR else f"{error[:LONGEST_ERROR]}...")


@dataclass(frozen=True)
class Wait:
    """A resource that AWS will know after a while, such as a new role, and the next step if it still does not."""

    what: str
    longest_s: float
    next_step: str


class Retry(StepError):
    """The result is unknown or not final: time-out, lost connection, throttling, 5xx, an instance still shutting down.

    The engine retries with the same intent.  `untouched`: this attempt certainly had no effect, because it was
    throttled, for example, or never reached AWS.  With a `wait` the engine retries for up to its `longest_s`.
    """

    def __init__(self, error: str, *, untouched: bool = False, wait: Wait | None = None) -> None:
        super().__init__(error)
        self.untouched = untouched
        self.wait = wait


class Refused(StepError):
    """A final refusal: denied, invalid, over a quota, not found.  Forward: all is undone.  Backward: stuck.

    `untouched` as in Retry; `result` is the result in the reply ad.  `local`: the cause is on this host, such as an
    unreadable key file; a patient workflow retries that.
    """

    def __init__(self, error: str, *, untouched: bool = False, result: str = "Failure", local: bool = False) -> None:
        super().__init__(error)
        self.untouched = untouched
        self.result = result
        self.local = local


class Step(Protocol[OrderT_contra, IntentT, ResultT_co]):
    """One effect.  `order` is the accepted order; an intent holds every name needed to find it again.

    Intents and results are frozen dataclasses, which the engine writes into the journal (see json_form).
    """

    @property
    def name(self) -> str:
        """Return the name, which is unique in a workflow, since journals contain it."""

    @property
    def shows_late(self) -> bool:
        """Return whether what `forward` created may be invisible for a while, even after a clear response."""

    @property
    def intent_type(self) -> type[IntentT]: ...

    @property
    def result_type(self) -> type[ResultT_co]: ...

    def plan(self, order: OrderT_contra, results: Results, /) -> IntentT:
        """Return the intent, from the order and the results of earlier steps.  Has no effect."""

    def forward(self, order: OrderT_contra, intent: IntentT, /) -> ResultT_co:
        """Act, and return the result.  Raises Retry or Refused."""

    def backward(self, order: OrderT_contra, intent: IntentT, asked_at_s: float, /) -> None:
        """Undo, and return only when nothing is left of it and nothing can still come.  Raises Retry or Refused.

        `asked_at_s` is the time of the last `forward` without a clear response, whose effect may still come; for a step
        that `shows_late`, of the last one with any response but a refusal; or 0.
        """


@dataclass(frozen=True)
class Nothing:
    """The result of a step that returns no data."""


@dataclass(frozen=True)
class Workflow(Generic[OrderT]):
    """Steps in their order, for orders of one type.

    `patient`: a step that cannot be done now is retried until it can be, and nothing is undone because of it.

    `deadlines`: how many times RetryPolicy.forward_deadline_s each step may take, if the workflow is not patient.
    """

    order_type: type[OrderT]
    steps: tuple[Step[OrderT, Any, Any], ...]
    patient: bool = False
    deadlines: float = 1.0

    def step(self, name: str) -> Step[OrderT, Any, Any]:
        """Return the step of this name.  Raises Unreadable if a journal names one that does not exist."""
        for step in self.steps:
            if step.name == name:
                return step
        raise Unreadable(f"this version of annexd has no step {name}")


class Workflows:
    """All workflows, by their names in the journal, and the types of the journal's content."""

    def __init__(self, workflows: Mapping[str, Workflow[Any]]) -> None:
        self._workflows = dict(workflows)

    def add(self, name: str, workflow: Workflow[Any]) -> None:
        self._workflows[name] = workflow

    def named(self, name: str) -> Workflow[Any]:
        """Return the workflow of this name.  Raises Unreadable if a journal names one that does not exist."""
        if name not in self._workflows:
            raise Unreadable(f"this version of annexd has no workflow {name or '(without a name)'}")
        return self._workflows[name]

    def name_for(self, order: object) -> str:
        """Return the name of the workflow that carries out orders of this type.  Raises LookupError."""
        for name, workflow in self._workflows.items():
            if type(order) is workflow.order_type:
                return name
        raise LookupError(f"no workflow carries out a {type(order).__name__}")

    def steps_with(self, result_type: type[object]) -> frozenset[str]:
        """Return the names of the steps with this type of result."""
        steps = (step for workflow in self._workflows.values() for step in workflow.steps)
        return frozenset(step.name for step in steps if step.result_type is result_type)

    # Readers for `fold`.

    def order(self, workflow: str, body: Json) -> object:
        return from_json(self.named(workflow).order_type, body)

    def intent(self, workflow: str, step: str, body: Json) -> object:
        return from_json(self.named(workflow).step(step).intent_type, body)

    def result(self, workflow: str, step: str, body: Json) -> object:
        return from_json(self.named(workflow).step(step).result_type, body)
