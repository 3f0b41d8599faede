"""Several workflows in one journal, and patient workflows."""

from pathlib import Path

import pytest

from annexd.workflow import Engine, Journal, Refused, Retry, RetryPolicy, Workflow
from test.workflow.store import FLEET, OWNER, Placed, Put, Store, Thing, ThingToEnd, engine, steps

END = "end"
ORDER = ThingToEnd("annex")
OUTAGE = [Retry("no answer")] * 1000


def ending(journal: Journal, store: Store, pace: RetryPolicy | None = None) -> Engine:
    """Return an engine with a second workflow of one step, which never gives up."""
    others = {END: Workflow(ThingToEnd, (Put(store, END),), patient=True)}
    return Engine(
        journal, steps(store), others=others, pace=pace, now_s=store.clock, wait=store.wait, random=lambda: 1.0
    )


@pytest.fixture
def one(journal: Journal, store: Store) -> Engine:
    one = ending(journal, store)
    one.accept("1", OWNER, ORDER)
    return one


def test_an_order_is_carried_out_by_the_steps_of_the_workflow_that_it_names(store: Store, one: Engine) -> None:
    one.accept("2", OWNER, Thing("other"))
    assert [one.run(each).result for each in ("1", "2")] == ["Success", "Success"]
    assert {(step, thing) for step, thing in store.things if thing == "annex"} == {(END, "annex")}
    assert (FLEET, "other") in store.things


def test_a_patient_step_that_fails_is_stuck_and_retried_instead_of_undone(store: Store, one: Engine) -> None:
    store.script = {"end forward before": list(OUTAGE)}
    outcome = one.run("1")
    assert outcome.retry_at_s is not None
    assert "end could not be done yet, will retry: no answer" in outcome.error
    assert (one.counts().stuck, one.counts().unfinished, store.calls["end backward"]) == (1, 1, 0)
    waited_s, calls = store.now_s, store.calls["end forward"]
    assert one.run("1").retry_at_s == outcome.retry_at_s, "not before its time"
    assert (store.now_s, store.calls["end forward"]) == (waited_s, calls)
    store.script, store.now_s = {}, outcome.retry_at_s
    assert one.run("1").result == "Success"
    assert one.counts().stuck == 0


def test_the_pauses_between_retries_grow_and_retries_never_end(store: Store, one: Engine) -> None:
    store.script = {"end forward before": list(OUTAGE)}
    pauses_s = []
    for _ in range(12):
        retry_at_s = one.run("1").retry_at_s
        assert retry_at_s is not None
        pauses_s.append(retry_at_s - store.now_s)
        store.now_s = retry_at_s
    assert pauses_s == sorted(pauses_s)
    assert pauses_s[-1] == RetryPolicy().stuck_cap_s


def test_a_final_refusal_ends_it_even_after_a_long_wait(store: Store, one: Engine) -> None:
    store.script = {"end forward before": list(OUTAGE)}
    store.now_s = one.run("1").retry_at_s or 0.0
    store.script = {"end forward before": [Refused("denied")]}
    outcome = one.run("1")
    assert (outcome.result, outcome.error, outcome.retry_at_s) == ("Failure", "denied", None)


def test_the_next_annexd_retries_at_once(path: Path, journal: Journal, store: Store, one: Engine) -> None:
    store.script = {"end forward before": list(OUTAGE)}
    one.run("1")
    journal.close()
    store.script = {}
    again = Journal(path, now_s=store.clock)
    assert ending(again, store).run("1").result == "Success"
    again.close()


def test_an_annexd_without_that_workflow_leaves_it_alone(journal: Journal, store: Store, one: Engine) -> None:
    old = engine(journal, store)
    assert "this version of annexd has no workflow end" in old.run("1").error
    assert store.things == set()
    assert one.run("1").result == "Success", "and another one continues it"


def test_accepted_orders_and_results_can_be_read_incrementally(store: Store, one: Engine) -> None:
    seq, states = one.accepted()
    assert [(state.command_id, state.owner, state.workflow) for state in states] == [("1", OWNER, END)]
    assert one.accepted(seq) == (seq, [])
    assert one.results(Placed) == (0, {})
    one.run("1")
    seq, found = one.results(Placed)
    assert found == {"1": Placed(END)}
    assert one.results(Placed, seq) == (seq, {})
    assert (END, "annex") in store.things
