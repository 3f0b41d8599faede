"""Test that no state of one annex, however strange, delays another.

Each strange annex is created beside good ones: a hundred in `make whole`, and twenty in `make test`.  For the good ones
a second cancel succeeds without effect, so that the function must terminate every instance itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from test.lease.account import Account
from test.lease.annexes import CANCELLED_TAG, END_TAG, HOUR_S, annex, annexes, token, utc
from test.lease.enforcer import LIMIT_S, Enforcer, enforcer
from test.lease.fleets import EC2, ENDED, FLEET_TAGS, IDLES, SPOT, STUCK, Machine, Request
from test.whole import IS_WHOLE

pytestmark = pytest.mark.usefixtures("kind")
STAMP = "htcondor:annex-fleet"
STATES = "SpotFleetRequestState", "FleetState"
IDS = "SpotFleetRequestId", "FleetId"
ENDS_IN_S = 200.0  # after the run that stamps the instances, before the next
NOTICED_S = 60.0  # the tolerated delay of good instances' termination
GOOD = 80 if IS_WHOLE else 16  # plus a quarter as many of the other kind
YEAR_S = 365 * 86400.0


def without(*names: str) -> Callable[[dict[str, Any]], Any]:
    return lambda seen: {name: value for name, value in seen.items() if name not in names}


def odd(change: Callable[[dict[str, Any]], Any]) -> Callable[[Account], list[Request]]:
    """Return a function that creates an annex with a changed description, which ends with the good ones."""

    def plant(account: Account) -> list[Request]:
        fleet = annex(account, "odd", ENDS_IN_S, 3, variant=IDLES)
        fleet.strange = change
        return [fleet]

    return plant


def with_(**changed: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda seen: {**seen, **changed}


def in_state(state: str) -> Callable[[dict[str, Any]], Any]:
    """Return a function that sets a state, given by Spot Fleet's name."""

    def change(seen: dict[str, Any]) -> Any:
        is_spot = "SpotFleetRequestState" in seen
        word = state if is_spot else state.replace(ENDED[SPOT], ENDED[EC2])
        return {**seen, STATES[0] if is_spot else STATES[1]: word}

    return change


def foreign(account: Account, instances: int = 3, fleet_token: str = "", **tags: str) -> Request:
    fleet = account.request(fleet_token, instances, created_s=account.timeline.now_s - HOUR_S)
    for machine in fleet.machines:
        machine.tags.update({key.replace("__", ":").replace("_", "-"): value for key, value in tags.items()})
    return fleet


def latest_end_s(fleets: list[Request], tick_s: float) -> float:
    ends = [machine.ending_s for fleet in fleets for machine in fleet.machines]
    assert None not in ends, "a good instance was not terminated"
    return max(end_s for end_s in ends if end_s is not None) - tick_s


