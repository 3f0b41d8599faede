"""A step: one effect on the world that can be asked for again and undone.

The engine keeps the promise, the step only acts.  So `forward` and `backward` must stand being called any
number of times with one intent, by a process that remembers nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from annexd.workflow.record import Json

LONGEST_ERROR: Final = 4000  # characters: it may quote an answer, and stands in the journal for each try


class StepError(Exception):
    """Why a step did not do what it was asked; the text goes to the sender and holds no secret."""

    def __init__(self, error: str) -> None:
        super().__init__(error if len(error) <= LONGEST_ERROR else f"{error[:LONGEST_ERROR]}...")


@dataclass(frozen=True)
class Wait:
    """What AWS will know in a while, such as a role that was just made; what to do if it still does not then."""

    what: str
    longest_s: float
    next_step: str


class Retry(StepError):
    """Unknown or not yet: time-out, lost connection, throttling, 5xx, an instance still shutting down.

    The engine asks again with the same intent.  `untouched` says that this very attempt surely had no
    effect: it was throttled, say, or never reached AWS.  With a `wait` the engine is as patient as that says.
    """

    def __init__(self, error: str, *, untouched: bool = False, wait: Wait | None = None) -> None:
        super().__init__(error)
        self.untouched = untouched
        self.wait = wait


class Refused(StepError):
    """A final no: denied, invalid, over a quota, not there.  Forward: all is undone.  Backward: stuck.

    `untouched` as in Retry; `result` is the word for the reply ad.  `local`: it is this host's fault, such as a key
    file that cannot be read now.  A workflow that gives nothing up tries that again.
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
        """Unique in a workflow, and kept for ever: it stands in journals."""

    @property
    def shows_late(self) -> bool:
        """Tell whether what `forward` made may be invisible for a while, also when its answer was clear."""

    def plan(self, order: Json, results: Mapping[str, Json]) -> Json:
        """The intent (JSON), from the order and the results of the steps before it.  Touches nothing."""

    def forward(self, order: Json, intent: Json) -> Json:
        """Act, and return the result (JSON).  Raises Retry or Refused."""

    def backward(self, order: Json, intent: Json, asked_at_s: float) -> None:
        """Undo, and return only when nothing is left of it, nor can come.  Raises Retry or Refused.

        `asked_at_s`: when `forward` was last called without a clear answer, so that its effect may still be on its way,
        or, of a step that `shows_late`, with any answer but a no; 0 when there was no such call.
        """


@dataclass(frozen=True)
class Workflow:
    """Steps in their order.  `patient`: what cannot be done now is tried until it can be, and not undone for that.

    `deadlines`: how many times Pace.forward_deadline_s each step may take, where it is not patient.
    """

    steps: tuple[Step, ...]
    patient: bool = False
    deadlines: float = 1.0
