"""Virtual time: it passes only when somebody waits, and what is due meanwhile happens in its order.

One thread: whoever waits lets the others act, to their end, before it goes on.  So a history has one
course and can be run again.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

START_S = 1_800_000_000.0


class Timeline:
    """Seconds since the epoch.  Stands in for the module `time` where lease.py and botocore use it."""

    def __init__(self) -> None:
        self.now_s = START_S
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def time(self) -> float:
        return self.now_s

    def at(self, when_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (when_s, next(self._order), act))

    def after(self, delay_s: float, act: Callable[[], None]) -> None:
        self.at(self.now_s + delay_s, act)

    def sleep(self, seconds: float) -> None:
        self.run_to(self.now_s + seconds)

    def run_to(self, until_s: float) -> None:
        """Also later, when what was due took longer."""
        while self._due and self._due[0][0] <= until_s:
            when_s, _, act = heapq.heappop(self._due)
            self.now_s = max(self.now_s, when_s)
            act()
        self.now_s = max(self.now_s, until_s)
