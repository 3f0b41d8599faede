"""The kills and the faults of AWS, all chosen at random from one seed."""

from __future__ import annotations

import random
import signal
import threading
from collections import Counter
from collections.abc import Sequence

from test.chaos.customers import Customer
from test.chaos.site import ChaosSite

VICTIMS = {"annexd": 70, "worker": 8, "master": 8, "client": 14}
FAULT_PAUSE_S = (0.3, 2.5)
FAULTS = {  # operation -> its possible faults
    "GetFunction": ("throttle", "internal", "reset"),
    "FilterLogEvents": ("throttle", "internal", "reset"),
    "CreateTags": ("throttle", "internal", "reset", "hang"),
    "TerminateInstances": ("throttle", "internal", "reset"),
    "RequestSpotFleet": ("throttle", "internal", "reset", "hang", "denied"),
    "DescribeSpotFleetRequests": ("throttle", "internal", "reset", "lag"),
    "DescribeInstances": ("throttle", "internal", "reset", "lag"),
    "CancelSpotFleetRequests": ("throttle", "internal", "reset", "partial"),
}


class Killer:
    """Kills random victims; `pause_s` is the shortest and the longest pause between two kills."""

    def __init__(
        self, site: ChaosSite, customers: Sequence[Customer], dice: random.Random, pause_s: tuple[float, float]
    ) -> None:
        self.killed = Counter[str]()
        self._site, self._customers, self._dice, self._pause_s = site, customers, dice, pause_s

    def run(self, kills: int, over: threading.Event) -> None:
        while self.killed.total() < kills and not over.wait(self._dice.uniform(*self._pause_s)):
            [victim] = self._dice.choices(list(VICTIMS), list(VICTIMS.values()))
            if self._kill(victim):
                self.killed[victim] += 1

    def _kill(self, victim: str) -> bool:
        if victim == "client":
            return self._dice.choice(self._customers).kill_client()
        found = sorted(self._site.processes(victim), key=lambda process: process.pid)
        return sum(process.kill(signal.SIGKILL) for process in found) > 0


class Weather:
    """A thread that makes AWS fail now and then."""

    def __init__(self, site: ChaosSite, dice: random.Random, kinds: frozenset[str]) -> None:
        self._site, self._dice, self._kinds = site, dice, kinds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="weather", daemon=True)
        self.ordered = 0

    def start(self) -> None:
        self._thread.start()

    def clear(self) -> None:
        self._over.set()
        self._thread.join()
        self._site.cloud.clear_faults()

    def _run(self) -> None:
        while not self._over.wait(self._dice.uniform(*FAULT_PAUSE_S)):
            operation = self._dice.choice(list(FAULTS))
            kinds = [kind for kind in FAULTS[operation] if kind in self._kinds]
            kind, when = self._dice.choice(kinds), self._dice.choice(("before", "after"))
            times, hang_s = self._dice.choice((1, 1, 1, 3)), self._dice.choice((1.0, 5.0))
            when = "before" if kind in ("denied", "throttle", "partial", "lag") else when
            self._site.cloud.fault(operation, kind, times, when, hang_s=hang_s, lag_s=2.0)
            self.ordered += 1
