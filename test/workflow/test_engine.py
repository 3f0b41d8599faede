"""The engine's guarantees, on a store that fails as AWS does."""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from annexd.workflow import (
    Engine,
    Journal,
    Kind,
    Nothing,
    NotOwner,
    Paused,
    Record,
    Refused,
    Results,
    Retry,
    RetryPolicy,
    Workflow,
)
from test.workflow.store import FLEET, LEASE, OWNER, START_S, TARGET, Placed, Store, Thing, engine, steps

ORDER = Thing("annex")


def run(journal: Journal, store: Store) -> tuple[str, str]:
    one = engine(journal, store)
    one.accept("1", OWNER, ORDER)
    outcome = one.run("1")
    return outcome.result, outcome.error


def test_steps_are_done_in_order_and_each_sees_the_results_of_earlier_ones(journal: Journal, store: Store) -> None:
    assert run(journal, store) == ("Success", "")
    assert store.things == {(LEASE, "annex"), (TARGET, "annex"), (FLEET, "annex")}
    assert not store.billed_without_lease
    intents = {record.step: record.body for record in journal.history("1") if record.kind is Kind.INTENT}
    assert intents[FLEET]["after"] == [LEASE, TARGET]


def test_every_effect_comes_after_its_intent_and_before_its_result(journal: Journal, store: Store) -> None:
    run(journal, store)
    kinds = [(record.step, str(record.kind)) for record in journal.history("1")]
    assert kinds == [
        ("", "accepted"),
        *((step, kind) for step in (LEASE, TARGET, FLEET) for kind in ("intent", "done")),
        ("", "finished"),
    ]


def test_a_refused_step_undoes_those_before_it_and_the_lease_last(journal: Journal, store: Store) -> None:
    store.script = {"fleet forward before": [Refused("denied", untouched=True)]}
    assert run(journal, store) == ("Failure", "denied")
    assert store.things == set()
    undone = [record.step for record in journal.history("1") if record.kind is Kind.UNDONE]
    assert undone == [TARGET, LEASE]


def test_a_denied_or_invalid_call_is_not_retried(journal: Journal, store: Store) -> None:
    store.script = {"target forward before": [Refused("denied", untouched=True)]}
    run(journal, store)
    assert store.calls["target forward"] == 1


def test_a_step_refused_at_once_needs_no_undo(journal: Journal, store: Store) -> None:
    store.script = {"lease forward before": [Refused("denied", untouched=True)]}
    assert run(journal, store) == ("Failure", "denied")
    assert store.calls["lease backward"] == 0


def test_a_step_refused_after_a_lost_answer_is_undone(journal: Journal, store: Store) -> None:
    store.script = {
        "fleet forward after": [Retry("the answer was lost")],
        "fleet forward before": [None, Refused("denied", untouched=True)],
    }
    assert run(journal, store) == ("Failure", "denied")
    assert store.calls["fleet backward"] == 1
    assert store.things == set()


def test_a_lost_answer_is_retried_with_the_same_intent(journal: Journal, store: Store) -> None:
    store.script = {"fleet forward after": [Retry("time-out"), Retry("time-out")]}
    assert run(journal, store) == ("Success", "")
    assert store.calls["fleet forward"] == 3
    assert len({record.seq for record in journal.history("1") if record.kind is Kind.INTENT}) == 5


def test_retries_wait_longer_each_time_and_end_at_the_deadline(journal: Journal, store: Store) -> None:
    store.script = {"fleet forward before": [Retry("throttled") for _ in range(100)]}
    result, error = run(journal, store)
    assert result == "Failure"
    assert "gave up after" in error
    assert store.now_s - START_S <= RetryPolicy().forward_deadline_s
    assert store.calls["fleet forward"] < 15
    assert store.things == set()


def test_pauses_are_jittered_over_their_whole_length() -> None:
    pace = RetryPolicy(base_s=1.0, cap_s=8.0)
    assert [pace.pause_s(attempt, lambda: 1.0) for attempt in range(5)] == [1.0, 2.0, 4.0, 8.0, 8.0]
    assert pace.pause_s(3, lambda: 0.0) == 0.0


def test_a_clock_that_was_turned_back_does_not_make_retries_endless(journal: Journal, store: Store) -> None:
    store.time_stands_still = True
    store.script = {"fleet forward before": [Retry("throttled") for _ in range(100)]}
    assert run(journal, store)[0] == "Failure"
    assert store.calls["fleet forward"] == RetryPolicy().max_attempts


def test_undo_gets_the_time_of_a_lost_answer_and_only_then(journal: Journal, store: Store) -> None:
    store.script = {"fleet forward before": [Retry("lost") for _ in range(100)]}
    run(journal, store)
    assert store.seen_asked_at_s[FLEET] > START_S
    assert store.seen_asked_at_s[LEASE] == 0.0


