"""What became of an order, for whoever asks, now or years later."""

from dataclasses import dataclass
from typing import TypeVar

from annexd.workflow.record import FAILURE, Results, State

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What became of an order.  It can be had again at any later time, also after a restart.

    `retry_at_s` is None once all is finished.  Otherwise something could not be undone yet (or done, by a workflow
    that gives nothing up), and `Engine.run` wants to be called again at that time (seconds since the epoch).
    """

    command_id: str
    owner: str
    order: object | None  # None where the journal's cannot be read
    result: str
    error: str
    results: Results
    retry_at_s: float | None = None

    def order_as(self, kind: type[T]) -> T | None:
        """Return the order if it is one of these."""
        return self.order if isinstance(self.order, kind) else None


@dataclass(frozen=True)
class Counts:
    """For the daemon's ad.  `stuck` are among the `unfinished`."""

    requests: int
    successes: int
    failures: int
    unfinished: int
    stuck: int
    stuck_reason: str = ""  # of the one that has waited longest


def outcome_of(state: State, retry_at_s: float | None) -> Outcome:
    """The answer that `state` amounts to; `retry_at_s` when it is stuck until then."""
    result, error = state.finished or state.failure or (FAILURE, "")
    if not state.finished:
        error = "; ".join(filter(None, (error, stuck_words(state))))
    return Outcome(state.command_id, state.owner, state.order, result, error, state.results, retry_at_s)


def stuck_words(state: State) -> str:
    """Why it is stuck; empty when it is not."""
    if state.damage:
        return f"the journal of this request cannot be followed: {state.damage}"
    what = "undone" if state.failure else "done"
    return "; ".join(
        f"{step.name} could not be {what} yet and is tried again: {step.stuck_error}" for step in state.stuck_steps
    )
