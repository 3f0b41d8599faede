"""Run seeded random histories with many annexes, many faults and clients that retry; `seed 17` is repeatable.

Enumerated histories have one or two orders and at most two faults.  Here orders overlap and are extended, shortened
and cancelled, EC2's published limits hold, and each point has a fault with the seed's own likelihood.
"""

from __future__ import annotations

import random
from pathlib import Path

from test.histories.courses import Act, Course
from test.histories.faults import Point, faults_at
from test.histories.history import AFTERWARDS_S, Stage, Verdict
from test.histories.timeline import START_S

ORDERS_WITHIN_S = 1200.0
LONGEST_LEASE_S = 2400
TROUBLED_S = 6000.0  # afterwards AWS and the network work again, and everything must end
MOST_ANNEXES = 8
CHANGED = 0.5  # share of the annexes, at any time


class Season:
    """The random choices of one seed."""

    def __init__(self, seed: int) -> None:
        self.name = f"seed {seed}"
        self.dice = random.Random(seed)  # noqa: S311  a history to be repeated, not a secret
        self._likelihood = self.dice.choice((0.003, 0.01, 0.03))
        self.course = Course(
            self.name,
            termination_s=self.dice.choice((0.0, 2.0, 120.0)),
            skew_s=self.dice.uniform(-240.0, 240.0),
            second_cancel=self.dice.choice(("acted-upon", "refused", "no-effect")),
            limits=self.dice.choice((0.2, 1.0)),
            protected=self.dice.random() < 0.2,
            unlisted=self.dice.random() < 0.2,
            two_annexds=self.dice.random() < 0.3,
            order={
                "Type": self.dice.choice(("request", "maintain")),
                "FleetAPI": self.dice.choice(("EC2Fleet", "SpotFleet")),
            },
        )

    def fate(self, point: Point) -> str | None:
        """Choose a fault, but never a permanent one, which would leave most of a history idle."""
        if self.dice.random() >= self._likelihood:
            return None
        return self.dice.choice([name for name in faults_at(point) if not name.endswith("for good")])

    def play(self, home: Path) -> Verdict:
        random.seed(self.name)  # botocore's jitter
        stage = Stage(self.course, lambda point: None if self._is_over(stage) else self.fate(point), home)
        return stage.play(self.name, lambda: self._begin(stage), TROUBLED_S + AFTERWARDS_S)

    def _is_over(self, stage: Stage) -> bool:
        return stage.timeline.now_s > START_S + TROUBLED_S

    def _begin(self, stage: Stage) -> None:
        for number in range(self.dice.randint(2, MOST_ANNEXES)):
            self._order(stage, f"command-{number}", self.dice.randint(60, LONGEST_LEASE_S))

    def _order(self, stage: Stage, command_id: str, lease_s: int) -> None:
        daemon = self.dice.choice((stage.annexd, stage.second)) if self.course.two_annexds else stage.annexd
        ordered_s = [self.dice.uniform(0.0, ORDERS_WITHIN_S) for _ in range(self.dice.choice((1, 1, 2)))]
        for at_s in ordered_s:
            stage.timeline.after(at_s, lambda: stage.order(command_id, lease_s, daemon))
        while self.dice.random() < CHANGED:
            at_s = min(ordered_s) + self.dice.uniform(0.0, lease_s)
            what = self.dice.choice(("extend", "extend", "until", "until now", "cancel"))
            by_s = self.dice.uniform(60.0, 600.0) if what == "extend" else at_s + self.dice.uniform(60.0, 900.0)
            of_second = self.course.two_annexds and self.dice.random() < 0.5
            self._change(stage, Act(at_s, what, by_s, of_second), command_id)

    def _change(self, stage: Stage, act: Act, command_id: str) -> None:
        stage.timeline.after(
            act.at_s, lambda: stage.act(act, f"{command_id}-{act.what}-{act.at_s:.0f}".replace(" ", "-"), command_id)
        )
