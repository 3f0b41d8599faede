"""How long ago something was asked, also when somebody sets the clock in between.

An undo believes AWS's `not found` only when a lost call can no longer take effect.  By the wall clock alone a leap
forward would end that wait at once, and a leap back would make it last for as long as the clock went back.
"""

import threading
from collections.abc import Callable
from typing import TypeAlias

Key: TypeAlias = tuple[str, str]  # command ID, step


class AttemptClock:
    """Moments by `steady_s`, told as moments of `now_s`.  Thread-safe."""

    def __init__(self, now_s: Callable[[], float], steady_s: Callable[[], float]) -> None:
        self._now_s, self._steady_s = now_s, steady_s
        self._lock = threading.Lock()
        self._began_s: dict[Key, float] = {}

    def begin(self, command_id: str, step: str) -> None:
        """It is asked now."""
        with self._lock:
            self._began_s[command_id, step] = self._steady_s()

    def moment_s(self, command_id: str, step: str, recorded_s: float) -> float:
        """When it was asked, as if the clock had always been as it is now; 0 when `recorded_s` is 0.

        What an earlier process asked is known by its record only: if that lies ahead, it counts from now on.
        """
        if not recorded_s:
            return 0.0
        with self._lock:
            age_s = max(self._now_s() - recorded_s, 0.0)
            began_s = self._began_s.setdefault((command_id, step), self._steady_s() - age_s)
            return self._now_s() - (self._steady_s() - began_s)

    def forget(self, command_id: str) -> None:
        """The workflow is finished."""
        with self._lock:
            self._began_s = {key: moment for key, moment in self._began_s.items() if key[0] != command_id}
