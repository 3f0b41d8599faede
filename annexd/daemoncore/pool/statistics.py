"""Counts of a daemon since its start, and recently, as HTCondor's own daemons publish them.

For each counter NAME the ad also has RecentNAME, its growth within the last RecentStatsLifetime seconds
(generic_stats.cpp).
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

WINDOW_S: Final = 1200.0  # the default of STATISTICS_WINDOW_SECONDS
QUANTUM_S: Final = 60.0  # between two samples

Counters = Mapping[str, int]


class RecentGrowth:
    """Samples of the counters, so few that a run of years needs little memory."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._samples: deque[tuple[float, Counters]] = deque()

    def attributes(self, counters: Counters) -> dict[str, int]:
        """Return how much each counter has grown, and within how many seconds; the first call starts the count."""
        now_s = self._clock_s()
        if not self._samples or now_s - self._samples[-1][0] >= QUANTUM_S:
            self._samples.append((now_s, dict(counters)))
        while len(self._samples) > 1 and now_s - self._samples[1][0] >= WINDOW_S:
            self._samples.popleft()
        since_s, before = self._samples[0]
        grown = {f"Recent{name}": number - before.get(name, 0) for name, number in counters.items()}
        return {**grown, "RecentStatsLifetime": int(now_s - since_s)}