def test_calls_that_never_reached_aws_need_no_undo(journal: Journal, store: Store) -> None:
    store.script = {"lease forward before": [Retry("no route", untouched=True) for _ in range(100)]}
    assert run(journal, store)[0] == "Failure"
    assert store.calls["lease backward"] == 0


def test_a_fleet_that_cannot_be_ended_is_stuck_and_keeps_the_lease(journal: Journal, store: Store) -> None:
    store.script = {
        "fleet forward after": [Refused("a fault")],
        "fleet backward before": [Refused("denied") for _ in range(3)],
    }
    one = engine(journal, store)
    one.accept("1", OWNER, ORDER)
    outcome = one.run("1")
    assert outcome.retry_at_s is not None
    assert outcome.result == "Failure"
    assert "fleet could not be undone yet" in outcome.error
    assert {(LEASE, "annex"), (TARGET, "annex"), (FLEET, "annex")} == store.things
    assert one.counts().stuck == 1
    assert store.calls["lease backward"] == 0


def test_a_stuck_workflow_is_retried_indefinitely_with_growing_pauses(journal: Journal, store: Store) -> None:
    store.script = {
        "fleet forward after": [Refused("a fault")],
        "fleet backward before": [Refused("denied") for _ in range(20)],
    }
    one = engine(journal, store)
    one.accept("1", OWNER, ORDER)
    pauses = []
    while (retry_at_s := one.run("1").retry_at_s) is not None:
        pauses.append(retry_at_s - store.now_s)
        store.now_s = retry_at_s
    assert len(pauses) == 20
    assert pauses == sorted(pauses)
    assert pauses[-1] == RetryPolicy().stuck_cap_s
    assert store.things == set()
    assert one.counts().stuck == 0


def test_a_stuck_workflow_is_not_retried_early_but_at_once_after_a_restart(journal: Journal, store: Store) -> None:
    store.script = {"fleet forward after": [Refused("a fault")], "fleet backward before": [Refused("denied")]}
    one = engine(journal, store)
    one.accept("1", OWNER, ORDER)
    one.run("1")
    assert one.run("1").retry_at_s is not None
    assert store.calls["fleet backward"] == 1
    assert engine(journal, store).run("1").retry_at_s is None
    assert store.things == set()


def test_undo_waits_for_instances_that_are_shutting_down(journal: Journal, store: Store) -> None:
    store.script = {
        "fleet forward after": [Refused("a fault")],
        "fleet backward after": [Retry("1 instance is shutting down") for _ in range(4)],
    }
    assert run(journal, store) == ("Failure", "a fault")
    assert store.calls["fleet backward"] == 5
    assert store.things == set()


def test_an_internal_error_in_a_step_fails_that_order_only(journal: Journal, store: Store) -> None:
    for moment in ("fleet plan", "fleet forward before", "fleet forward after"):
        store.script = {moment: [ZeroDivisionError("oh")]}
        one = engine(journal, store)
        one.accept(moment, OWNER, ORDER)
        outcome = one.run(moment)
        assert (outcome.result, "ZeroDivisionError" in outcome.error) == ("Failure", True)
        assert store.things == set()


def test_an_internal_error_in_an_undo_is_stuck(journal: Journal, store: Store) -> None:
    store.script = {"fleet forward after": [Refused("a fault")], "fleet backward before": [ZeroDivisionError("oh")]}
    one = engine(journal, store)
    one.accept("1", OWNER, ORDER)
    assert one.run("1").retry_at_s is not None


def test_the_same_id_of_the_same_user_gets_the_stored_answer(journal: Journal, store: Store) -> None:
    first = run(journal, store)
    again = engine(journal, store)
    again.accept("1", OWNER, Thing("something else"))
    assert (again.run("1").result, again.run("1").error) == first
    assert store.calls["fleet forward"] == 1
    assert again.run("1").results == Results({step: Placed(step) for step in (LEASE, TARGET, FLEET)})


def test_the_same_id_of_another_user_is_refused(journal: Journal, store: Store) -> None:
    one = engine(journal, store)
    one.accept("1", OWNER, ORDER)
    with pytest.raises(NotOwner):
        one.accept("1", "mallory@example.org", ORDER)
    with pytest.raises(NotOwner):
        one.find("1", "mallory@example.org")


def test_a_paused_engine_starts_nothing_and_the_next_one_continues(journal: Journal, store: Store) -> None:
    one = engine(journal, store)
    one.accept("1", OWNER, ORDER)
    one.pause()
    with pytest.raises(Paused):
        one.run("1")
    assert store.calls.total() == 0
    assert engine(journal, store).run("1").result == "Success"


