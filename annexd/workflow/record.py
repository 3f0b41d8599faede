"""The records of a journal, and the state that is computed from them.

The state of a workflow is `fold(history)` and is stored nowhere else.  So a restarted daemon knows, by construction,
what the previous one knew.  A run folds only the new records, with the same result.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

Json: TypeAlias = dict[str, Any]
T = TypeVar("T")

SUCCESS: Final = "Success"  # command_strings.h, as are the other results of steps
FAILURE: Final = "Failure"


class Kind(StrEnum):
    """The kind of a record.  Its body is in braces."""

    ACCEPTED = "accepted"  # annexd has taken the order {owner, workflow, order, asked: a digest of the request}
    INTENT = "intent"  # a step is about to act {everything needed to find and undo it}; again: another attempt {}
    # An attempt, forward or back, ended without a clear response {error, untouched, waits_for: the missing resource}.
    UNKNOWN = "unknown"
    DONE = "done"  # a step has acted {its result}
    FAILED = "failed"  # a step cannot act, so all steps are undone {result, error, untouched}
    UNDOING = "undoing"  # a step is about to be undone {}
    UNDONE = "undone"  # nothing is left of a step {}
    STUCK = "stuck"  # a step could not be undone yet, or not done in a patient workflow {error, retry_at_s}
    CHANGED = "changed"  # the order is replaced, such as for other keys {order}; what is stuck is retried at once
    STOPPED = "stopped"  # no step goes forward any more, all are undone {result, error}; likewise
    FINISHED = "finished"  # the outcome {result, error, workflow, may_be_left: something of it, after a failure}
    # The observed usage in the cloud, after each change {as the annex writes it}; only the newest is kept.
    USAGE = "usage"
    # The reservation of a command {as the annex writes it}; written with `accepted`, and removed once it is settled.
    RESERVED = "reserved"
    SETTLED = "settled"  # the final cost {spent, amounts: the parts that count, by name}; may come several times
    DAMAGED = "damaged"  # never written: stands for a record that cannot be read {error}


@dataclass(frozen=True)
class Record:
    """One line of the journal; `at_s` in seconds since the epoch."""

    seq: int
    command_id: str
    step: str
    kind: Kind
    body: Json
    at_s: float


class Ended(NamedTuple):
    """How a workflow ended, for statistics."""

    workflow: str
    success: bool
    may_be_left: bool  # it failed and was given up before everything was undone

    @classmethod
    def of(cls, body: Json) -> "Ended":
        """Parse the body of a FINISHED record."""
        return cls(str(body.get("workflow", "")), body.get("result") == SUCCESS, body.get("may_be_left") is True)


@dataclass(frozen=True)
class Results:
    """The results of the steps that are done, found by type."""

    by_step: Mapping[str, object] = field(default_factory=dict)

    def get(self, kind: type[T]) -> T | None:
        """Return the result of this type; None when its step is not done."""
        return next((each for each in self.by_step.values() if isinstance(each, kind)), None)

    def of(self, kind: type[T]) -> T:
        """Return the same for a step that is done, as all steps before the present one are."""
        found = self.get(kind)
        if found is None:
            raise LookupError(f"no step came to a {kind.__name__} yet")
        return found


@dataclass(frozen=True)
class StepState:
    """The journal's state of one step; intent and result are of the step's types."""

    name: str
    intent: object | None = None
    intent_at_s: float = 0.0
    asked_at_s: float = 0.0  # the newest attempt forward
    attempts: int = 0
    unknown: int = 0  # attempts that ended without a clear response
    untouched: int = 0  # attempts that certainly had no effect
    result: object | None = None
    undone: bool = False
    undo_attempts: int = 0
    undo_began_at_s: float = 0.0
    undo_at_s: float = 0.0  # the newest attempt
    undo_deaths: int = 0  # the newest attempts to undo without a recorded end: the process died in them
    stuck: int = 0
    stuck_error: str = ""
    stuck_seq: int = 0
    retry_at_s: float = 0.0
    waits_for: str = ""  # the resource that the cloud did not know yet at the newest such response
    waits_since_s: float = 0.0
    waited_at_s: float = 0.0  # that response

    @property
    def is_waiting(self) -> bool:
        """Return whether it waits for a resource that the cloud does not know yet."""
        return bool(self.waits_for) and self.result is None

    @property
    def patience_from_s(self) -> float:
        """Return the time from which its deadline counts: a wait is not part of it."""
        return max(self.intent_at_s, self.waited_at_s)

    @property
    def deaths(self) -> int:
        """Count the forward attempts without a recorded end: the process died in them."""
        return self.attempts - self.unknown if self.result is None else 0

    @property
    def needs_undo(self) -> bool:
        """Return whether something of this step may exist in the cloud."""
        return self.attempts > self.untouched and not self.undone

    @property
    def effective_at_s(self) -> float:
        """Return the time of its last attempt, if any attempt may have had an effect; else 0."""
        return self.asked_at_s if self.attempts > self.untouched else 0.0

    @property
    def unsettled_at_s(self) -> float:
        """Return the time of the last forward attempt without a clear response, or 0."""
        answered = self.untouched + (self.result is not None)
        return self.asked_at_s if self.attempts > answered else 0.0


@dataclass(frozen=True)
class State:
    """One workflow, as its records show it; the order is of the workflow's type, or None if it is unreadable."""

    command_id: str
    owner: str = ""
    workflow: str = ""  # the workflow that carries out the order
    order: object | None = None
    asked: str = ""
    steps: Mapping[str, StepState] = field(default_factory=dict)  # in the order of their first records
    failure: tuple[str, str] | None = None  # result, error
    finished: tuple[str, str] | None = None
    finished_at_s: float = 0.0  # since the epoch
    damage: str = ""  # why this history is unusable
    seq: int = 0  # of the newest record
    usage: Json | None = None  # see Kind.USAGE
    spent: int = 0  # see Kind.SETTLED

    @property
    def results(self) -> Results:
        """Return the results of the steps that are done."""
        return Results({name: step.result for name, step in self.steps.items() if step.result is not None})

    def order_as(self, kind: type[T]) -> T | None:
        """Return the order if it is of this type."""
        return self.order if isinstance(self.order, kind) else None

    @property
    def waiting(self) -> StepState | None:
        """Return the step that waits for a resource that the cloud does not know yet, if any."""
        if self.finished or self.failure:
            return None
        return next((step for step in self.steps.values() if step.is_waiting), None)

    @property
    def is_stuck(self) -> bool:
        """Return whether something could not be done or undone yet, or if the history is unusable."""
        return not self.finished and bool(self.damage or self.stuck_steps)

    @property
    def is_undone(self) -> bool:
        """Return whether the workflow failed and nothing is left of it."""
        return self._has_failed and not self.may_be_left

    @property
    def is_given_up(self) -> bool:
        """Return whether the workflow failed and something may be left of it."""
        return self._has_failed and self.may_be_left

    @property
    def _has_failed(self) -> bool:
        return self.finished is not None and self.finished[0] != SUCCESS

    @property
    def may_be_left(self) -> bool:
        """Return whether something of it may exist in the cloud, or if that cannot be known."""
        return bool(self.damage) or any(step.needs_undo for step in self.steps.values())

    @property
    def stuck_steps(self) -> tuple[StepState, ...]:
        """Return the steps that are retried: undone after a failure, done otherwise."""
        undoing = self.failure is not None
        return tuple(
            step for step in self.steps.values() if step.stuck and (step.needs_undo if undoing else step.result is None)
        )

    def step(self, name: str) -> StepState:
        """Return the state of the step `name`, even if it has not begun."""
        return self.steps.get(name, StepState(name))
