"""Limit the duration of a step, however slowly an endpoint responds to each call."""

from typing import Final, Generic, TypeVar

from annexd.aws import time_limit
from annexd.workflow import Results, Step

OrderT = TypeVar("OrderT")
IntentT = TypeVar("IntentT")
ResultT = TypeVar("ResultT")

STEP_S: Final = 120.0  # one try: a hundred pages of AWS's take less


class Limited(Generic[OrderT, IntentT, ResultT]):
    """Wraps a step so that all its calls to AWS together end within STEP_S."""

    def __init__(self, step: Step[OrderT, IntentT, ResultT], seconds: float = STEP_S) -> None:
        self.name, self.shows_late = step.name, step.shows_late
        self.intent_type, self.result_type = step.intent_type, step.result_type
        self._step, self._seconds = step, seconds

    def plan(self, order: OrderT, results: Results) -> IntentT:
        """Return the wrapped step's intent."""
        return self._step.plan(order, results)

    def forward(self, order: OrderT, intent: IntentT) -> ResultT:
        """Run the wrapped step's forward within the time, or raise Retry."""
        with time_limit(self._seconds):
            return self._step.forward(order, intent)

    def backward(self, order: OrderT, intent: IntentT, asked_at_s: float) -> None:
        """Run the wrapped step's backward within the time, or raise Retry."""
        with time_limit(self._seconds):
            self._step.backward(order, intent, asked_at_s)
