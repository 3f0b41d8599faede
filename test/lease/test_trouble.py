"""Test failures: throttling only delays, a failing call affects only itself, and no annex starves."""

from __future__ import annotations

import contextlib
from base64 import b64decode, b64encode
from collections import Counter, deque
from functools import partial
from typing import Any

import pytest

from test.lease.account import Account
from test.lease.annexes import HOUR_S, annex, annexes, utc
from test.lease.enforcer import CutOff, Enforcer, enforcer
from test.lease.fleets import ACTS, EC2, IDLES, REFUSES, SPOT, STUCK, Request
from test.lease.loading import load_function

pytestmark = pytest.mark.usefixtures("kind")
THROTTLED = "RequestLimitExceeded"
A_CALL = {SPOT: 100, EC2: 25}  # fleets that one call ends


@pytest.fixture
def watched() -> Enforcer:
    return enforcer()


def failing(code: str, *operations: str) -> Any:
    return lambda operation, _: (code, "a fault of this test") if operation in operations else None


def a_few_times(times: int, code: str, *operations: str) -> Any:
    left = Counter(dict.fromkeys(operations, times))

    def fault(operation: str, _: dict[str, Any]) -> tuple[str, str] | None:
        if left[operation] <= 0:
            return None
        left[operation] -= 1
        return code, "a fault of this test"

    return fault


def _launch(account: Account, fleet: Request) -> None:
    account.launch(fleet)


ALL = ("DescribeSpotFleetRequests", "DescribeInstances", "CancelSpotFleetRequests", "TerminateInstances", "CreateTags")


@pytest.mark.parametrize("variant", [ACTS, REFUSES, IDLES])
def test_the_answer_to_a_cancellation_does_not_matter(watched: Enforcer, variant: str) -> None:
    fleet = annex(watched.account, "over", -10, 5, variant=variant)
    receipt = watched.tick()
    assert watched.account.living(fleet) == []
    assert (receipt["ended"], receipt["stuck"], watched.error) == (5, 0, "")


@pytest.mark.parametrize("instances", [0, 2])
def test_a_fleet_that_still_launches_is_cancelled_and_its_late_instances_are_ended_in_the_same_run(
    watched: Enforcer, instances: int
) -> None:
    account = watched.account
    fleet = annex(account, "late", -10, instances, created_s=account.timeline.now_s - 100, variant=IDLES)
    for delay_s in (5.0, 12.0):
        account.timeline.after(delay_s, partial(_launch, account, fleet))
    watched.tick()
    assert len(fleet.machines) == instances + 2
    assert account.living(fleet) == []


@pytest.mark.parametrize("code", [THROTTLED, "InternalError", "Unavailable"])
def test_a_fault_that_passes_is_overcome_in_the_same_run(watched: Enforcer, code: str) -> None:
    fleet = annex(watched.account, "over", -10, 5, variant=IDLES)
    watched.account.fault = a_few_times(2, code, *ALL)
    receipt = watched.tick()
    assert watched.account.living(fleet) == []
    assert (receipt["errors"], receipt["complete"]) == (0, True)
    assert (receipt["throttled"] > 0) == (code == THROTTLED)


def test_throttling_delays_and_is_not_an_error(watched: Enforcer) -> None:
    fleets = annexes(watched.account, 10, -10, 5, variant=IDLES)
    watched.account.fault = a_few_times(6, THROTTLED, *ALL)
    receipt = watched.tick()
    assert receipt["throttled"] >= 4 * 6
    assert (receipt["errors"], receipt["stuck"], watched.error) == (0, 0, "")
    assert watched.account.living(*fleets) == []


def test_a_look_at_fleets_that_is_throttled_for_hours_ends_what_is_stamped_three_ticks_late(watched: Enforcer) -> None:
    account = watched.account
    fleet, later = annex(account, "over", 200, 5, variant=IDLES), annex(account, "later", 40_000, 5)
    unstamped = annex(account, "unstamped", 200, 5)
    for machine in unstamped.machines:
        account.machines.pop(machine.instance_id)
    watched.tick()
    account.machines.update({machine.instance_id: machine for machine in unstamped.machines})
    account.fault = failing(THROTTLED, "DescribeSpotFleetRequests")
    for _ in range(3):
        assert watched.tick()["complete"] is False
        assert len(account.living(fleet)) == 5
    watched.tick()  # 1,200 s; the end was at 200 s
    assert account.living(fleet) == []
    assert ("cancel: success", fleet.fleet_id) in {each[1:] for each in account.effects}, "the fleet itself, too"
    assert len(account.living(later)) == 5
    assert len(account.living(unstamped)) == 5, "their owner is unknown"
    account.fault = failing("")
    watched.tick()
    assert account.living(unstamped) == []


