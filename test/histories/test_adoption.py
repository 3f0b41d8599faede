"""annexd is gone with its disk, and another one starts that knows nothing: it finds what there is, and mends it.

That this is so wherever annexd was gone, test_histories enumerates with all other faults; this is what it does.
"""

from __future__ import annotations

from test.histories.catalog import Theatre
from test.histories.faults import ANNEXD
from test.histories.history import COURSES, History, Stage, Verdict
from test.histories.model import Annex

SOON = "gone for good, and a new one on an empty disk"


def test_a_rule_without_a_target_is_removed_after_its_lease(theatre: Theatre) -> None:
    verdict = gone_before(theatre, "call PutTargets", f"{SOON} before")
    assert "guarded nothing, is removed" in "\n".join(verdict.log)
    assert not verdict.violations, str(verdict)


def test_a_fleet_that_outlives_its_lease_since_the_function_fails_is_ended_from_there(theatre: Theatre) -> None:
    fails = "denied for an hour"
    course = COURSES["annexd looks at the account now and then"]
    met = theatre.play(History(course)).met
    first = next(point.number for point in met if point.what == "CancelSpotFleetRequests")
    verdict = theatre.play(History(course, {("lease", first): fails}))
    assert "outlived its lease, the lease function does not work" in "\n".join(verdict.log)
    assert not verdict.violations, str(verdict)


def test_a_lease_that_is_deleted_by_hand_is_armed_again_at_the_next_look(theatre: Theatre) -> None:
    told: list[tuple[float, bool]] = []

    def play_with(stage: Stage) -> None:
        stage.order("command-1", 900)
        [annex] = stage.model.annexes.values()
        stage.timeline.after(300.0 - 1.0, lambda: delete(stage, annex))
        for at_s in (300.0, 851.0):
            stage.timeline.after(at_s, lambda at_s=at_s: told.append((at_s, stage.model.is_armed(annex))))  # type: ignore[misc]

    verdict = theatre.play_stage(COURSES["annexd looks at the account now and then"], play_with)
    assert told == [(300.0, False), (851.0, True)]
    assert not verdict.violations, str(verdict)


def delete(stage: Stage, annex: Annex) -> None:
    stage.function.deleted_by_hand.add(annex.annex_id)
    stage.cloud.events.rules.pop(annex.annex_id)


def gone_before(theatre: Theatre, what: str, fault: str) -> Verdict:
    course = COURSES["all goes well"]
    met = theatre.play(History(course)).met
    number = next(point.number for point in met if point.actor == ANNEXD and f"{point.place} {point.what}" == what)
    return theatre.play(History(course, {(ANNEXD, number): fault}))
