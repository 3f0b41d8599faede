"""A step: one external effect that can be repeated and undone.

The engine guarantees completion; a step only acts.  So `forward` and `backward` must be idempotent: they may be called
any number of times with one intent, by a process that remembers nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from annexd.workflow.record import Json

LONGEST_ERROR: Final = 4000  # characters: it may quote an answer, and the journal stores it for each attempt


class StepError(Exception):
    """A step failed; the text goes to the sender and contains no secret."""

    def __init__(self, error: str) -> None:
        super().__init__(error if len(error) <= LONGEST_ERROR else f"{error[:LONGEST_ERROR]}...")


class Retry(StepError):
    """The result is unknown or not final: time-out, lost connection, throttling, 5xx, an instance still shutting down.

    The engine retries with the same intent.  `untouched`: this attempt certainly had no effect, because it was
    throttled, for example, or never reached AWS.
    """

    def __init__(self, error: str, *, untouched: bool = False) -> None:
        super().__init__(error)
        self.untouched = untouched


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


class Step(Protocol):
    """One effect.  `order` is the accepted order; an intent holds every name needed to find it again."""

    @property
    def name(self) -> str:
        """The name, unique in a workflow; it must never change, since journals contain it."""

    def plan(self, order: Json, results: Mapping[str, Json]) -> Json:
        """Return the intent (JSON), from the order and the results of earlier steps.  Has no effect."""

    def forward(self, order: Json, intent: Json) -> Json:
        """Act, and return the result (JSON).  Raises Retry or Refused."""

    def backward(self, order: Json, intent: Json, asked_at_s: float) -> None:
        """Undo; return only when nothing is left of the effect and nothing can still come.  Raises Retry or Refused.

        `asked_at_s` is the time of the last `forward` without a clear answer, whose effect may still come; or 0.
        """


@dataclass(frozen=True)
class Workflow:
    """Steps in order.  `patient`: a step that cannot be done now is retried until it succeeds, instead of undone.

    `deadlines`: how many times RetryPolicy.forward_deadline_s each step may take, unless it is patient.
    """

    steps: tuple[Step, ...]
    patient: bool = False
    deadlines: float = 1.0