def test_fleets_are_cancelled_even_if_no_instance_can_be_read(watched: Enforcer) -> None:
    fleets = annexes(watched.account, 150, -10, 2)
    watched.account.fault = failing("UnauthorizedOperation", "DescribeInstances")
    watched.tick()
    assert {name for _, what, name in watched.account.effects if what == "cancel: success"} == {
        fleet.fleet_id for fleet in fleets
    }


def test_the_instances_of_the_first_look_are_ended_if_the_second_fails(watched: Enforcer) -> None:
    fleets = annexes(watched.account, 10, -10, 5, variant=IDLES)
    seen: list[int] = []

    def fault(operation: str, _: dict[str, Any]) -> tuple[str, str] | None:
        seen.append(operation == "DescribeInstances")
        return ("Blocked", "a fault of this test") if operation == "DescribeInstances" and sum(seen) > 1 else None

    watched.account.fault = fault
    watched.tick()
    assert watched.account.living(*fleets) == []


def test_instances_are_ended_in_the_same_run_even_if_every_cancel_is_throttled(watched: Enforcer) -> None:
    fleets = annexes(watched.account, 10, -10, 5, variant=IDLES)
    watched.account.fault = failing(THROTTLED, "CancelSpotFleetRequests")
    receipt = watched.tick()
    assert watched.account.living(*fleets) == []
    assert receipt["duration_s"] <= 222


def test_all_cancels_come_before_any_termination(watched: Enforcer, kind: str) -> None:
    calls = 500 // A_CALL[kind]
    annexes(watched.account, 250, -10, 2, variant=IDLES)
    annexes(watched.account, 250, -3 * HOUR_S, 2, "stuck", variant=IDLES)
    made: list[tuple[str, bool]] = []
    watched.account.fault = lambda operation, asked: made.append((operation, bool(asked.get("DryRun"))))
    watched.tick()
    acts = [each for each in made if not each[0].startswith("Describe")]
    assert acts[:calls] == [("CancelSpotFleetRequests", False)] * calls, "and before any DryRun"
    kinds = [what.split(":")[0] for _, what, _ in watched.account.effects]
    order = ["cancel", "terminated", "template deleted"]
    assert kinds == sorted(kinds, key=order.index)
    assert kinds.count("cancel") == 500
    assert watched.account.count("CancelSpotFleetRequests") <= calls + 1


def test_those_overdue_for_long_come_after_those_that_have_just_ended(watched: Enforcer) -> None:
    good = annexes(watched.account, 50, -10, 2, "z", variant=IDLES)
    stuck = annexes(watched.account, 50, -3 * HOUR_S, 2, "a", variant=IDLES)
    watched.tick()
    first = {kind: [machine.ending_s or 0.0 for fleet in fleets for machine in fleet.machines]
             for kind, fleets in {"good": good, "stuck": stuck}.items()}  # fmt: skip
    assert max(first["good"]) <= min(first["stuck"])


def test_protection_is_lifted_from_the_protected_alone_and_neighbours_end_with_the_rest(watched: Enforcer) -> None:
    account = watched.account
    fleet = annex(account, "over", -10, 50, variant=IDLES)
    living = annex(account, "living", 10_000, 3)
    for machine in (*fleet.machines[:3], *living.machines):
        machine.protected = True
    receipt = watched.tick()
    assert account.living(fleet) == []
    assert all(machine.protected for machine in living.machines)
    assert account.calls["ModifyInstanceAttribute"] == 4, "and a DryRun"
    assert (receipt["errors"], watched.error) == (0, "")


