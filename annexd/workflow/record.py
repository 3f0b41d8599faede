"""What a journal holds, and how a state is read out of it.

The state of a workflow is `fold(history)` and is kept nowhere else: so what a restarted daemon knows is, by
construction, what the one before it knew.  A run folds on from where it was: that is the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]

SUCCESS: Final = "Success"  # command_strings.h, as are the others that a step may give
FAILURE: Final = "Failure"


class Kind(StrEnum):
    """What a record says.  In brackets: its body."""

    ACCEPTED = "accepted"  # the order is ours now {owner, order, asked: a digest of what was asked for}
    INTENT = "intent"  # a step is about to act {everything needed to find and undo it}; again: an attempt more {}
    # An attempt, forward or back, ended without a clear answer {error, untouched, waits_for: what is not there yet}.
    UNKNOWN = "unknown"
    DONE = "done"  # a step has acted {its result}
    FAILED = "failed"  # a step cannot act, from here on all is undone {result, error, untouched}
    UNDOING = "undoing"  # a step is about to be undone {}
    UNDONE = "undone"  # nothing is left of a step {}
    STUCK = "stuck"  # a step could not be undone yet, or done where nothing is given up {error, retry_at_s}
    CHANGED = "changed"  # of the order this is other now, such as its keys {order}; what is stuck is tried at once
    STOPPED = "stopped"  # no step goes forward any more, all is undone {result, error}; the same
    FINISHED = "finished"  # the answer {result, error}
    DAMAGED = "damaged"  # never written: what the reader makes of a record that it cannot read {error}


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
    """What the journal says of one step."""

    name: str
    intent: Json | None = None
    intent_at_s: float = 0.0
    asked_at_s: float = 0.0  # the newest attempt forward
    attempts: int = 0
    unknown: int = 0  # attempts that ended without a clear answer
    untouched: int = 0  # attempts that surely had no effect
    result: Json | None = None
    undone: bool = False
    undo_attempts: int = 0
    undo_began_at_s: float = 0.0
    undo_at_s: float = 0.0  # the newest attempt
    undo_deaths: int = 0  # the newest attempts to undo that have no end, as if the process had died in them
    stuck: int = 0
    stuck_error: str = ""
    stuck_seq: int = 0
    retry_at_s: float = 0.0
    waits_for: str = ""  # what the cloud did not know yet at the newest such answer
    waits_since_s: float = 0.0
    waited_at_s: float = 0.0  # that answer

    @property
    def is_waiting(self) -> bool:
        """True while it asks again for what the cloud does not know yet."""
        return bool(self.waits_for) and self.result is None

    @property
    def patience_from_s(self) -> float:
        """From when on its time is counted: a wait is not part of it."""
        return max(self.intent_at_s, self.waited_at_s)

    @property
    def deaths(self) -> int:
        """Attempts forward that have no end: the process died in them."""
        return self.attempts - self.unknown if self.result is None else 0

    @property
    def needs_undo(self) -> bool:
        """True while there may be something of this step in the cloud."""
        return self.attempts > self.untouched and not self.undone

    @property
    def effective_at_s(self) -> float:
        """When it was last asked, if any attempt may have had an effect; else 0."""
        return self.asked_at_s if self.attempts > self.untouched else 0.0

    @property
    def unsettled_at_s(self) -> float:
        """When it was last asked without a clear answer; 0 when there was always one."""
        answered = self.untouched + (self.result is not None)
        return self.asked_at_s if self.attempts > answered else 0.0


@dataclass(frozen=True)
class State:
    """One workflow, as its records tell it."""

    command_id: str
    owner: str = ""
    order: Json | None = None
    asked: str = ""
    steps: Mapping[str, StepState] = field(default_factory=dict)  # in the order of their first records
    failure: tuple[str, str] | None = None  # result, error
    finished: tuple[str, str] | None = None
    damage: str = ""  # why this history cannot be followed
    seq: int = 0  # of the newest record

    @property
    def results(self) -> dict[str, Json]:
        """The results of the steps that are done."""
        return {name: step.result for name, step in self.steps.items() if step.result is not None}

    @property
    def workflow(self) -> str:
        """Which one carries the order out; the first, when it does not say."""
        return str((self.order or {}).get("workflow", ""))

    @property
    def waiting(self) -> StepState | None:
        """The step that waits for what the cloud does not know yet, if one does."""
        if self.finished or self.failure:
            return None
        return next((step for step in self.steps.values() if step.is_waiting), None)

    @property
    def is_stuck(self) -> bool:
        """True when something could not be done or undone yet, or these records cannot be followed."""
        return not self.finished and bool(self.damage or self.stuck_steps)

    @property
    def is_undone(self) -> bool:
        """True when it failed, and nothing is left of it."""
        return self._has_failed and not self._may_be_left

    @property
    def is_given_up(self) -> bool:
        """True when it ended although something may be left of it."""
        return self._has_failed and self._may_be_left

    @property
    def _has_failed(self) -> bool:
        return self.finished is not None and self.finished[0] != SUCCESS

    @property
    def _may_be_left(self) -> bool:
        return bool(self.damage) or any(step.needs_undo for step in self.steps.values())

    @property
    def stuck_steps(self) -> tuple[StepState, ...]:
        """Those that are tried again: to be undone, or, where nothing has failed, to be done."""
        undoing = self.failure is not None
        return tuple(
            step for step in self.steps.values() if step.stuck and (step.needs_undo if undoing else step.result is None)
        )

    def step(self, name: str) -> StepState:
        """What is known of the step `name`, which may be nothing."""
        return self.steps.get(name, StepState(name))


def fold(command_id: str, history: Sequence[Record], known: State | None = None) -> State:
    """The state that `history`, oldest first, amounts to, or what it makes of the state `known` before it.

    Never raises: damage is part of the state.
    """
    state = known or State(command_id)
    if history:
        state = replace(state, seq=history[-1].seq)
    for record in history:
        try:
            state = _WORKFLOW[record.kind](state, record) if record.kind in _WORKFLOW else _step(state, record)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            state = replace(state, damage=f"record {record.seq} ({record.kind}) has no usable {error}")
    if state.order is None and not state.damage:
        return replace(state, damage="no record says what was ordered")
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
    known = replace(step, unknown=step.unknown + 1, untouched=step.untouched + _is_untouched(record))
    waits_for = str(record.body.get("waits_for", ""))
    if not waits_for:
        return known
    since_s = step.waits_since_s if waits_for == step.waits_for else record.at_s
    return replace(known, waits_for=waits_for, waits_since_s=since_s, waited_at_s=record.at_s)


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
