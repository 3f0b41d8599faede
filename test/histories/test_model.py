"""Test the model: removing any part of the promise from the real code breaks at least one history."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from annexd.annex import steps
from annexd.annex.fleet import inventory, kinds
from annexd.annex.lease import heartbeat
from annexd.annex.lease.heartbeat import Heartbeats
from annexd.annex.request.order import FleetOrder
from annexd.annex.steps import StepContext, check_lease_function, end_fleets, inform_machines, move_end, read_lease
from annexd.annex.steps.request_fleet import FleetIntent, FleetRequested, RequestFleet
from annexd.annex.steps.tag_fleets import AnnexFleets
from annexd.workflow import Refused
from test.histories.catalog import HistoryRunner
from test.histories.courses import COURSES
from test.histories.faults import ANNEXD, LEASE
from test.histories.history import History
from test.lease.enforcer import deployed_module

Patch = pytest.MonkeyPatch
WELL, LATER, LOST = "all goes well", "a second order half an hour later", "answer lost after the effect"
CANCELLED, EXTENDED = "it is cancelled", "it is extended as soon as it is there"
SOON = "it is shortened, and soon extended"
FLEET, DELAYED = "call RequestSpotFleet", "request delayed past the time-out"


def at(runner: HistoryRunner, course: str, what: str, fault: str, actor: str = ANNEXD, nth: int = 0) -> str:
    """Return the name of the course's history with this fault at the first, or `nth`, such point."""
    met = runner.play(History(COURSES[course])).met
    numbers = [point.number for point in met if point.actor == actor and f"{point.place} {point.what}" == what]
    return f"{course} | {actor} {numbers[nth]}: {fault}"


def violations(runner: HistoryRunner, *names: str) -> str:
    return "; ".join(message for name in names for message in runner.play_again(name).violations)


def unheard(*_: Any) -> Any:
    """Check nothing."""
    receipt = heartbeat.Receipt(0.0, "", "", "", 2, "", 3600, True, (), 0, (), ())
    return check_lease_function.LeaseFunction(receipt, {}, 3600)


# Orders.


def test_it_notices_money_without_a_heartbeat(runner: HistoryRunner, monkeypatch: Patch) -> None:
    history = at(runner, LATER, "run lease.py", "no run for an hour", LEASE, 1)
    assert violations(runner, history) == ""
    monkeypatch.setattr(check_lease_function, "lease_function_of", unheard)
    assert "although no rule had called" in violations(runner, history)


def test_it_notices_a_heartbeat_by_hand_that_is_taken_for_the_rules(runner: HistoryRunner, monkeypatch: Patch) -> None:
    history = at(runner, LATER, "run lease.py", "called by hand instead of by its rule for an hour", LEASE, 1)
    assert violations(runner, history) == ""
    real = heartbeat.read
    monkeypatch.setattr(heartbeat, "RECEIPT", '{ $.receipt = "htcondor-annex-lease" }')
    monkeypatch.setattr(heartbeat, "read", lambda line: real(line.replace('"tick": false', '"tick": true')))
    assert "although no rule had called" in violations(runner, history)


def test_it_notices_a_function_that_is_closed_and_is_used(runner: HistoryRunner, monkeypatch: Patch) -> None:
    history = at(runner, LATER, "run lease.py", "it is closed for an hour", LEASE, 2)
    assert violations(runner, history) == ""
    monkeypatch.setattr(check_lease_function, "is_closed", lambda _: False)
    assert "was closed" in violations(runner, history)


def test_it_notices_a_heartbeat_that_is_never_forgotten(runner: HistoryRunner, monkeypatch: Patch) -> None:
    history = at(runner, LATER, "run lease.py", "no run for an hour", LEASE, 1)
    real, kept = Heartbeats.newest, list[Any]()

    def newest(self: Heartbeats, *arguments: Any, **more: Any) -> Any:
        kept.append(real(self, *arguments, **more))
        return kept[0]

    monkeypatch.setattr(Heartbeats, "newest", newest)
    monkeypatch.setattr(heartbeat, "STALE_S", 1e9)
    assert "although no rule had called" in violations(runner, history)


