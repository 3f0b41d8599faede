"""The short form of `make chaos`."""

from __future__ import annotations

from test.chaos.play import PASSING, Chaos

KILLS = 12


def test_killed_again_and_again_under_load_nothing_is_unleased_nothing_left_and_every_order_answered() -> None:
    verdict = Chaos(seed=1, kills=KILLS, kinds=PASSING, cancels=0.0, pause_s=(1.0, 3.0)).play()
    assert verdict.violations == [], verdict.numbers
    assert verdict.numbers["kills"] == KILLS
    assert verdict.numbers["answered Success"] > 0
