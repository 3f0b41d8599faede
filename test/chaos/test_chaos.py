"""The short form of `make chaos`."""

from __future__ import annotations

import pytest

from test.chaos.customers import Habits
from test.chaos.play import PASSING, Chaos

KILLS = 8
HABITS = Habits(cancels=0.2, extends=0.0, shortens=0.3)  # an extended annex lives for minutes


@pytest.mark.timeout(900)  # one run may wait for longer than the usual limit
def test_killed_again_and_again_under_load_nothing_is_unleased_nothing_left_and_every_order_answered() -> None:
    verdict = Chaos(seed=1, kills=KILLS, kinds=PASSING, habits=HABITS, pause_s=(1.0, 3.0)).play()
    assert verdict.violations == [], verdict.numbers
    assert verdict.numbers["kills"] == KILLS
    assert verdict.numbers["answered Success"] > 0
