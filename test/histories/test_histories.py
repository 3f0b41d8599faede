"""Test that with any fault no annex runs past its end, one tick and the termination, and that none ends early.

These histories are a selection, of which `make whole` plays more.  `make histories` runs all courses, two faults at a
time, and as many seeds as time allows.
"""

from __future__ import annotations

import random
from itertools import islice

import pytest

from test.histories.catalog import HistoryRunner, one_fault, two_faults
from test.histories.courses import COURSES
from test.histories.history import History, Verdict
from test.whole import WHOLE

SHORT = [
    ("all goes well", 1, 5),
    ("it is extended, and then cancelled", 3, 23),
    ("it is shortened, and soon extended", 7, 29),
    ("its instances are protected", 2, 19),
    ("two annexds change one lease", 5, 41),
    ("by EC2 Fleet it is extended, and then cancelled", 3, 37),
    ("by EC2 Fleet of two versions, whose answer is lost, and then it is denied", 5, 23),
]
FEWEST = 6  # histories of a course
PAIRS = 10
SEEDS = 3


def check(verdict: Verdict) -> None:
    assert not verdict.violations, str(verdict)


@pytest.mark.parametrize("course", COURSES)
def test_without_a_fault_nothing_outlives_its_lease_and_every_command_succeeds(
    runner: HistoryRunner, course: str
) -> None:
    verdict = runner.play(History(COURSES[course]))
    check(verdict)
    expected = "Failure" if COURSES[course].refused else "Success"
    assert {answer["Result"] for answer in verdict.answers.values()} == {expected}, verdict.answers


@pytest.fixture(scope="module")
def covering(runner: HistoryRunner) -> dict[str, list[History]]:
    """Choose, of these courses, for each actor every fault at some point and some fault at every kind of point."""
    seen: set[tuple[str, str]] = set()
    chosen: dict[str, list[History]] = {course: [] for course, _, _ in SHORT}
    for course in chosen:
        points = {(point.actor, point.number): point for point in runner.play(History(COURSES[course])).met}
        histories = list(one_fault(runner, COURSES[course]))
        random.Random(course).shuffle(histories)  # noqa: S311  an order, not a secret
        for history in histories:
            [(place, fault)] = history.plan.items()
            new = {(place[0], fault), (place[0], f"{points[place].place} {points[place].what}")}
            if not new <= seen or len(chosen[course]) < FEWEST:
                chosen[course].append(history)
            seen |= new
    return chosen


@pytest.mark.parametrize("course", [course for course, _, _ in SHORT])
def test_with_every_fault_and_with_one_at_every_kind_of_point_nothing_outlives_its_lease_and_nothing_is_left(
    runner: HistoryRunner, covering: dict[str, list[History]], course: str
) -> None:
    assert len(covering[course]) >= FEWEST
    for history in covering[course]:
        check(runner.play(history))


@pytest.mark.parametrize(("course", "first", "step"), [pytest.param(*each, marks=WHOLE) for each in SHORT])
def test_with_any_fault_at_any_point_nothing_outlives_its_lease_and_nothing_is_left(
    runner: HistoryRunner, course: str, first: int, step: int
) -> None:
    number = 0
    for history in islice(one_fault(runner, COURSES[course]), first, None, step):
        check(runner.play(history))
        number += 1
    assert number > 25


def test_with_two_faults_neither(runner: HistoryRunner) -> None:
    for history in islice(two_faults(runner, [COURSES["it is extended, and then cancelled"]]), PAIRS):
        assert len(history.plan) == 2
        check(runner.play(history))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_with_many_annexes_and_many_faults_neither(runner: HistoryRunner, seed: int) -> None:
    check(runner.play_seed(seed))


def test_a_history_can_be_played_again_from_its_name(runner: HistoryRunner) -> None:
    name = "all goes well | annexd 4: answer lost after the effect | lease 3: denied"
    first, again = (runner.play_again(name) for _ in range(2))
    assert (first.name, first.met) == (name, again.met)
    assert "answer lost after the effect" in "\n".join(first.log)
