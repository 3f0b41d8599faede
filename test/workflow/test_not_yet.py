"""A step that waits for a resource that the cloud does not know yet has its own time limit, and logs it once."""

from pathlib import Path

import pytest

from annexd.workflow import Engine, Journal, Paused, Retry, Wait, Workflow
from test.workflow.store import FLEET, LEASE, OWNER, START_S, Put, Store, Thing, steps

ORDER = Thing("annex")
ROLE = Wait("the role", 120.0, "make one")
NOT_YET = Retry("no such role", untouched=True, wait=ROLE)
MANY = 1000


@pytest.fixture
def logged() -> list[str]:
    return []


def waiting(journal: Journal, store: Store, logged: list[str]) -> Engine:
    return Engine(journal, steps(store), now_s=store.clock, wait=store.wait, random=lambda: 1.0, report=logged.append)


@pytest.fixture
def one(journal: Journal, store: Store, logged: list[str]) -> Engine:
    one = waiting(journal, store, logged)
    one.accept("1", OWNER, ORDER)
    return one


def test_it_is_asked_again_until_it_is_known_and_nothing_is_undone(
    store: Store, one: Engine, logged: list[str]
) -> None:
    store.script = {"fleet forward before": [NOT_YET] * 8}
    assert one.run("1").result == "Success"
    assert (store.calls["fleet forward"], store.calls["lease forward"], store.calls["lease backward"]) == (9, 1, 0)
    assert logged == ["Request 1 waits up to 120 s for AWS to know the role: no such role"]


def test_it_is_refused_when_the_time_is_over_with_what_was_waited_for_and_the_next_step(
    store: Store, one: Engine
) -> None:
    store.script = {"fleet forward before": [NOT_YET] * MANY}
    outcome = one.run("1")
    assert outcome.result == "Failure"
    assert outcome.error == "no such role; annexd waited 120 s for AWS to know the role: make one"
    assert store.things == set()
    assert store.calls["fleet backward"] == 0, "it had surely no effect"


def test_it_is_asked_once_more_at_the_very_end(store: Store, one: Engine) -> None:
    store.script = {"fleet forward before": [NOT_YET] * MANY}
    store.meanwhile = lambda: store.script.clear() if store.now_s >= START_S + ROLE.longest_s else None
    assert one.run("1").result == "Success"
    assert store.now_s == pytest.approx(START_S + ROLE.longest_s)


def test_other_trouble_after_a_long_wait_has_the_time_that_it_always_has(store: Store, one: Engine) -> None:
    store.script = {"fleet forward before": [*[NOT_YET] * 11, *[Retry("throttled", untouched=True)] * 2]}
    assert one.run("1").result == "Success"
    assert store.now_s - START_S > 60.0


def test_a_second_wait_has_a_time_of_its_own(store: Store, one: Engine, logged: list[str]) -> None:
    store.script = {"lease forward before": [NOT_YET] * 10, "fleet forward before": [NOT_YET] * 10}
    assert one.run("1").result == "Success"
    assert store.now_s - START_S > 120.0
    assert len(logged) == 2


def test_waiting_steps_are_part_of_the_state(store: Store, one: Engine) -> None:
    seen = []

    def look() -> None:
        step = one.state("1").waiting
        seen.append(step and (step.name, step.waits_for, step.waits_since_s))

    store.meanwhile = look
    store.script = {"fleet forward before": [NOT_YET] * 3}
    assert one.run("1").result == "Success"
    assert seen == [(FLEET, "the role", START_S)] * 3
    assert one.state("1").waiting is None


def test_the_next_annexd_goes_on_waiting_and_says_nothing_again(
    path: Path, journal: Journal, store: Store, one: Engine, logged: list[str]
) -> None:
    store.meanwhile = one.pause
    store.script = {"fleet forward before": [NOT_YET] * MANY}
    with pytest.raises(Paused):
        one.run("1")
    journal.close()
    again = Journal(path, now_s=store.clock)
    store.now_s += 100.0
    assert "annexd waited 120 s" in waiting(again, store, logged).run("1").error
    assert len(logged) == 1
    assert store.now_s == pytest.approx(START_S + ROLE.longest_s)
    again.close()


def test_an_order_that_is_cancelled_while_it_waits_is_undone(store: Store, one: Engine) -> None:
    store.meanwhile = lambda: one.stop("1", "cancelled")
    store.script = {"fleet forward before": [NOT_YET] * MANY}
    outcome = one.run("1")
    assert (outcome.result, outcome.error) == ("Failure", "cancelled")
    assert (store.things, store.calls["fleet forward"]) == (set(), 1)


@pytest.mark.parametrize(("shows_late", "asked_s"), [(False, 0.0), (True, START_S)])
def test_an_undo_learns_when_a_step_that_shows_late_was_answered(
    journal: Journal, store: Store, shows_late: bool, asked_s: float
) -> None:
    one = Engine(
        journal, Workflow(Thing, (Put(store, LEASE, shows_late), Put(store, FLEET))), now_s=store.clock, wait=store.wait
    )
    one.accept("1", OWNER, ORDER)
    store.meanwhile = lambda: one.stop("1", "cancelled")
    store.script = {"fleet forward before": [NOT_YET]}
    assert one.run("1").result == "Failure"
    assert store.seen_asked_at_s[LEASE] == asked_s