def run_beside(plant: Callable[[Account], Any]) -> tuple[Enforcer, Any, float, list[dict[str, Any]]]:
    """Run three times with good annexes that end before the second run; `plant` is called before the first.

    A fifth of the good annexes are fleets of the other kind.
    """
    watched = enforcer()
    planted = plant(watched.account)
    good = annexes(watched.account, GOOD, ENDS_IN_S, 5, variant=IDLES)
    other = SPOT if watched.account.kind == EC2 else EC2
    good += annexes(watched.account, GOOD // 4, ENDS_IN_S, 5, "other", variant=IDLES, kind=other)
    first, tick_s = watched.tick(), watched.next_tick_s
    receipts = [first, watched.tick()]
    end_s = latest_end_s(good, tick_s)
    receipts.append(watched.tick())
    return watched, planted, end_s, receipts


@pytest.fixture(scope="module")
def undisturbed_s() -> float:
    return run_beside(lambda _: None)[2]


def many_stuck(account: Account, **how: Any) -> list[Request]:
    """Create a hundred annexes that are hours overdue; `how` are attributes that keep their instances."""
    stuck = annexes(account, 100, -3 * HOUR_S, 5, "stuck", variant=STUCK)
    for machine in (machine for fleet in stuck for machine in fleet.machines):
        for name, value in how.items():
            setattr(machine, name, value)
    return stuck


def many_fresh_and_denied(account: Account, number: int = GOOD + GOOD // 4) -> list[Request]:
    """Create annexes that become overdue together with the good ones, in the same batches; by default as many."""
    fresh = annexes(account, number, ENDS_IN_S, 5, "fresh", variant=STUCK)
    for machine in (machine for fleet in fresh for machine in fleet.machines):
        machine.denied = True
    return fresh


def full_of_tags(account: Account) -> list[Request]:
    fleet = annex(account, "odd", ENDS_IN_S, 3, variant=IDLES)
    fleet.tags.update({f"key-{number}-{'k' * 100}": "v" * 256 for number in range(48)})
    for machine in fleet.machines:
        machine.tags.update({f"key-{number}": "v" * 256 for number in range(49)})
    return [fleet]


def protected(account: Account) -> list[Request]:
    fleets = annexes(account, 20, ENDS_IN_S, 5, "protected", variant=IDLES)
    for fleet in fleets:
        for machine in fleet.machines[::2]:
            machine.protected = True
    return fleets


def hidden(account: Account) -> list[Request]:
    fleets = annexes(account, 20, ENDS_IN_S, 3, "hidden", variant=IDLES)
    account.hidden = {fleet.fleet_id for fleet in fleets}
    return fleets


def tagged(
    name: str, tags: dict[str, str], ends_in_s: float = ENDS_IN_S, **more: Any
) -> Callable[[Account], list[Request]]:
    return lambda account: [annex(account, name, ends_in_s, 3, variant=IDLES, tags=tags, **more)]


def strange_instance(change: Callable[[dict[str, Any]], Any]) -> Callable[[Account], list[Request]]:
    def plant(account: Account) -> list[Request]:
        fleet = annex(account, "odd", ENDS_IN_S, 3, variant=IDLES)
        fleet.machines[0].strange = change
        return [fleet]

    return plant


ENDED_WITH_THE_GOOD: dict[str, Callable[[Account], list[Request]]] = {
    "without a time of creation": odd(without("CreateTime")),
    "without a state": odd(without(*STATES)),
    "in a state that AWS has not had before": odd(in_state("paused")),
    "called cancelled while its instances run": odd(in_state("cancelled")),
    "called failed while its instances run": odd(in_state("failed")),
    "called cancelled_terminating while they run": odd(in_state("cancelled_terminating")),
    "without tags": odd(without("Tags")),
    "with tags that have no value": odd(with_(Tags=[{"Key": END_TAG}])),
    "with tags that have no key": odd(with_(Tags=[{"Value": "x"}])),
    "with as many tags as there may be": full_of_tags,
    "with protected instances": protected,
    "in no list": hidden,
    "whose tag was stripped": tagged("odd", {}),
    "whose tag is unreadable": tagged("odd", {END_TAG: "tomorrow"}),
    "cancelled in words": tagged("odd", {CANCELLED_TAG: "yes"}, 10_000),
    "cancelled and extended": tagged("odd", {CANCELLED_TAG: utc(1_800_000_000), END_TAG: utc(1_800_090_000)}),
    "cancelled in the future": tagged("odd", {CANCELLED_TAG: utc(1_800_003_000)}, 10_000),
    "extended beyond MaxLease": tagged("odd", {END_TAG: utc(4_000_000_000)}, created_s=1_800_000_000 - YEAR_S),
    "ordered beyond MaxLease": tagged("odd", {}, 10_000, created_s=1_800_000_000 - YEAR_S),
    "with an instance without a launch time": strange_instance(without("LaunchTime")),
}


@pytest.mark.parametrize("plant", ENDED_WITH_THE_GOOD.values(), ids=ENDED_WITH_THE_GOOD.keys())
def test_an_annex_that_is_strange_ends_with_the_others_and_delays_none(
    plant: Callable[[Account], list[Request]], undisturbed_s: float
) -> None:
    watched, planted, end_s, receipts = run_beside(plant)
    assert end_s <= undisturbed_s + NOTICED_S
    assert watched.account.living() == []
    assert all(fleet.machines for fleet in planted)
    assert receipts[-1]["stuck"] == 0
    assert receipts[-1]["complete"]


NEITHER_READ_NOR_ENDED: dict[str, Callable[[Account], Any]] = {
    "of which AWS shows nothing": odd(lambda _: {}),
    "without a request, or an ID": odd(without("SpotFleetRequestConfig", "FleetId")),
    "without an ID": odd(without(*IDS)),
    "an instance without an ID": strange_instance(without("InstanceId")),
    "a hundred stuck ones that nobody may terminate": lambda account: many_stuck(account, denied=True),
    "as many that nobody may terminate, in the same batches": many_fresh_and_denied,
}


@pytest.mark.parametrize("plant", NEITHER_READ_NOR_ENDED.values(), ids=NEITHER_READ_NOR_ENDED.keys())
def test_unreadable_and_stuck_fleets_delay_no_others(plant: Callable[[Account], Any], undisturbed_s: float) -> None:
    watched, _, end_s, receipts = run_beside(plant)
    assert end_s <= undisturbed_s + NOTICED_S
    assert watched.account.living(), "this is what could not be ended"
    assert all(receipt["complete"] for receipt in receipts)
    assert any(receipt["errors"] for receipt in receipts)


def test_many_times_more_that_nobody_may_terminate_cost_good_ones_no_further_run() -> None:
    """Their batches are halved until one has only good annexes, and stay halved in the run's next round."""
    _, denied, end_s, _ = run_beside(partial(many_fresh_and_denied, number=100))
    assert end_s < LIMIT_S
    assert all(machine.ending_s is None for fleet in denied for machine in fleet.machines)


@pytest.mark.parametrize("instances", [30, 45])
def test_a_stuck_annex_whose_termination_fails_slowly_delays_no_other_in_its_batch(instances: int) -> None:
    """Each failure takes three tries, so a run has no time to halve the batch down to single instances."""
    watched = enforcer()
    stuck = annex(watched.account, "stuck", -3 * HOUR_S, instances, variant=STUCK)
    good = annexes(watched.account, 1, -3 * HOUR_S, 5, variant=IDLES)
    ids = {machine.instance_id for machine in stuck.machines}

    def fails(operation: str, asked: dict[str, Any]) -> tuple[str, str] | None:
        is_stuck = operation == "TerminateInstances" and not asked.get("DryRun") and ids & set(asked["InstanceIds"])
        return ("InternalError", "An internal error has occurred") if is_stuck else None

    watched.account.fault = fails
    watched.tick()
    assert watched.account.living(*good) == []


def test_stuck_annexes_delay_no_whole_batch_of_others(undisturbed_s: float) -> None:
    """After an outage good annexes are three ticks overdue, too, so each batch is tried once before any is halved."""
    watched = enforcer()
    many_stuck(watched.account, denied=True)
    good = annexes(watched.account, GOOD, -3 * HOUR_S, 5, variant=IDLES)
    tick_s = watched.next_tick_s
    watched.tick()
    assert latest_end_s(good, tick_s) <= undisturbed_s + NOTICED_S


def test_a_hundred_fleets_that_take_no_cancel_lose_their_instances_all_the_same(undisturbed_s: float) -> None:
    watched, stuck, end_s, receipts = run_beside(many_stuck)
    assert end_s <= undisturbed_s + NOTICED_S
    assert watched.account.living(*stuck) == []
    assert receipts[-1]["stuck"] == 100, "the fleets: AWS refuses to cancel them"


def test_a_fleet_that_refuses_and_replaces_its_instances_is_reported_and_delays_nobody(undisturbed_s: float) -> None:
    def plant(account: Account) -> Request:
        now_s = account.timeline.now_s
        made = {"created_s": now_s + 3 * HOUR_S, "variant": STUCK, "maintains": True}  # active for hours
        return account.request(token("replaces", now_s + ENDS_IN_S), 5, **made)  # type: ignore[arg-type]

    watched, fleet, end_s, receipts = run_beside(plant)
    assert end_s <= undisturbed_s + NOTICED_S
    assert len(fleet.machines) > 10
    receipts += [watched.tick() for _ in range(3)]
    assert receipts[-1]["stuck_ids"][0] == fleet.fleet_id
    assert "could not be ended" in watched.error


def test_a_page_that_cannot_be_parsed_keeps_only_the_annex_that_spoils_it(undisturbed_s: float) -> None:
    watched, [spoiled], end_s, receipts = run_beside(odd(with_(CreateTime="yesterday")))
    assert end_s <= undisturbed_s + NOTICED_S
    assert not any(receipt["complete"] for receipt in receipts)
    assert len(watched.account.living(spoiled)) == 3
    for machine in spoiled.machines:  # as an earlier run would have done
        forge(machine, fleet=spoiled.fleet_id, end=utc(1_800_000_200))
    for _ in range(2):
        watched.tick()
    assert watched.account.living() == [], "three ticks after the end that their stamps say"


def test_pages_that_do_not_end_are_left_and_what_they_showed_is_ended(undisturbed_s: float) -> None:
    def plant(account: Account) -> None:
        account.page_token = lambda _: "YWZ0ZXI6MA=="  # after:0

    watched, _, end_s, receipts = run_beside(plant)
    assert end_s <= undisturbed_s + NOTICED_S
    assert not any(receipt["complete"] for receipt in receipts)
    assert "the pages do not end" in watched.error


def test_a_page_token_that_aws_refuses_costs_no_annex_its_end(undisturbed_s: float) -> None:
    def plant(account: Account) -> None:
        account.page_token = lambda _: "no token"

    _, _, end_s, receipts = run_beside(plant)
    assert end_s <= undisturbed_s + NOTICED_S
    assert not any(receipt["complete"] for receipt in receipts)


def test_the_stamped_instances_of_a_fleet_that_aws_knows_no_more_are_ended_when_their_stamp_says_so() -> None:
    watched = enforcer()
    account = watched.account
    fleet, later = annex(account, "purged", 700, 3), annex(account, "later", 10_000, 3)
    never_stamped = annex(account, "unseen", -100, 3)
    del account.requests[never_stamped.fleet_id]
    watched.tick()
    del account.requests[fleet.fleet_id], account.requests[later.fleet_id]
    watched.tick()
    watched.tick()
    assert len(account.living(fleet)) == 3, "until then they are left"
    receipt = watched.tick()
    assert account.living(fleet) == []
    assert len(account.living(later)) == 3
    assert len(account.living(never_stamped)) == 3, "their owner is unknown"
    assert (receipt["complete"], receipt["errors"]) == (True, 0)


def test_a_stamp_forged_to_2093_keeps_the_instances_of_a_fleet_that_is_gone_until_max_lease_only() -> None:
    watched = enforcer()
    account = watched.account
    fleet = annex(account, "purged", 10_000, 3)
    watched.tick()
    del account.requests[fleet.fleet_id]
    for machine in fleet.machines:
        machine.launched_s = account.timeline.now_s + 700 - 30 * 86400
        forge(machine, end=utc(3_900_000_000))
    for _ in range(2):
        watched.tick()
        assert len(account.living(fleet)) == 3
    watched.tick()
    assert account.living(fleet) == []


def copied(account: Account) -> tuple[Request, Request]:
    """Create an annex, and a foreign fleet with copies of all its instances' tags."""
    own = annex(account, "own", 10_000, 3, created_s=account.timeline.now_s - HOUR_S)
    tags = {STAMP: own.fleet_id, "htcondor:annex-id": "own", END_TAG: utc(account.timeline.now_s - HOUR_S)}
    other = foreign(account)
    for machine in other.machines:
        machine.tags.update(tags)
    return own, other


@pytest.mark.parametrize("state", ["listed", "not listed", "not found", "no answer"])
def test_instances_of_others_with_copied_tags_are_spared(state: str) -> None:
    watched = enforcer()
    own, other = copied(watched.account)
    if state == "not listed":
        watched.account.hidden = {other.fleet_id, own.fleet_id}
    if state == "not found":
        del watched.account.requests[other.fleet_id]
    if state == "no answer":
        watched.account.fault = failing("DescribeSpotFleetRequests", "UnauthorizedOperation")
    for _ in range(6):
        watched.tick()
    assert len(watched.account.living(other)) == 3
    assert len(watched.account.living(own)) == 3
    assert not any(what.startswith(("cancel", "terminated")) for _, what, _ in watched.account.effects)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "a_1_0123456789abcdef",
        "annex-0123_0123456789abcdef",
        "a_0999999999_0123456789abcdef",
        "a_4000000001_0123456789abcdef",
        "x" * 64,
    ],
)
@pytest.mark.parametrize("tags", [{}, {END_TAG: utc(1_700_000_000), CANCELLED_TAG: utc(1_700_000_000)}])
def test_a_fleet_without_our_token_is_never_touched_for_any_tags(text: str, tags: dict[str, str]) -> None:
    watched = enforcer()
    fleet = foreign(watched.account, fleet_token=text)
    fleet.tags.update(tags)
    for _ in range(5):
        receipt = watched.tick()
    assert len(watched.account.living(fleet)) == 3
    looks = "DescribeSpotFleetRequests", "DescribeFleets", "DescribeInstances", "DescribeLaunchTemplates"
    assert watched.account.calls == dict.fromkeys(looks, 5)
    assert (receipt["fleets"], receipt["instances"], receipt["errors"]) == (0, 0, 0)


