"""The engine's retry policy: delays, deadlines and limits."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    """Delays and limits; all `_s` in seconds."""

    base_s: float = 0.25  # upper limit of the first pause
    cap_s: float = 15.0
    forward_deadline_s: float = 60.0  # from a step's first intent; then the workflow is undone
    longest_wait_s: float = 300.0  # for a resource that AWS does not know yet, if its Wait is not shorter
    patience_s: float = 150.0  # the same for a patient workflow; then it is stuck, and the client gets a reply
    undo_patience_s: float = 30.0  # of one run; then the workflow is stuck, and the client gets a reply
    stuck_base_s: float = 15.0
    stuck_cap_s: float = 1800.0
    max_deaths: int = 4  # attempts of one step in which the process died
    max_attempts: int = 40  # limits retries even if the clock is set back

    def pause_s(self, attempt: int, random: Callable[[], float]) -> float:
        """Return the pause: exponential back-off with full jitter, so that many workflows do not retry at once."""
        return random() * min(self.cap_s, self.base_s * 2.0 ** min(attempt, 32))

    def stuck_pause_s(self, times: int, random: Callable[[], float]) -> float:
        """Return the pause of a stuck step, which is retried indefinitely: at least half of the back-off."""
        return (0.5 + random() / 2) * min(self.stuck_cap_s, self.stuck_base_s * 2.0 ** min(times, 32))
