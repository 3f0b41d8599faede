"""The records of a journal, and the state that they fold into.

The state of a workflow is `fold(history)` and is stored nowhere else.  So a restarted daemon knows, by construction,
what the one before it knew.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]

SUCCESS: Final = "Success"  # command_strings.h, as are the others that a step may give
FAILURE: Final = "Failure"


class Kind(StrEnum):
    """The kind of a record.  In braces: its body."""

    ACCEPTED = "accepted"  # the order is accepted {owner, order, asked: a digest of what was asked for}
    INTENT = "intent"  # a step is about to act {everything needed to find and undo it}; for a further attempt {}
    UNKNOWN = "unknown"  # an attempt, forward or backward, ended without a clear answer {error, untouched}
    DONE = "done"  # a step has acted {its result}
    FAILED = "failed"  # a step cannot act, so all steps are undone {result, error, untouched}
    UNDOING = "undoing"  # a step is about to be undone {}
    UNDONE = "undone"  # nothing is left of a step {}
    STUCK = "stuck"  # a step could not be undone yet, or done in a patient workflow {error, retry_at_s}
    CHANGED = "changed"  # parts of the order, such as its keys, are replaced {order}; what is stuck is retried at once
    STOPPED = "stopped"  # all steps are undone {result, error}; what is stuck is retried at once
    FINISHED = "finished"  # the answer {result, error}
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


@dataclass(frozen=True)
class StepState:
    """The state of one step."""

    name: str
    intent: Json | None = None
    intent_at_s: float = 0.0
    asked_at_s: float = 0.0  # the newest attempt forward
    attempts: int = 0
    unknown: int = 0  # attempts that ended without a clear answer
    untouched: int = 0  # attempts that certainly had no effect
    result: Json | None = None
    undone: bool = False
    undo_attempts: int = 0
    undo_began_at_s: float = 0.0
    undo_at_s: float = 0.0  # the newest attempt
    undo_deaths: int = 0  # the newest attempts to undo without a recorded end: the process died in them
    stuck: int = 0
    stuck_error: str = ""
    stuck_seq: int = 0
    retry_at_s: float = 0.0

    @property
    def deaths(self) -> int:
        """The number of forward attempts without a recorded end: the process died in them."""
        return self.attempts - self.unknown if self.result is None else 0

    @property
    def needs_undo(self) -> bool:
        """True while something of this step may exist in the cloud."""
        return self.attempts > self.untouched and not self.undone

    @property
    def unsettled_at_s(self) -> float:
        """The time of the last forward attempt without a clear answer, or 0."""
        answered = self.untouched + (self.result is not None)
        return self.asked_at_s if self.attempts > answered else 0.0


@dataclass(frozen=True)
class State:
    """The state of one workflow."""

    command_id: str
    owner: str = ""
    order: Json | None = None
    asked: str = ""
    steps: Mapping[str, StepState] = field(default_factory=dict)  # in the order of their first records
    failure: tuple[str, str] | None = None  # result, error
    finished: tuple[str, str] | None = None
    damage: str = ""  # why this history is unusable

    @property
    def results(self) -> dict[str, Json]:
        """The results of the steps that are done."""
        return {name: step.result for name, step in self.steps.items() if step.result is not None}

    @property
    def workflow(self) -> str:
        """The name of the workflow that carries out the order; "" is the default one."""
        return str((self.order or {}).get("workflow", ""))

    @property
    def is_stuck(self) -> bool:
        """True if something could not be done or undone yet, or if the history is unusable."""
        return not self.finished and bool(self.damage or self.stuck_steps)

    @property
    def is_undone(self) -> bool:
        """True if the workflow failed and nothing is left of it."""
        return self._has_failed and not self._may_be_left

    @property
    def is_given_up(self) -> bool:
        """True if the workflow failed and something may be left of it."""
        return self._has_failed and self._may_be_left

    @property
    def _has_failed(self) -> bool:
        return self.finished is not None and self.finished[0] != SUCCESS

    @property
    def _may_be_left(self) -> bool:
        return bool(self.damage) or any(step.needs_undo for step in self.steps.values())

    @property
    def stuck_steps(self) -> tuple[StepState, ...]:
        """The steps that are retried: undone after a failure, done otherwise."""
        undoing = self.failure is not None
        return tuple(
            step for step in self.steps.values() if step.stuck and (step.needs_undo if undoing else step.result is None)
        )

    def step(self, name: str) -> StepState:
        """Return the state of the step `name`, even if it has not begun."""
        return self.steps.get(name, StepState(name))


def fold(command_id: str, history: Iterable[Record]) -> State:
    """Compute the state from `history`, oldest first.  Never raises: damage is part of the state."""
    state = State(command_id)
    for record in history:
        try:
            state = _WORKFLOW[record.kind](state, record) if record.kind in _WORKFLOW else _step(state, record)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            state = replace(state, damage=f"record {record.seq} ({record.kind}) has no usable {error}")
    if state.order is None and not state.damage:
        return replace(state, damage="it has no record of the order")
    return state


def _accepted(state: State, record: Record) -> State:
    owner, order = record.body["owner"], record.body["order"]
    if not isinstance(owner, str) or not isinstance(order, dict):
        raise TypeError("owner or order")
    return replace(state, owner=owner, order=order, asked=str(record.body.get("asked", "")))


def _changed(state: State, record: Record) -> State:
    changes = record.body["order"]
    if not isinstance(changes, dict):
        raise TypeError("order")
    return replace(state, order={**(state.order or {}), **changes}, steps=_tried_at_once(state))


def _stopped(state: State, record: Record) -> State:
    failure = state.failure or (str(record.body["result"]), str(record.body["error"]))
    return state if state.finished else replace(state, failure=failure, steps=_tried_at_once(state))


def _tried_at_once(state: State) -> dict[str, StepState]:
    return {
        name: replace(step, stuck=0, stuck_seq=0, retry_at_s=0.0, undo_began_at_s=0.0, undo_deaths=0)
        for name, step in state.steps.items()
    }


def _finished(state: State, record: Record) -> State:
    return replace(state, finished=(str(record.body["result"]), str(record.body["error"])))


def _damaged(state: State, record: Record) -> State:
    return replace(state, damage=str(record.body["error"]))


_WORKFLOW = {
    Kind.ACCEPTED: _accepted,
    Kind.CHANGED: _changed,
    Kind.STOPPED: _stopped,
    Kind.FINISHED: _finished,
    Kind.DAMAGED: _damaged,
}


def _step(state: State, record: Record) -> State:
    steps = {**state.steps, record.step: _STEP[record.kind](state.step(record.step), record)}
    failure = state.failure
    if record.kind is Kind.FAILED:
        failure = str(record.body["result"]), str(record.body["error"])
    return replace(state, steps=steps, failure=failure)


def _intent(step: StepState, record: Record) -> StepState:
    if step.intent is None:
        step = replace(step, intent=record.body, intent_at_s=record.at_s)
    return replace(step, attempts=step.attempts + 1, asked_at_s=record.at_s)


def _unknown(step: StepState, record: Record) -> StepState:
    if step.undo_deaths:
        return replace(step, undo_deaths=0)
    return replace(step, unknown=step.unknown + 1, untouched=step.untouched + _is_untouched(record))


def _done(step: StepState, record: Record) -> StepState:
    return replace(step, result=record.body)


def _failed(step: StepState, record: Record) -> StepState:
    return replace(step, untouched=step.untouched + _is_untouched(record))


def _is_untouched(record: Record) -> bool:
    return record.body.get("untouched") is True


def _undoing(step: StepState, record: Record) -> StepState:
    return replace(
        step,
        undo_attempts=step.undo_attempts + 1,
        undo_began_at_s=step.undo_began_at_s or record.at_s,
        undo_at_s=record.at_s,
        undo_deaths=step.undo_deaths + 1,
    )


def _undone(step: StepState, _: Record) -> StepState:
    return replace(step, undone=True, undo_deaths=0)


def _stuck(step: StepState, record: Record) -> StepState:
    return replace(
        step,
        undo_deaths=0,
        stuck=step.stuck + 1,
        stuck_error=str(record.body["error"]),
        stuck_seq=record.seq,
        retry_at_s=float(record.body["retry_at_s"]),
    )


_STEP = {
    Kind.INTENT: _intent,
    Kind.UNKNOWN: _unknown,
    Kind.DONE: _done,
    Kind.FAILED: _failed,
    Kind.UNDOING: _undoing,
    Kind.UNDONE: _undone,
    Kind.STUCK: _stuck,
}
