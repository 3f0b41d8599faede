"""The clock is set while an order runs: the order is carried out or undone, and nothing waits for a year."""

from collections.abc import Callable

import pytest

from annexd.workflow import Engine, Journal, Refused, Retry, RetryPolicy
from annexd.workflow.attempt_clock import AttemptClock
from test.workflow.store import FLEET, OWNER, Store, Thing, engine, steps

YEAR_S = 365 * 86400.0
ORDER = Thing("x")


class Steady:
    """A clock that cannot be set."""

    now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


def failed_order(store: Store, annexes: Engine) -> None:
    """Run an order whose fleet is refused and cannot be undone yet."""
    store.script = {f"{FLEET} forward after": [Refused("over a quota")], f"{FLEET} backward before": [Refused("no")]}
    annexes.accept("1", OWNER, ORDER)
    assert annexes.run("1").retry_at_s is not None
    assert "1: fleet could not be undone yet, will retry: no" in annexes.counts().stuck_reason
    assert store.things


@pytest.mark.parametrize("leap_s", [-YEAR_S, YEAR_S, -10 * YEAR_S])
def test_a_stuck_workflow_is_retried_soon_after_a_clock_jump(journal: Journal, store: Store, leap_s: float) -> None:
    annexes = engine(journal, store)
    failed_order(store, annexes)
    store.now_s += leap_s
    outcome = annexes.run("1")
    assert outcome.retry_at_s is None
    assert not store.things


def test_a_clock_jump_forward_during_an_order_undoes_it_at_worst(journal: Journal, store: Store) -> None:
    annexes = Engine(journal, steps(store), now_s=store.clock, wait=leaping(store, YEAR_S), random=lambda: 1.0)
    store.script = {f"{FLEET} forward before": [Retry("throttled", untouched=True)] * 3}
    annexes.accept("1", OWNER, ORDER)
    outcome = annexes.run("1")
    assert (outcome.result, outcome.retry_at_s, store.things) == ("Failure", None, set())
    assert "gave up" in outcome.error


def test_a_clock_jump_back_during_an_order_changes_nothing(journal: Journal, store: Store) -> None:
    annexes = Engine(journal, steps(store), now_s=store.clock, wait=leaping(store, -YEAR_S), random=lambda: 1.0)
    store.script = {f"{FLEET} forward before": [Retry("throttled", untouched=True)] * 3}
    annexes.accept("1", OWNER, ORDER)
    assert annexes.run("1").result == "Success"


def test_a_step_that_never_answers_is_given_up_even_if_the_clock_keeps_going_back(
    journal: Journal, store: Store
) -> None:
    pace = RetryPolicy(max_attempts=5)
    annexes = Engine(journal, steps(store), pace=pace, now_s=store.clock, wait=leaping(store, -60), random=lambda: 1.0)
    store.script = {f"{FLEET} forward before": [Retry("time-out")] * 100}
    annexes.accept("1", OWNER, ORDER)
    assert annexes.run("1").result == "Failure"
    assert store.calls[f"{FLEET} forward"] == 5


def leaping(store: Store, leap_s: float) -> Callable[[float], bool]:
    def wait(_: float) -> bool:
        store.now_s += leap_s
        return False

    return wait


def test_the_age_of_a_call_is_known_despite_clock_jumps(store: Store) -> None:
    steady = Steady()
    since = AttemptClock(store.clock, steady)
    since.begin("1", FLEET)
    asked_s = store.now_s
    for leap_s in (YEAR_S, -2 * YEAR_S, YEAR_S + 7):
        store.now_s += leap_s
        steady.now_s += 10
        age_s = store.now_s - since.moment_s("1", FLEET, asked_s)
        assert age_s == steady.now_s - 50


def test_a_call_of_an_earlier_process_in_the_future_counts_as_now(store: Store) -> None:
    steady = Steady()
    since = AttemptClock(store.clock, steady)
    assert since.moment_s("1", FLEET, store.now_s + YEAR_S) == store.now_s
    steady.now_s += 90
    assert since.moment_s("1", FLEET, store.now_s + YEAR_S) == store.now_s - 90
    since.forget("1")
    assert since.moment_s("1", FLEET, store.now_s - 5) == store.now_s - 5
    assert since.moment_s("2", FLEET, 0.0) == 0.0