def test_protection_that_may_not_be_lifted_is_stuck_and_reported_by_its_id(watched: Enforcer) -> None:
    account = watched.account
    fleet = annex(account, "over", -HOUR_S, 5, variant=IDLES)
    fleet.machines[2].protected = True
    account.fault = failing("UnauthorizedOperation", "ModifyInstanceAttribute")
    receipt = watched.tick()
    assert receipt["stuck_ids"] == [fleet.machines[2].instance_id]
    assert fleet.machines[2].instance_id in watched.error
    account.fault = failing("")
    watched.tick()
    assert account.living(fleet) == []


def test_terminations_without_effect_are_repeated_and_reported_as_stuck(watched: Enforcer) -> None:
    account = watched.account
    fleet = annex(account, "over", -HOUR_S, 5, variant=IDLES)
    for machine in fleet.machines:
        object.__setattr__(machine, "end", lambda _: None)
    receipt = watched.tick()
    assert account.calls["TerminateInstances"] >= 3
    assert (receipt["ended"], receipt["stuck"]) == (0, 5)
    assert "could not be ended" in watched.error


def test_nothing_is_started_in_the_last_twenty_seconds_of_the_time_limit_whatever_throttles(watched: Enforcer) -> None:
    """`Enforcer` fails a run that makes a call later than this."""
    annexes(watched.account, 100, -10, 5, variant=IDLES)
    for operations in (("TerminateInstances",), ("DescribeInstances",), ("DescribeSpotFleetRequests",), ALL):
        watched.account.fault = failing(THROTTLED, *operations)
        assert watched.tick()["duration_s"] <= 222


