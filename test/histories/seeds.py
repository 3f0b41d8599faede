"""Seeded random histories: many annexes, many faults, clients that ask twice; `seed 17` plays the same again.

What is enumerated elsewhere has one order and at most two faults.  Here orders overlap, and each point goes
wrong with the seed's own likelihood.
"""

from __future__ import annotations

import random
from pathlib import Path

from test.histories.faults import Point, faults_at
from test.histories.courses import Act, Course
from test.histories.history import AFTERWARDS_S, Stage, Verdict
from test.histories.timeline import START_S

ORDERS_WITHIN_S = 1200.0
LONGEST_LEASE_S = 2400
TROUBLED_S = 6000.0  # after that AWS and the network are well again, and all must end
MOST_ANNEXES = 8
CANCELLED = 0.3  # of the annexes, at any time


class Season:
    """The dice of one seed."""

    def __init__(self, seed: int) -> None:
        self.name = f"seed {seed}"
        self.dice = random.Random(seed)  # noqa: S311  a history to be repeated, not a secret
        self._likelihood = self.dice.choice((0.01, 0.03, 0.1))
        self.course = Course(
            self.name,
            termination_s=self.dice.choice((0.0, 2.0, 120.0)),
            skew_s=self.dice.uniform(-240.0, 240.0),
            order={"Type": self.dice.choice(("request", "maintain"))},
        )

    def fate(self, point: Point) -> str | None:
        """Nobody is gone for good here, or most of a history would be silence; and nobody deletes leases."""
        if self.dice.random() >= self._likelihood:
            return None
        return self.dice.choice([name for name in faults_at(point) if not name.endswith(("for good", "by hand"))])

    def play(self, home: Path) -> Verdict:
        random.seed(self.name)  # botocore's jitter
        stage = Stage(self.course, lambda point: None if self._is_over(stage) else self.fate(point), home)
        return stage.play(self.name, lambda: self._order(stage), TROUBLED_S + AFTERWARDS_S)

    def _is_over(self, stage: Stage) -> bool:
        return stage.timeline.now_s > START_S + TROUBLED_S

    def _order(self, stage: Stage) -> None:
        for number in range(self.dice.randint(2, MOST_ANNEXES)):
            command_id, lease_s = f"command-{number}", self.dice.randint(60, LONGEST_LEASE_S)
            for _ in range(self.dice.choice((1, 1, 2))):
                delay_s = self.dice.uniform(0.0, ORDERS_WITHIN_S)
                stage.timeline.after(delay_s, lambda name=command_id, s=lease_s: stage.order(name, s))  # type: ignore[misc]
            if self.dice.random() < CANCELLED:
                delay_s = self.dice.uniform(0.0, ORDERS_WITHIN_S + lease_s)
                stage.timeline.after(delay_s, lambda name=command_id: stage.cancel(f"{name}-ends", name))  # type: ignore[misc]