def test_a_pause_ends_the_wait_before_the_next_attempt(journal: Journal, store: Store) -> None:
    store.script = {"lease forward before": [Retry("throttled") for _ in range(100)]}
    one = Engine(journal, steps(store), pace=RetryPolicy(base_s=3600.0, cap_s=3600.0, forward_deadline_s=1e6))
    one.accept("1", OWNER, ORDER)
    ended = threading.Event()

    def run_until_paused() -> None:
        with pytest.raises(Paused):
            one.run("1")
        ended.set()

    worker = threading.Thread(target=run_until_paused)
    worker.start()
    deadline_s = time.monotonic() + 60
    while store.calls["lease forward"] < 1:
        assert time.monotonic() < deadline_s, journal.history("1")
        time.sleep(0.01)
    one.pause()
    assert ended.wait(timeout=60)
    worker.join(timeout=60)


def test_two_runs_of_one_order_do_its_steps_once(journal: Journal, store: Store) -> None:
    one = engine(journal, store)
    one.accept("1", OWNER, ORDER)
    results: list[str] = []
    workers = [threading.Thread(target=lambda: results.append(one.run("1").result)) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert results == ["Success"] * 8
    assert store.calls["fleet forward"] == 1


def test_orders_do_not_wait_for_each_other(journal: Journal) -> None:
    """Eight orders meet in the middle of a step, which works only if all of them are in it at once."""
    meeting = threading.Barrier(8, timeout=60)

    class Meet:
        name = "meet"
        intent_type = Nothing
        shows_late = False
        result_type = Nothing

        def plan(self, _order: Thing, _results: Results) -> Nothing:
            return Nothing()

        def forward(self, _order: Thing, _intent: Nothing) -> Nothing:
            meeting.wait()
            return Nothing()

        def backward(self, _order: Thing, _intent: Nothing, _asked_at_s: float) -> None: ...

    one = Engine(journal, Workflow(Thing, (Meet(),)))
    results: list[str] = []

    def order(number: int) -> None:
        one.accept(str(number), OWNER, ORDER)
        results.append(one.run(str(number)).result)

    workers = [threading.Thread(target=order, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=30)
    assert results == ["Success"] * 8


def test_counts_come_from_the_journal_and_survive_a_restart(journal: Journal, store: Store) -> None:
    one = engine(journal, store)
    for number in range(3):
        store.script = {"fleet forward before": [Refused("no", untouched=True)] if number == 0 else []}
        one.accept(str(number), OWNER, Thing(str(number)))
        one.run(str(number))
    one.accept("waiting", OWNER, ORDER)
    for each in (one, one, engine(journal, store)):
        counts = each.counts()
        assert (counts.requests, counts.successes, counts.failures, counts.unfinished) == (4, 2, 1, 1)


def test_an_unusable_record_stops_no_other_order(journal: Journal, store: Store) -> None:
    journal.append("poison", "", Kind.ACCEPTED, {"owner": 5, "order": []})
    order = {"thing": "annex", "padding": ""}
    journal.append("stranger", "", Kind.ACCEPTED, {"owner": OWNER, "workflow": "", "order": order})
    journal.append("stranger", "a_step_of_the_future", Kind.INTENT, {})
    journal.append("orphan", LEASE, Kind.INTENT, {})
    one = engine(journal, store)
    one.accept("1", OWNER, ORDER)
    for command_id in one.unfinished():
        outcome = one.run(command_id)
        assert (outcome.result == "Success") == (command_id == "1")
        assert ("records of this request are unusable" in outcome.error) == (command_id != "1")
    assert one.counts().stuck == 3


class LateJournal(Journal):
    """A journal in which something happens between the read of a workflow and the write that depends on it."""

    meanwhile: Callable[[], object] | None = None

    def history(self, command_id: str) -> tuple[Record, ...]:
        found = super().history(command_id)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return found


def test_a_stop_that_comes_as_the_workflow_succeeds_changes_nothing(path: Path, store: Store) -> None:
    with closing(LateJournal(path, now_s=store.clock)) as journal:
        one = engine(journal, store)
        one.accept("1", OWNER, ORDER)
        journal.meanwhile = lambda: one.run("1")
        one.stop("1", "it was cancelled")
        assert one.run("1").result == "Success"
        assert (one.unfinished(), one.counts().requests) == ((), 1)


def test_stopping_an_unknown_workflow_starts_none(journal: Journal, store: Store) -> None:
    one = engine(journal, store)
    one.stop("lost with its archive", "it was cancelled")
    one.change("lost with its archive", Thing("other"))
    assert (one.unfinished(), journal.last_seq()) == ((), 0)