def test_every_part_of_what_is_stuck_is_first_before_long_however_little_a_run_gets_done() -> None:
    """With any number of batches, and runs that do a twentieth of them, each comes first within forty ticks."""
    in_turn = load_function().in_turn
    for size in (1, 2, 7, 20, 100, 1000, 1597):
        for start in (0, 1_800_000_000, 1_812_345_678):
            done: set[str] = set()
            for number in range(40):
                work = in_turn(deque([f"{each}"] for each in range(size)), start + 300.0 * number)
                assert len(work) == size
                done |= {each for [each] in list(work)[: max(1, size // 20)]}
            assert len(done) == size


@pytest.mark.parametrize("fault", [None, "AccessDenied"])
def test_objects_of_annexes_that_are_over_and_gone_are_removed_and_no_others(
    watched: Enforcer, fault: str | None
) -> None:
    account = watched.account
    annex(account, "over", -10, 2)
    annex(account, "living", 10_000, 2)
    annex(account, "two", -10, 1)
    annex(account, "two", 10_000, 1)
    stuck = annex(account, "stuck", -10, 1, variant=STUCK)
    stuck.machines[0].denied = True
    kept = {f"annex/{name}.tar.gz" for name in ("living", "two", "stuck", "over2", "ove", "unknown", "over.tar.gz/x")}
    kept |= {"over.tar.gz", "annex/over.tar", "other/over.tar.gz"}
    account.objects = kept | {"annex/over.tar.gz"}
    if fault:
        account.fault = failing(fault, "DeleteObjects")
        watched.tick()
        assert watched.tick()["errors"] >= 1
        assert account.objects == kept | {"annex/over.tar.gz"}
        account.fault = failing("")
    watched.tick()
    watched.tick()
    assert account.objects == kept


def test_after_an_incomplete_look_no_object_is_removed(watched: Enforcer) -> None:
    account: Account = watched.account
    annex(account, "over", -10, 0)
    account.objects = {"annex/over.tar.gz"}
    account.page_token = lambda _: "YWZ0ZXI6MA=="
    watched.tick()
    assert account.objects == {"annex/over.tar.gz"}


def test_an_order_in_progress_keeps_its_object(watched: Enforcer) -> None:
    """annexd writes the object before the fleet exists."""
    annex(watched.account, "over", -10, 0)
    watched.account.objects = {"annex/new.tar.gz"}
    watched.tick()
    assert watched.account.objects == {"annex/new.tar.gz"}


def test_a_run_that_takes_long_ends_nothing_whose_end_it_read_and_that_was_extended_since(watched: Enforcer) -> None:
    """annexd sends an extension until two minutes before the end."""
    account = watched.account
    annexes(account, 400, -10, 10, variant=IDLES)  # more than three minutes of terminations
    extended = annex(account, "extended", 130, 3, variant=IDLES)
    late = {"htcondor:annex-lease-end": utc(account.timeline.now_s + 10_000)}
    account.timeline.after(9.0, lambda: extended.tags.update(late))
    assert watched.tick()["duration_s"] > 130
    watched.tick()
    assert len(account.living(extended)) == 3
    assert extended.cancelled_s is None


@pytest.mark.parametrize("call", range(1, 40))
def test_a_run_that_is_cut_off_at_any_call_is_completed_by_the_next(watched: Enforcer, call: int) -> None:
    account = watched.account
    fleets = annexes(account, 3, -10, 60, variant=IDLES)
    fleets[0].machines[0].protected = True
    account.objects = {f"annex/good-{number}.tar.gz" for number in range(3)}
    seen: list[str] = []

    def fault(operation: str, _: dict[str, Any]) -> None:
        seen.append(operation)
        if len(seen) == call:
            raise CutOff

    account.fault = fault
    with contextlib.suppress(CutOff):
        watched.tick()
    account.fault = failing("")
    assert watched.tick()["complete"]
    assert account.living() == []
    watched.tick()
    assert account.objects == set()


def test_pages_that_shift_while_they_are_read_hide_no_annex(watched: Enforcer) -> None:
    account = watched.account
    fleets = annexes(account, 450, -10, 1, variant=IDLES)
    account.hidden = {fleet.fleet_id for fleet in fleets[195:205]}  # they moved to a page that was already read

    def again(token: str | None) -> str | None:
        """Begin the next page a little before the end of this one."""
        if token is None:
            return None
        last = int(b64decode(token).decode().removeprefix("after:"))
        return b64encode(f"after:{last - 7}".encode()).decode()

    account.page_token = again
    receipt = watched.tick()
    assert account.living() == []
    assert (receipt["complete"], receipt["ended"], receipt["errors"]) == (True, 450, 0)


def test_each_annex_is_stamped_by_one_call_and_only_when_its_end_moves(watched: Enforcer) -> None:
    account = watched.account
    fleets = annexes(account, 20, 10_000, 10)
    for stamped in (20, 0, 3, 0):
        for fleet in fleets[:3] if stamped == 3 else ():
            fleet.tags["htcondor:annex-lease-end"] = utc(account.timeline.now_s + 20_000)
        account.calls.clear()
        watched.tick()
        assert account.calls["CreateTags"] == stamped + 1, "and a DryRun"


def test_living_annexes_are_stamped_also_in_a_run_that_has_no_time_for_all_its_terminations(watched: Enforcer) -> None:
    account = watched.account
    annexes(account, 600, -10, 10, "over", variant=IDLES)
    living = annexes(account, 20, 10_000, 2)
    watched.tick()
    assert account.living(*living) != account.living(), "it had no time for all"
    assert all("htcondor:annex-fleet" in machine.tags for fleet in living for machine in fleet.machines)


def test_stuck_instances_are_stamped_for_the_day_on_which_aws_forgets_their_fleet(watched: Enforcer) -> None:
    account = watched.account
    fleet = annex(account, "over", -10, 3, variant=IDLES)
    for machine in fleet.machines:
        machine.denied = True
    watched.tick()
    del account.requests[fleet.fleet_id]
    for machine in fleet.machines:
        machine.denied = False
    watched.tick()
    assert account.living() == []


def test_a_missing_right_to_stamp_costs_no_calls(watched: Enforcer) -> None:
    annexes(watched.account, 20, 10_000, 10)
    watched.account.fault = failing("UnauthorizedOperation", "CreateTags")
    watched.tick()
    assert watched.account.calls["CreateTags"] == 1


def test_an_extension_during_a_run_is_seen_by_the_next_and_its_stamps_follow(watched: Enforcer) -> None:
    account = watched.account
    fleet = annex(account, "extended", 400, 3)
    now_s = account.timeline.now_s
    account.timeline.after(1.0, lambda: fleet.tags.update({"htcondor:annex-lease-end": utc(now_s + 2000)}))
    for _ in range(6):
        watched.tick()
    assert len(account.living(fleet)) == 3
    assert {machine.tags["htcondor:annex-lease-end"] for machine in fleet.machines} == {utc(now_s + 2000)}
    watched.tick()
    watched.tick()
    assert account.living(fleet) == []
