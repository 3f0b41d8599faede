"""Compute a workflow's state from its records in the journal.

A record is read by the types of its workflow; an unreadable record is damage of that workflow alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

from annexd.workflow.json_form import Unreadable
from annexd.workflow.record import Json, Kind, Record, State, StepState


class Types(Protocol):
    """Reads orders, intents and results from their JSON.  Each raises Unreadable."""

    def order(self, workflow: str, body: Json) -> object: ...

    def intent(self, workflow: str, step: str, body: Json) -> object: ...

    def result(self, workflow: str, step: str, body: Json) -> object: ...


class AsJson:
    """Leaves them as JSON."""

    def order(self, _workflow: str, body: Json) -> object:
        return body

    def intent(self, _workflow: str, _step: str, body: Json) -> object:
        return body

    def result(self, _workflow: str, _step: str, body: Json) -> object:
        return body


AS_JSON: Final = AsJson()


def fold(command_id: str, history: Sequence[Record], types: Types = AS_JSON, known: State | None = None) -> State:
    """Return the state after `history`, oldest first; it continues from the state `known`, if given.

    Never raises: damage is part of the state.
    """
    state = known or State(command_id)
    if history:
        state = replace(state, seq=history[-1].seq)
    for record in history:
        try:
            state = _with_record(state, record, types)
        except Unreadable as error:
            state = replace(state, damage=f"record {record.seq} ({record.kind}) cannot be read: {error}")
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            state = replace(state, damage=f"record {record.seq} ({record.kind}) has no usable {error}")
    if state.order is None and not state.damage:
        return replace(state, damage="no record says what was ordered")
    return state


def _with_record(state: State, record: Record, types: Types) -> State:
    match record.kind:
        case Kind.ACCEPTED:
            return _accepted(state, record, types)
        case Kind.CHANGED:
            order = types.order(state.workflow, record.body["order"])
            return replace(state, order=order, steps=_tried_at_once(state))
    return _WORKFLOW[record.kind](state, record) if record.kind in _WORKFLOW else _step(state, record, types)


def _accepted(state: State, record: Record, types: Types) -> State:
    owner, workflow, order = (record.body[name] for name in ("owner", "workflow", "order"))
    if not isinstance(owner, str) or not isinstance(workflow, str) or not isinstance(order, dict):
        raise TypeError("owner, workflow or order")
    asked = str(record.body.get("asked", ""))
    state = replace(state, owner=owner, workflow=workflow, asked=asked)
    return replace(state, order=types.order(workflow, order))


def _stopped(state: State, record: Record) -> State:
    failure = state.failure or (str(record.body["result"]), str(record.body["error"]))
    return state if state.finished else replace(state, failure=failure, steps=_tried_at_once(state))


def _tried_at_once(state: State) -> dict[str, StepState]:
    return {
        name: replace(step, stuck=0, stuck_seq=0, retry_at_s=0.0, undo_began_at_s=0.0, undo_deaths=0)
        for name, step in state.steps.items()
    }


def _finished(state: State, record: Record) -> State:
    ended = str(record.body["result"]), str(record.body["error"])
    return replace(state, finished=ended, finished_at_s=record.at_s)


def _usage(state: State, record: Record) -> State:
    return replace(state, usage=record.body)


def _reserved(state: State, _: Record) -> State:
    """Leave the state unchanged: these records are read by their kind."""
    return state


def _settled(state: State, record: Record) -> State:
    return replace(state, spent=state.spent + int(record.body["spent"]))


def _damaged(state: State, record: Record) -> State:
    return replace(state, damage=str(record.body["error"]))


_WORKFLOW = {
    Kind.STOPPED: _stopped,
    Kind.FINISHED: _finished,
    Kind.USAGE: _usage,
    Kind.RESERVED: _reserved,
    Kind.SETTLED: _settled,
    Kind.DAMAGED: _damaged,
}


def _step(state: State, record: Record, types: Types) -> State:
    known = state.step(record.step)
    match record.kind:
        case Kind.INTENT:
            known = _intent(known, record, state.workflow, types)
        case Kind.DONE:
            known = replace(known, result=types.result(state.workflow, record.step, record.body))
        case _:
            known = _STEP[record.kind](known, record)
    steps = {**state.steps, record.step: known}
    failure = state.failure
    if record.kind is Kind.FAILED:
        failure = str(record.body["result"]), str(record.body["error"])
    return replace(state, steps=steps, failure=failure)


def _intent(step: StepState, record: Record, workflow: str, types: Types) -> StepState:
    if step.intent is None:
        intent = types.intent(workflow, record.step, record.body)
        step = replace(step, intent=intent, intent_at_s=record.at_s)
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
    Kind.UNKNOWN: _unknown,
    Kind.FAILED: _failed,
    Kind.UNDOING: _undoing,
    Kind.UNDONE: _undone,
    Kind.STUCK: _stuck,
}
