"""Test that after annexd is lost with its disk, a new one keeps the leases and ends overdue annexes.

test_histories enumerates this at every point, with all other faults; these tests show the behaviour.
"""

from __future__ import annotations

from dataclasses import replace

from test.histories.catalog import HistoryRunner
from test.histories.courses import COURSES, Act
from test.histories.faults import ANNEXD, LEASE
from test.histories.history import History, Stage

LOOKING = COURSES["annexd looks at the account now and then"]
SOON = "gone for good, and a new one on an empty disk"


def test_a_fleet_that_three_runs_of_the_function_have_not_ended_is_ended_by_annexd(runner: HistoryRunner) -> None:
    met = runner.play(History(LOOKING)).met
    first = next(point.number for point in met if (point.actor, point.what) == (LEASE, "CancelSpotFleetRequests"))
    verdict = runner.play(History(LOOKING, {(LEASE, first): "denied for an hour"}))
    assert "was overdue, since the lease function did not end it: annexd has ended it" in "\n".join(verdict.log)
    assert not verdict.violations, str(verdict)


def test_an_annex_whose_daemon_lost_its_disk_is_cancelled_from_the_cloud(runner: HistoryRunner) -> None:
    course = replace(COURSES["it is cancelled"], lease_s=1200.0)
    met = runner.play(History(course)).met
    accepted = [point.number for point in met if (point.actor, point.what) == (ANNEXD, "accepted")]
    verdict = runner.play(History(course, {(ANNEXD, accepted[1]): f"{SOON} after"}))
    assert verdict.answers["act-0"]["Result"] == "Success"
    assert not verdict.violations, str(verdict)


def test_nothing_is_ordered_while_the_rule_is_silent(runner: HistoryRunner) -> None:
    answers = []

    def play_with(stage: Stage) -> None:
        stage.begin()
        stage.timeline.after(1800.0, lambda: answers.append(stage.answers["act-0-order"]))

    course = replace(COURSES["all goes well"], acts=(Act(1600.0, "order"),))
    verdict = runner.play_stage(course, play_with, {(LEASE, 2): "no run for an hour"})
    assert [answer["Result"] for answer in answers] == ["Failure"]
    assert "was last called by its rule" in str(answers[0]["ErrorString"])
    assert not verdict.violations, str(verdict)
