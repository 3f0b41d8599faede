"""How often, how long and how many times: the engine's patience, in one value."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    """Delays and limits; all `_s` in seconds."""

    base_s: float = 0.25  # the first pause before asking again is at most this
    cap_s: float = 15.0
    forward_deadline_s: float = 60.0  # from a step's first intent: then what it did is undone
    longest_wait_s: float = 300.0  # for what AWS does not know yet, if its Wait is not shorter
    patience_s: float = 150.0  # the same where nothing is ever given up: then the answer may be given that it goes on
    undo_patience_s: float = 30.0  # of one run; then the workflow is stuck, and its answer may be given
    stuck_base_s: float = 15.0
    stuck_cap_s: float = 1800.0
    max_deaths: int = 4  # attempts of one step in which the process died
    max_attempts: int = 40  # holds also when somebody turns back the clock

    def pause_s(self, attempt: int, random: Callable[[], float]) -> float:
        """Exponential back-off with full jitter, so that many waiting workflows do not come back at once."""
        return random() * min(self.cap_s, self.base_s * 2.0 ** min(attempt, 32))

    def stuck_pause_s(self, times: int, random: Callable[[], float]) -> float:
        """The same for what cannot be undone, but never less than half: it goes on for ever."""
        return (0.5 + random() / 2) * min(self.stuck_cap_s, self.stuck_base_s * 2.0 ** min(times, 32))
