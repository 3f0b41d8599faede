"""The model notices: each part of the promise, taken out of the real code, breaks at least one history."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from annexd.annex.steps.end_lease import EndLease
from annexd.annex.steps.request_spot_fleet import RequestSpotFleet

from annexd.annex import steps
from annexd.annex.steps import World
from annexd.workflow import Json, Step
from test.histories import annexd
from test.histories.catalog import Theatre
from test.histories.faults import ANNEXD
from test.histories.function import deployed_module
from test.histories.history import COURSES, History

Patch = pytest.MonkeyPatch
PUT_TARGETS = "annexd.annex.steps.put_targets"
FLEET, LOST = "call RequestSpotFleet", "answer lost after the effect"


def at(theatre: Theatre, course: str, what: str, fault: str) -> str:
    """The name of the history of a course with this fault at its first such call."""
    met = theatre.play(History(COURSES[course])).met
    number = next(point.number for point in met if point.actor == ANNEXD and f"{point.place} {point.what}" == what)
    return f"{course} | {ANNEXD} {number}: {fault}"


def violations(theatre: Theatre, *names: str) -> str:
    return "; ".join(words for name in names for words in theatre.play_again(name).violations)


def test_it_notices_money_before_the_lease(theatre: Theatre, monkeypatch: Patch) -> None:
    real = steps.annex_steps

    def wrong_order(world: World) -> tuple[Step, ...]:
        function, *lease, fleet = real(world)
        return function, fleet, *lease

    monkeypatch.setattr(steps, "annex_steps", wrong_order)
    assert "alive without an armed lease" in violations(theatre, "all goes well")
    gone = at(theatre, "all goes well", "append intent put_rule", "gone for good before")
    assert "alive at the end" in violations(theatre, gone)


def test_it_notices_an_undo_that_takes_not_found_for_never(theatre: Theatre, monkeypatch: Patch) -> None:
    real = World
    history = at(theatre, "the target is denied", "call PutRule", "request delayed past the time-out")
    assert violations(theatre, history) == ""
    monkeypatch.setattr(steps, "World", lambda access, now_s, **more: real(access, now_s, settle_s=0.0, **more))
    assert violations(theatre, history)


def test_it_notices_a_failure_inside_a_200_that_is_taken_for_success(theatre: Theatre, monkeypatch: Patch) -> None:
    history = at(theatre, "all goes well", "call PutTargets", "partial failure inside a 200")
    monkeypatch.setattr(f"{PUT_TARGETS}._raise_failed_entry", lambda *_: None)
    words = violations(theatre, history)
    assert "alive at the end" in words


def test_it_notices_a_token_that_is_new_at_every_try(theatre: Theatre, monkeypatch: Patch) -> None:
    history = at(theatre, "all goes well", FLEET, LOST)
    real, tries = RequestSpotFleet.forward, iter(range(1000))

    def forgetful(self: RequestSpotFleet, order: Json, intent: Json) -> Json:
        token = f"{order['annex_id']}_{next(tries):016}"
        return real(self, order | {"config": order["config"] | {"ClientToken": token}}, intent)

    monkeypatch.setattr(RequestSpotFleet, "forward", forgetful)
    assert "has 2 fleets" in violations(theatre, history)


def test_it_notices_an_answer_that_was_lost_and_is_taken_for_a_no(theatre: Theatre, monkeypatch: Patch) -> None:
    history = at(theatre, "all goes well", FLEET, LOST)
    monkeypatch.setattr("annexd.aws.errors.is_transient", lambda _: False)
    monkeypatch.setattr("annexd.aws.errors.had_no_effect", lambda _: True)
    assert "called undone" in violations(theatre, history)


def test_it_notices_a_lease_that_goes_before_the_instances(theatre: Theatre, monkeypatch: Patch) -> None:
    monkeypatch.setattr(deployed_module().Run, "all_gone", lambda _: True)
    assert "alive without an armed lease" in violations(theatre, "all goes well")


def test_it_notices_a_lease_function_that_ends_who_only_looks_alike(theatre: Theatre, monkeypatch: Patch) -> None:
    module = deployed_module()
    real = module.Run.look_for_fleets

    def by_prefix(self: Any) -> None:
        real(self)
        self.fleets += [module.Fleet(each, "active", "request") for each in sorted(self.foreign)[:1]]

    monkeypatch.setattr(module.Run, "look_for_fleets", by_prefix)
    assert "the foreign fleet" in violations(theatre, "all goes well")


def test_it_notices_a_lease_function_that_raises(theatre: Theatre, monkeypatch: Patch) -> None:
    def broken(_: object) -> None:
        raise KeyError("ClientToken")

    monkeypatch.setattr(deployed_module().Run, "look_for_fleets", broken)
    words = violations(theatre, "all goes well")
    assert "the lease function raised KeyError" in words
    assert "alive at the end" in words


def test_it_notices_a_lease_function_that_believes_at_once_that_nothing_is_there(
    theatre: Theatre, monkeypatch: Patch
) -> None:
    course = "a lease until just before the first tick, and EC2 lags"
    history = at(theatre, course, FLEET, "killed, restarted before the first tick before")
    assert violations(theatre, history) == ""
    monkeypatch.setattr(deployed_module(), "LAG_S", 0.0)
    assert "alive without an armed lease" in violations(theatre, history)


CANCELLED = "it is cancelled as soon as it is there"


def test_it_notices_a_cancellation_that_does_not_wait_for_what_the_order_lost(
    theatre: Theatre, monkeypatch: Patch
) -> None:
    history = at(theatre, CANCELLED, "call PutTargets", "request delayed past the time-out")
    assert violations(theatre, history) == ""
    monkeypatch.setattr(EndLease, "_wait_until_settled", lambda *_: None)
    assert violations(theatre, history)


def test_it_notices_a_cancellation_that_is_called_done_and_is_not(theatre: Theatre, monkeypatch: Patch) -> None:
    monkeypatch.setattr("annexd.annex.steps.end_lease.ask_for_target", lambda *_: None)
    assert "after its lease" in violations(theatre, CANCELLED)


def test_it_notices_a_cancellation_that_ends_leases_by_a_slow_clock(theatre: Theatre, monkeypatch: Patch) -> None:
    course = "a slow clock cancels it before the first tick, and EC2 lags"
    patient = replace(annexd.DEFAULTS, provisioning_delay_s=900)  # or by that clock the fleet would come too late
    monkeypatch.setattr(annexd, "DEFAULTS", patient)
    history = at(theatre, course, "append intent request_spot_fleet", "killed, restarted before the first tick before")
    assert violations(theatre, history) == ""
    monkeypatch.setattr(World, "aws_now_s", lambda self, _: self.now_s())
    assert "alive without an armed lease" in violations(theatre, history)
