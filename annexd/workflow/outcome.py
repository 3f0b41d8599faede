"""The outcome of an order, available at any later time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from annexd.workflow.record import FAILURE, Ended, Results, State

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """The outcome of an order; it can be computed again at any time, also after a restart.

    `retry_at_s` is None once the workflow is finished.  Otherwise something could not be undone yet (or done, in a
    patient workflow), and `Engine.run` should be called again at that time (seconds since the epoch).
    """

    command_id: str
    owner: str
    order: object | None  # None if the journal's order is unreadable
    result: str
    error: str
    results: Results
    retry_at_s: float | None = None

    def order_as(self, kind: type[T]) -> T | None:
        """Return the order if it is of this type."""
        return self.order if isinstance(self.order, kind) else None


@dataclass(frozen=True)
class Counts:
    """Counts for the daemon's ad; `unfinished` includes `stuck`."""

    requests: int
    successes: int
    failures: int
    unfinished: int
    stuck: int
    stuck_reason: str = ""  # of the oldest stuck one
    ended: Mapping[Ended, int] = field(default_factory=dict)
    unfinished_of: Mapping[str, int] = field(default_factory=dict)  # by the name of the workflow
    undoing: int = 0  # unfinished ones that failed


def outcome_of(state: State, retry_at_s: float | None) -> Outcome:
    """Return the outcome of a state; `retry_at_s` is set if it is stuck."""
    result, error = state.finished or state.failure or (FAILURE, "")
    if not state.finished:
        error = "; ".join(filter(None, (error, stuck_reason_of(state))))
    return Outcome(state.command_id, state.owner, state.order, result, error, state.results, retry_at_s)


def stuck_reason_of(state: State) -> str:
    """Return why a workflow is stuck, or ""."""
    if state.damage:
        return f"the journal's records of this request are unusable: {state.damage}"
    what = "undone" if state.failure else "done"
    return "; ".join(
        f"{step.name} could not be {what} yet, will retry: {step.stuck_error}" for step in state.stuck_steps
    )
