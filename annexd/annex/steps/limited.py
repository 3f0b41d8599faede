"""A step has an end, however slowly an endpoint answers each of its calls."""

from collections.abc import Mapping
from typing import Final

from annexd.aws import time_limit
from annexd.workflow import Json, Step

STEP_S: Final = 120.0  # one try: a hundred pages of AWS's take less


class Limited:
    """Another step, whose calls to AWS end within STEP_S together."""

    def __init__(self, step: Step, seconds: float = STEP_S) -> None:
        self.name, self.shows_late = step.name, step.shows_late
        self._step, self._seconds = step, seconds

    def plan(self, order: Json, results: Mapping[str, Json]) -> Json:
        """The other's."""
        return self._step.plan(order, results)

    def forward(self, order: Json, intent: Json) -> Json:
        """The other's, in time, or Retry."""
        with time_limit(self._seconds):
            return self._step.forward(order, intent)

    def backward(self, order: Json, intent: Json, asked_at_s: float) -> None:
        """The other's, in time, or Retry."""
        with time_limit(self._seconds):
            self._step.backward(order, intent, asked_at_s)