def test_it_notices_an_end_in_the_token_that_was_not_ordered(runner: HistoryRunner, monkeypatch: Patch) -> None:
    real = "annexd.annex.request.order.leased_token"
    from annexd.annex.lease.identifiers import leased_token

    monkeypatch.setattr(real, lambda annex_id, end_s: leased_token(annex_id, end_s + 60))
    assert "another end in its token" in violations(runner, WELL)


def test_it_notices_a_token_that_is_new_at_every_try(runner: HistoryRunner, monkeypatch: Patch) -> None:
    history = at(runner, WELL, FLEET, LOST)
    real, tries = RequestFleet.forward, iter(range(1000))

    def forgetful(self: RequestFleet, order: FleetOrder, intent: FleetIntent) -> FleetRequested:
        token = f"{order.client_token.rpartition('_')[0]}_{next(tries):016x}"
        return real(self, replace(order, config={**order.config, "ClientToken": token}), intent)

    monkeypatch.setattr(RequestFleet, "forward", forgetful)
    assert "has 2 fleets" in violations(runner, history)


def test_it_notices_an_undo_that_takes_not_found_for_never(runner: HistoryRunner, monkeypatch: Patch) -> None:
    course = "the fleet is denied"
    history = at(runner, course, FLEET, DELAYED)
    assert violations(runner, history) == ""
    real = StepContext
    monkeypatch.setattr(steps, "StepContext", lambda access, now_s, **more: real(access, now_s, settle_s=0.0, **more))
    assert "called undone" in violations(runner, history)


def test_it_notices_an_answer_that_was_lost_and_is_taken_for_a_no(runner: HistoryRunner, monkeypatch: Patch) -> None:
    history = at(runner, WELL, FLEET, LOST)
    monkeypatch.setattr("annexd.aws.errors.is_transient", lambda _: False)
    monkeypatch.setattr("annexd.aws.errors.had_no_effect", lambda _: True)
    assert "called undone" in violations(runner, history)


# Cancellations and changes.


def test_it_notices_a_failure_inside_a_200_that_is_taken_for_success(runner: HistoryRunner, monkeypatch: Patch) -> None:
    history = at(
        runner,
        "it is cancelled as soon as it is there",
        "call CancelSpotFleetRequests",
        "partial failure inside a 200",
    )
    assert violations(runner, history) == ""
    monkeypatch.setattr(inventory, "is_cancelled_already", lambda _: True)
    monkeypatch.setattr(end_fleets, "ENDED", kinds.ENDED | {"active", "submitted"})
    assert "called cancelled" in violations(runner, history)


def test_it_notices_a_cancellation_that_is_called_done_and_is_none(runner: HistoryRunner, monkeypatch: Patch) -> None:
    monkeypatch.setattr(end_fleets.EndFleets, "forward", lambda *_: end_fleets.FleetsEnded(0))
    assert "after its lease" in violations(runner, CANCELLED)


def test_it_notices_a_cancellation_that_gives_up_what_ec2_does_not_show_yet(
    runner: HistoryRunner, monkeypatch: Patch
) -> None:
    def impatient(_: StepContext, ec2: Any, annex: AnnexFleets) -> Any:
        if fleets := inventory.fleets_of_annex(ec2, annex.annex_id, annex.fleet_ids):
            return fleets
        raise Refused("it is over", untouched=True)

    monkeypatch.setattr(end_fleets, "fleets_of", impatient)
    assert "was called a failure" in violations(runner, "it is cancelled as soon as it is there")


def test_it_notices_an_extension_that_is_called_done_and_is_none(runner: HistoryRunner, monkeypatch: Patch) -> None:
    monkeypatch.setattr(move_end, "write_tag", lambda *_: True)
    monkeypatch.setattr(move_end, "wait_until_seen", lambda *_: None)
    assert "called moved and is elsewhere" in violations(runner, EXTENDED)


def test_it_notices_an_extension_that_is_not_undone_when_it_failed(runner: HistoryRunner, monkeypatch: Patch) -> None:
    history = at(runner, EXTENDED, "call PutObject", "throttled for good", nth=1)
    assert violations(runner, history) == ""
    monkeypatch.setattr(move_end.MoveEnd, "backward", lambda *_: None)
    monkeypatch.setattr(inform_machines.InformMachines, "backward", lambda *_: None)
    assert "made its lease longer" in violations(runner, history)