def failing(*operations_and_code: str) -> Callable[[str, dict[str, Any]], tuple[str, str] | None]:
    *operations, code = operations_and_code
    return lambda operation, _: (code, "a fault of this test") if operation in operations else None


def forge(machine: Machine, **tags: str | None) -> None:
    for name, value in tags.items():
        key = {"fleet": STAMP, "annex": "htcondor:annex-id", "end": END_TAG}[name]
        if value is None:
            machine.tags.pop(key, None)
        else:
            machine.tags[key] = value


@pytest.mark.parametrize("when", range(4))
@pytest.mark.parametrize("how", [
    {"fleet": None, "annex": None, "end": None},
    {"fleet": "sfr-00000000-0000-4000-8000-000000000000"},
    {"end": utc(1_600_000_000)},
    {"end": utc(3_900_000_000)},
    {"end": "x" * 256},
    {"annex": "x" * 256},
])  # fmt: skip
def test_stamps_that_are_stripped_or_forged_at_any_moment_end_nothing_early_and_keep_nothing(
    how: dict[str, str | None], when: int
) -> None:
    watched = enforcer()
    fleet = annex(watched.account, "forged", 700, 4)
    for number in range(4):
        if number == when:
            forge(fleet.machines[0], **how)
        if number == 3:
            assert len(watched.account.living(fleet)) == 4, "none was ended early"
        watched.tick()
    assert watched.account.living(fleet) == []


