"""The process may die at every append and at every effect, and the next process always completes correctly.

Crashes are enumerated, not sampled: for each course of events the appends are counted first, and then the process dies
at each of them, both just before and just after the record is on disk.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from annexd.workflow import Journal, Kind, Outcome, Refused, Retry, RetryPolicy
from test.workflow.store import FLEET, LEASE, OWNER, TARGET, Crash, CrashingJournal, Store, Thing, engine

ORDER = Thing("annex")
EVERYTHING = {(LEASE, "annex"), (TARGET, "annex"), (FLEET, "annex")}
COURSES: dict[str, dict[str, list[BaseException | None]]] = {
    "all goes well": {},
    "a lost answer": {"fleet forward after": [Retry("lost")]},
    "a refusal": {"fleet forward before": [Refused("denied", untouched=True)]},
    "a refusal in the middle": {"target forward before": [Refused("denied", untouched=True)]},
    "a failure after the effect": {"fleet forward after": [Refused("a fault")]},
    "an undo that needs two": {
        "fleet forward after": [Refused("a fault")],
        "fleet backward after": [Retry("shutting down")],
        "lease backward before": [Refused("stuck"), Retry("lost")],
    },
}


def script(course: str) -> dict[str, list[BaseException | None]]:
    return {moment: list(errors) for moment, errors in COURSES[course].items()}


def live(store: Store, open_journal: Callable[[], Journal]) -> Outcome | None:
    """Run one daemon; return None if it died."""
    journal = open_journal()
    try:
        one = engine(journal, store)
        one.accept("1", OWNER, ORDER)
        while (outcome := one.run("1")).retry_at_s is not None:
            store.now_s = outcome.retry_at_s
    except Crash:
        return None
    else:
        return outcome
    finally:
        journal.close()


def settle(store: Store, path: Path) -> Outcome:
    outcome = live(store, lambda: Journal(path, now_s=store.clock))
    assert outcome is not None
    return outcome


def check(store: Store, outcome: Outcome) -> None:
    """Check the guarantee: nothing billed without a lease, all there after a success, nothing left after a failure."""
    assert not store.billed_without_lease
    assert store.things == (EVERYTHING if outcome.result == "Success" else set())


def appends_of(course: str, path: Path) -> int:
    store = Store(script=script(course))
    outcome = settle(store, path)
    check(store, outcome)
    with_all = Journal(path, now_s=store.clock)
    count = len(with_all.history("1"))
    with_all.close()
    return count


@pytest.mark.parametrize("written", [False, True], ids=["before the record", "after the record"])
@pytest.mark.parametrize("course", COURSES)
def test_a_crash_at_any_append_leaves_nothing_without_a_lease(course: str, written: bool, tmp_path: Path) -> None:
    count = appends_of(course, tmp_path / "whole")
    for at in range(1, count + 1):
        store, path = Store(script=script(course)), tmp_path / f"crash-{at}"
        died = live(
            store,
            lambda p=path, a=at, w=store: CrashingJournal(  # type: ignore[misc]
                p, at=a, written=written, now_s=w.clock
            ),
        )
        assert died is None
        assert not store.billed_without_lease, f"at append {at} of {count}"
        check(store, settle(store, path))


MOMENTS = [
    f"{step} {direction} {when}"
    for step in (LEASE, TARGET, FLEET)
    for direction in ("forward", "backward")
    for when in ("before", "after")
]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_crash_in_any_effect_leaves_nothing_without_a_lease(moment: str, path: Path) -> None:
    store = Store(script=script("a failure after the effect") if "backward" in moment else {})
    store.script.setdefault(moment, []).insert(0, Crash())
    if moment == "fleet forward after":
        store.script[moment] = [Crash()]
    assert live(store, lambda: Journal(path, now_s=store.clock)) is None
    assert not store.billed_without_lease
    check(store, settle(store, path))


def test_a_step_that_kills_the_process_is_given_up_and_undone(path: Path) -> None:
    store = Store(script={"fleet forward after": [Crash() for _ in range(100)]})
    lives = 0
    while live(store, lambda: Journal(path, now_s=store.clock)) is None:
        lives += 1
    assert lives == RetryPolicy().max_deaths
    outcome = settle(store, path)
    assert "annexd died" in outcome.error
    assert store.things == set()


def test_an_undo_that_kills_the_process_is_not_retried_at_each_start(path: Path) -> None:
    store = Store(
        script={"fleet forward after": [Refused("a fault")], "fleet backward before": [Crash() for _ in range(3)]}
    )
    deaths = 0
    for _ in range(6):  # starts in quick succession, each with one attempt only
        journal = Journal(path, now_s=store.clock)
        try:
            one = engine(journal, store)
            one.accept("1", OWNER, ORDER)
            one.run("1")
        except Crash:
            deaths += 1
        finally:
            journal.close()
    assert deaths == 2
    assert store.things >= EVERYTHING


def test_a_restart_continues_where_the_journal_ends(path: Path) -> None:
    store = Store(script={"fleet forward before": [Crash()]})
    assert live(store, lambda: Journal(path, now_s=store.clock)) is None
    store.calls.clear()
    assert settle(store, path).result == "Success"
    assert set(store.calls) == {"fleet forward"}


def test_a_journal_that_cannot_be_written_stops_before_the_effect(path: Path) -> None:
    for at in range(2, 9):
        store = Store()
        journal = CrashingJournal(path.with_suffix(f".{at}"), at=at, written=False, now_s=store.clock)
        one = engine(journal, store)
        one.accept("1", OWNER, ORDER)
        with pytest.raises(Crash):
            one.run("1")
        intents = {record.step for record in journal.history("1") if record.kind is Kind.INTENT}
        assert {step for step, _ in store.things} <= intents
        journal.close()
