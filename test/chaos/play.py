"""One run: customers order while AWS fails and processes are killed; then all comes to rest and is judged."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass

from test.chaos.customers import Customer, Habits
from test.chaos.site import SPEED, ChaosSite
from test.chaos.trouble import Killer, Weather
from test.chaos.verdict import Verdict, judge

CUSTOMERS = 4
ALL_KINDS = frozenset({"throttle", "internal", "reset", "hang", "denied", "partial", "lag"})
PASSING = frozenset({"throttle", "internal", "reset"})  # faults that leave nothing to wait for
ANSWERS_WITHIN_S = 300.0  # an undo waits 90 s for requests in flight, and retries where it is stuck
REST_WITHIN_S = 400.0
HABITS = Habits(cancels=0.2, extends=0.15, shortens=0.15)
LATE_S = 300.0 / SPEED + 110.0  # a tick, and runs that met faults on a busy machine: this is real time


@dataclass(frozen=True)
class Chaos:
    seed: int
    kills: int
    limit_s: float = float("inf")
    kinds: frozenset[str] = ALL_KINDS
    habits: Habits = HABITS
    pause_s: tuple[float, float] = (0.2, 6.0)  # between two kills: annexd needs one or two seconds to start

    def play(self) -> Verdict:
        with ChaosSite() as site:
            return self._play(site)

    def _dice(self, whose: str) -> random.Random:
        return random.Random(f"{self.seed} {whose}")  # noqa: S311  a repeatable run, not a secret

    def _play(self, site: ChaosSite) -> Verdict:
        began_s = time.monotonic()
        names = [f"customer-{n}" for n in range(CUSTOMERS)]
        customers = [Customer(site, name, self._dice(name), self.habits) for name in names]
        weather = Weather(site, self._dice("weather"), self.kinds)
        killer = Killer(site, customers, self._dice("killer"), self.pause_s)
        weather.start()
        for customer in customers:
            customer.start()
        self._kill(killer)
        weather.clear()
        killed_s = time.monotonic() - began_s
        self._rest(site, customers)
        verdict = judge(site.cloud, [order for each in customers for order in each.orders], LATE_S)
        starts = site.annexd_log().count("STARTING UP")
        verdict.numbers = {
            "kills": killer.killed.total(),
            **{f"of {who}": n for who, n in killer.killed.items()},
            "minutes of it": round(killed_s / 60, 1),
            "starts of annexd": starts,
            "faults of AWS": weather.ordered,
            **verdict.numbers,
        }
        return verdict

    def _kill(self, killer: Killer) -> None:
        over = threading.Event()
        timer = threading.Timer(min(self.limit_s, threading.TIMEOUT_MAX), over.set)
        timer.daemon = True
        timer.start()
        killer.run(self.kills, over)
        timer.cancel()

    def _rest(self, site: ChaosSite, customers: list[Customer]) -> None:
        for customer in customers:
            customer.stop()
        site.wait(
            lambda: all(customer.is_done() for customer in customers), lambda: "every order's answer", ANSWERS_WITHIN_S
        )
        site.wait(lambda: not _running(site), lambda: f"the end of {_running(site)}", REST_WITHIN_S)


def _running(site: ChaosSite) -> list[str]:
    return [instance["id"] for instance in site.cloud.running_instances()]
