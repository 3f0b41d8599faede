"""Measure how long ago a call was made, even if the wall clock is set in between.

An undo trusts AWS's `not found` only once a lost call can no longer take effect.  By the wall clock alone, a jump
forward would end that wait at once, and a jump back would prolong it by as much.
"""

import threading
from collections.abc import Callable
from typing import TypeAlias

Key: TypeAlias = tuple[str, str]  # command ID, step


class AttemptClock:
    """Measures times by `steady_s` and reports them in terms of `now_s`.  Thread-safe."""

    def __init__(self, now_s: Callable[[], float], steady_s: Callable[[], float]) -> None:
        self._now_s, self._steady_s = now_s, steady_s
        self._lock = threading.Lock()
        self._began_s: dict[Key, float] = {}

    def begin(self, command_id: str, step: str) -> None:
        """Note that the step's call is being made now."""
        with self._lock:
            self._began_s[command_id, step] = self._steady_s()

    def moment_s(self, command_id: str, step: str, recorded_s: float) -> float:
        """Return when the call was made, in the present setting of the clock; 0 if `recorded_s` is 0.

        For a call of an earlier process only the record is known; a record in the future counts as now.
        """
        if not recorded_s:
            return 0.0
        with self._lock:
            age_s = max(self._now_s() - recorded_s, 0.0)
            began_s = self._began_s.setdefault((command_id, step), self._steady_s() - age_s)
            return self._now_s() - (self._steady_s() - began_s)

    def forget(self, command_id: str) -> None:
        """Drop the times of a finished workflow."""
        with self._lock:
            self._began_s = {key: moment for key, moment in self._began_s.items() if key[0] != command_id}