def test_it_notices_a_change_that_does_not_wait_for_what_was_written_before(
    runner: HistoryRunner, monkeypatch: Patch
) -> None:
    history = at(runner, SOON, "call PutObject", DELAYED, nth=1)
    assert violations(runner, history) == ""
    for module in (read_lease, move_end, inform_machines):
        monkeypatch.setattr(module, "require_settled", lambda *_: None)
    assert "got an earlier end" in violations(runner, history)


def test_it_notices_machines_that_never_learn_of_an_extension(runner: HistoryRunner, monkeypatch: Patch) -> None:
    monkeypatch.setattr(inform_machines, "put_present", lambda *_: None)
    assert "got an earlier end" in violations(runner, EXTENDED)


# The lease function.


def test_it_notices_a_function_that_ends_who_only_looks_alike(runner: HistoryRunner, monkeypatch: Patch) -> None:
    module = deployed_module()
    real = module.read_token
    monkeypatch.setattr(module, "read_token", lambda token: real(token) or (("x", 1_000_000_001) if token else None))
    assert "the foreign fleet" in violations(runner, WELL)


def test_it_notices_a_function_that_believes_copied_stamps(runner: HistoryRunner, monkeypatch: Patch) -> None:
    module = deployed_module()
    monkeypatch.setattr(module.Inventory, "is_ours", lambda *_: True)
    course = next(name for name in COURSES if "reserved tag only" in name)
    monkeypatch.setattr(module.Instance, "stamped_end_s", lambda *_: 0.0)
    assert "the foreign fleet" in violations(runner, course)


def test_it_notices_a_function_that_raises(runner: HistoryRunner, monkeypatch: Patch) -> None:
    def broken(_: object) -> None:
        raise KeyError("ClientToken")

    monkeypatch.setattr(deployed_module().Inventory, "look", broken)
    message = violations(runner, WELL)
    assert "the lease function raised KeyError" in message


def test_it_notices_a_function_that_believes_what_a_cancellation_answers(
    runner: HistoryRunner, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(deployed_module().Run, "terminate_batch", lambda *_: None)
    assert "alive at the end" in violations(runner, "a second cancel has no effect")


def test_it_notices_a_function_that_takes_what_a_list_leaves_out_for_gone(
    runner: HistoryRunner, monkeypatch: Patch
) -> None:
    module = deployed_module()
    history = at(runner, SOON, "call DescribeSpotFleetRequests", "leaves one out for an hour", LEASE)

    def believing(self: Any, *_: object) -> None:
        unknown = {each.fleet_id for each in self.instances.values()} - self.fleets.keys() - self.foreign
        self.gone |= unknown

    monkeypatch.setattr(module.Inventory, "look_by_id", believing)
    monkeypatch.setattr(module.Instance, "stamped_end_s", lambda *_: 0.0)
    monkeypatch.setattr(module.Instance, "is_stamped", True)
    assert "ended before its lease" in violations(runner, history)


def test_it_notices_a_function_that_ends_leases_by_the_token_alone(runner: HistoryRunner, monkeypatch: Patch) -> None:
    monkeypatch.setattr(deployed_module(), "END_TAG", "another-tag")
    assert "ended before its lease" in violations(runner, EXTENDED)


def test_it_notices_a_function_without_a_longest_lease(runner: HistoryRunner, monkeypatch: Patch) -> None:
    module = deployed_module()
    history = at(runner, WELL, "call CreateTags", "its end is moved by years by hand", LEASE)
    assert violations(runner, history) == ""
    real = module.lease_end
    monkeypatch.setattr(module, "lease_end", lambda token, tags, created_s, _: real(token, tags, created_s, 1e9))
    assert "alive at the end" in violations(runner, history)


def test_it_notices_a_function_that_leaves_tokens_behind(runner: HistoryRunner, monkeypatch: Patch) -> None:
    monkeypatch.setattr(deployed_module().Run, "clean", lambda _: None)
    assert "is left behind" in violations(runner, WELL)
