"""Find superfluous records of a workflow that is retried many times.

A step that cannot be undone is retried indefinitely, and each attempt leaves a record or two.  Only the newest failed
attempts are kept, so that a workflow stuck for a year costs as many records as one stuck for a week.
"""

from collections.abc import Sequence
from typing import Final

from annexd.workflow.fold import fold
from annexd.workflow.record import Kind, Record, State, StepState

MAX_RECORDS: Final = 200  # records of one command before it is pruned
KEPT_ATTEMPTS: Final = 20  # newest attempts: enough for the back-off to have reached its longest pause
BEGINNINGS: Final = (Kind.UNDOING, Kind.INTENT)
ENDS: Final = (Kind.UNKNOWN, Kind.STUCK)


def superfluous(command_id: str, history: Sequence[Record]) -> list[int]:
    """Return the numbers of records that do not affect the folded state."""
    if len(history) < MAX_RECORDS:
        return []
    attempts = list(_failed_attempts(history))[:-KEPT_ATTEMPTS]
    seqs = {record.seq for each in attempts for record in each}
    kept = [record for record in history if record.seq not in seqs]
    return sorted(seqs) if _essence(fold(command_id, kept)) == _essence(fold(command_id, history)) else []


def _failed_attempts(history: Sequence[Record]) -> list[list[Record]]:
    """Return each failed attempt: the record of its beginning and those of its end.

    A step's first attempt, which holds its intent, and attempts of unknown effect, which must be undone, are kept.
    """
    found: list[list[Record]] = []
    current: list[Record] = []
    for record in history:
        if current and record.step == current[0].step and record.kind in ENDS:
            current.append(record)
            continue
        if _is_whole(current):
            found.append(current)
        current = [record] if record.kind in BEGINNINGS and not record.body else []
    return found


def _is_whole(records: Sequence[Record]) -> bool:
    return len(records) > 1 and (records[0].kind is Kind.UNDOING or records[1].body.get("untouched") is True)


def _essence(state: State) -> tuple[object, ...]:
    """Return the part of the state that the engine acts on, without the numbers of attempts."""
    steps = {name: _essence_of(step) for name, step in state.steps.items()}
    return state.owner, state.order, state.asked, state.failure, state.finished, state.damage, steps


def _essence_of(step: StepState) -> tuple[object, ...]:
    return (
        step.intent,
        step.intent_at_s,
        step.result,
        step.undone,
        step.deaths,
        step.needs_undo,
        step.unsettled_at_s,
        step.undo_deaths,
        step.undo_at_s,
        step.stuck > 0,
        step.stuck_error,
        step.stuck_seq,
        step.retry_at_s,
    )
