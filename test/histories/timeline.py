"""Provide virtual time, which passes only while an actor waits; events that are due happen in order.

There is one thread.  An actor that waits lets the others act to their end before it continues, so a history is
deterministic and can be run again.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

START_S = 1_800_000_000.0


class Timeline:
    """Seconds since the epoch.  Replaces the module `time` in lease.py."""

    def __init__(self) -> None:
        self.now_s = START_S
        self._due: list[tuple[float, int, Callable[[], None], bool]] = []
        self._order = count()

    def time(self) -> float:
        return self.now_s

    def at(self, when_s: float, act: Callable[[], None], *, is_routine: bool = False) -> None:
        """Schedule an event; `is_routine` marks a repeating one, which does not keep the history running."""
        heapq.heappush(self._due, (when_s, next(self._order), act, is_routine))

    def after(self, delay_s: float, act: Callable[[], None], *, is_routine: bool = False) -> None:
        self.at(self.now_s + delay_s, act, is_routine=is_routine)

    @property
    def has_only_routine(self) -> bool:
        return all(is_routine for *_, is_routine in self._due)

    def sleep(self, seconds: float) -> None:
        self.run_to(self.now_s + seconds)

    def run_to(self, until_s: float, is_over: Callable[[], bool] = lambda: False) -> None:
        """Run until `until_s`, later if an event took longer, or earlier once `is_over` between two events."""
        while self._due and self._due[0][0] <= until_s:
            if is_over():
                return
            when_s, _, act, _ = heapq.heappop(self._due)
            self.now_s = max(self.now_s, when_s)
            act()
        self.now_s = max(self.now_s, until_s)
