"""The clock is set while an order runs: nothing is given up because of it, and nothing waits for a year."""

from collections.abc import Callable

import pytest

from annexd.workflow import Engine, Journal, Refused, Retry, RetryPolicy
from annexd.workflow.attempt_clock import AttemptClock
from test.workflow.world import FLEET, OWNER, Thing, World, engine, steps

YEAR_S = 365 * 86400.0
ORDER = Thing("x")


class Steady:
    """A clock that cannot be set."""

    now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


def failed_order(world: World, annexes: Engine) -> None:
    """Run an order whose fleet is refused and cannot be undone yet."""
    world.script = {f"{FLEET} forward after": [Refused("over a quota")], f"{FLEET} backward before": [Refused("no")]}
    annexes.accept("1", OWNER, ORDER)
    assert annexes.run("1").retry_at_s is not None
    assert "1: fleet could not be undone yet, will retry: no" in annexes.counts().stuck_reason
    assert world.shelf


@pytest.mark.parametrize("leap_s", [-YEAR_S, YEAR_S, -10 * YEAR_S])
def test_a_stuck_workflow_is_retried_soon_after_a_clock_jump(journal: Journal, world: World, leap_s: float) -> None:
    annexes = engine(journal, world)
    failed_order(world, annexes)
    world.now_s += leap_s
    outcome = annexes.run("1")
    assert outcome.retry_at_s is None
    assert not world.shelf


def test_a_clock_jump_forward_during_an_order_undoes_it_at_worst(journal: Journal, world: World) -> None:
    annexes = Engine(journal, steps(world), now_s=world.clock, wait=leaping(world, YEAR_S), random=lambda: 1.0)
    world.script = {f"{FLEET} forward before": [Retry("throttled", untouched=True)] * 3}
    annexes.accept("1", OWNER, ORDER)
    outcome = annexes.run("1")
    assert (outcome.result, outcome.retry_at_s, world.shelf) == ("Failure", None, set())
    assert "gave up" in outcome.error


def test_a_clock_jump_back_during_an_order_changes_nothing(journal: Journal, world: World) -> None:
    annexes = Engine(journal, steps(world), now_s=world.clock, wait=leaping(world, -YEAR_S), random=lambda: 1.0)
    world.script = {f"{FLEET} forward before": [Retry("throttled", untouched=True)] * 3}
    annexes.accept("1", OWNER, ORDER)
    assert annexes.run("1").result == "Success"


def test_a_step_that_never_answers_is_given_up_even_if_the_clock_keeps_going_back(
    journal: Journal, world: World
) -> None:
    pace = RetryPolicy(max_attempts=5)
    annexes = Engine(journal, steps(world), pace=pace, now_s=world.clock, wait=leaping(world, -60), random=lambda: 1.0)
    world.script = {f"{FLEET} forward before": [Retry("time-out")] * 100}
    annexes.accept("1", OWNER, ORDER)
    assert annexes.run("1").result == "Failure"
    assert world.calls[f"{FLEET} forward"] == 5


def leaping(world: World, leap_s: float) -> Callable[[float], bool]:
    def wait(_: float) -> bool:
        world.now_s += leap_s
        return False

    return wait


def test_the_age_of_a_call_is_known_despite_clock_jumps(world: World) -> None:
    steady = Steady()
    since = AttemptClock(world.clock, steady)
    since.begin("1", FLEET)
    asked_s = world.now_s
    for leap_s in (YEAR_S, -2 * YEAR_S, YEAR_S + 7):
        world.now_s += leap_s
        steady.now_s += 10
        age_s = world.now_s - since.moment_s("1", FLEET, asked_s)
        assert age_s == steady.now_s - 50


def test_a_call_of_an_earlier_process_in_the_future_counts_as_now(world: World) -> None:
    steady = Steady()
    since = AttemptClock(world.clock, steady)
    assert since.moment_s("1", FLEET, world.now_s + YEAR_S) == world.now_s
    steady.now_s += 90
    assert since.moment_s("1", FLEET, world.now_s + YEAR_S) == world.now_s - 90
    since.forget("1")
    assert since.moment_s("1", FLEET, world.now_s - 5) == world.now_s - 5
    assert since.moment_s("2", FLEET, 0.0) == 0.0