@pytest.mark.parametrize("when", range(4))
@pytest.mark.parametrize("tags", [{}, {END_TAG: utc(4_000_000_000)}, {END_TAG: "x" * 256}, {END_TAG: ""}])
def test_tags_of_the_fleet_that_are_stripped_or_forged_move_the_end_to_the_tokens_or_to_max_lease(
    tags: dict[str, str], when: int
) -> None:
    watched = enforcer()
    now_s = watched.timeline.now_s
    old = {"created_s": now_s + 700 - 30 * 86400}  # creation plus MaxLease equals the token's end
    fleet = annex(watched.account, "forged", 700, 4, **old)
    for number in range(4):
        if number == when:
            fleet.tags = dict(tags)
        if number == 3:
            assert len(watched.account.living(fleet)) == 4, "none was ended early"
        watched.tick()
    assert watched.account.living(fleet) == []


def test_an_annex_that_was_extended_is_not_ended_by_its_older_stamps() -> None:
    watched = enforcer()
    fleet = annex(watched.account, "extended", 400, 3)
    watched.tick()
    assert {machine.tags[END_TAG] for machine in fleet.machines} == {utc(1_800_000_400)}
    fleet.tags[END_TAG] = utc(1_800_003_600)
    watched.account.fault = failing("CreateTags", "UnauthorizedOperation")
    for _ in range(8):
        watched.tick()
    assert len(watched.account.living(fleet)) == 3
    watched.account.fault = lambda _, __: None
    watched.tick()
    assert {machine.tags[END_TAG] for machine in fleet.machines} == {utc(1_800_003_600)}


def test_the_instance_tag_of_aws_is_never_written() -> None:
    watched = enforcer()
    fleet = annex(watched.account, "stamped", 10_000, 3)
    watched.tick()
    for machine in fleet.machines:
        stamp = {STAMP: fleet.fleet_id, "htcondor:annex-id": "stamped", END_TAG: utc(1_800_010_000)}
        assert machine.tags == {FLEET_TAGS[fleet.kind]: fleet.fleet_id, **stamp}
