"""The outcome of an order, available at any later time."""

from collections.abc import Mapping
from dataclasses import dataclass

from annexd.workflow.record import FAILURE, Json, State


@dataclass(frozen=True)
class Outcome:
    """The outcome of an order; it can be computed again at any time, also after a restart.

    `retry_at_s` is None once the workflow is finished.  Otherwise something could not be undone yet (or done, in a
    patient workflow), and `Engine.run` should be called again at that time (seconds since the epoch).
    """

    command_id: str
    owner: str
    order: Json
    result: str
    error: str
    results: Mapping[str, Json]  # by step
    intents: Mapping[str, Json]  # by step
    retry_at_s: float | None = None


@dataclass(frozen=True)
class Counts:
    """Counts for the daemon's ad; `unfinished` includes `stuck`."""

    requests: int
    successes: int
    failures: int
    unfinished: int
    stuck: int
    stuck_reason: str = ""  # of the oldest stuck one


def outcome_of(state: State, retry_at_s: float | None) -> Outcome:
    """Return the outcome of a state; `retry_at_s` is set if it is stuck."""
    result, error = state.finished or state.failure or (FAILURE, "")
    if not state.finished:
        error = "; ".join(filter(None, (error, stuck_reason_of(state))))
    return Outcome(
        state.command_id,
        state.owner,
        state.order or {},
        result,
        error,
        state.results,
        {name: step.intent for name, step in state.steps.items() if step.intent is not None},
        retry_at_s,
    )


def stuck_reason_of(state: State) -> str:
    """Return why a workflow is stuck, or ""."""
    if state.damage:
        return f"the journal's records of this request are unusable: {state.damage}"
    what = "undone" if state.failure else "done"
    return "; ".join(
        f"{step.name} could not be {what} yet, will retry: {step.stuck_error}" for step in state.stuck_steps
    )
