"""Test Spot Fleets and EC2 Fleets in one account: each ends by its own calls, and neither API blocks the other.

EC2 Fleets' launch templates are deleted once their annex is gone.
"""

from __future__ import annotations

import pytest

from test.lease.account import Account
from test.lease.annexes import CANCELLED_TAG, END_TAG, HOUR_S, annex, annexes, token, utc
from test.lease.enforcer import Enforcer, enforcer
from test.lease.fleets import ACTS, EC2, IDLES, REFUSES, SPOT, STUCK, Template
from test.lease.loading import load_function

LOOKS = {SPOT: "DescribeSpotFleetRequests", EC2: "DescribeFleets"}
ENDS = {SPOT: "CancelSpotFleetRequests", EC2: "DeleteFleets"}
BOTH = pytest.mark.parametrize(("one", "other"), [(SPOT, EC2), (EC2, SPOT)])


@pytest.fixture
def watched() -> Enforcer:
    return enforcer()


def test_both_kinds_end_in_one_run_and_living_ones_of_both_stay(watched: Enforcer) -> None:
    account = watched.account
    over = [annex(account, f"over-{kind}", -10, 3, kind=kind, variant=IDLES) for kind in (SPOT, EC2)]
    living = [annex(account, f"living-{kind}", 10_000, 3, kind=kind) for kind in (SPOT, EC2)]
    receipt = watched.tick()
    assert account.living(*over) == []
    assert len(account.living(*living)) == 6
    assert (receipt["fleets"], receipt["ended"], receipt["complete"], watched.error) == (2, 6, True, "")
    assert receipt["rights"] == dict.fromkeys(("cancel", "terminate", "stamp", "unprotect"), True)


def test_one_annex_of_two_kinds_ends_as_a_whole(watched: Enforcer) -> None:
    fleets = [annex(watched.account, "both", -10, 2, kind=kind) for kind in (SPOT, EC2)]
    watched.tick()
    assert watched.account.living(*fleets) == []


@BOTH
@pytest.mark.parametrize("code", ["UnauthorizedOperation", "InvalidParameterValue"])
def test_an_unreadable_kind_is_reported_and_the_other_ends(watched: Enforcer, one: str, other: str, code: str) -> None:
    account = watched.account
    fleets = annexes(account, 10, -10, 2, kind=other)
    stamped = annex(account, "stamped", 200, 2, kind=one)
    watched.tick()
    assert account.living(*fleets) == []
    account.failing[LOOKS[one]] = code
    late = annexes(account, 5, -10, 2, "late", kind=other)
    receipt = watched.tick()
    assert account.living(*late) == []
    assert receipt["complete"] is False
    assert LOOKS[one] in watched.error or code in watched.error
    assert len(account.living(stamped)) == 2, "until it is overdue by three ticks"
    for _ in range(3):
        watched.tick()
    assert account.living(stamped) == []


@BOTH
def test_a_kind_that_cannot_be_ended_reports_the_missing_right_and_the_other_ends(
    watched: Enforcer, one: str, other: str
) -> None:
    account = watched.account
    living = [annex(account, f"living-{kind}", 10_000, 1, kind=kind) for kind in (SPOT, EC2)]
    stuck, fleets = annex(account, "stuck", -10, 2, kind=one), annexes(account, 10, -10, 2, kind=other)
    account.failing[ENDS[one]] = "UnauthorizedOperation"
    receipt = watched.tick()
    assert account.living(stuck, *fleets) == [], "the instances, one by one"
    assert receipt["rights"] == {"cancel": False, "terminate": True, "stamp": True, "unprotect": True}
    assert "the right to cancel is missing" in watched.error
    assert len(account.living(*living)) == 2


@pytest.mark.parametrize("variant", [ACTS, REFUSES, IDLES])
@pytest.mark.parametrize("maintains", [False, True])
def test_fleets_are_deleted_without_their_instances_if_deleting_with_them_is_denied(
    watched: Enforcer, variant: str, maintains: bool
) -> None:
    """It is undocumented on which resources DeleteFleets requires TerminateInstances."""
    account = watched.account
    account.may_delete_with_instances = False
    now_s = account.timeline.now_s
    made = {"created_s": now_s + HOUR_S} if maintains else {}  # still active
    fleet = annex(account, "over", -10, 5, kind=EC2, variant=variant, maintains=maintains, **made)
    living = annex(account, "living", 10_000, 3, kind=EC2)
    receipt = watched.tick()
    assert account.living(fleet) == []
    assert len(fleet.machines) == 5, "it launched nothing more"
    assert len(account.living(living)) == 3
    assert receipt["rights"]["cancel"] is True
    assert (receipt["errors"], watched.error) == (0, "")


def test_an_unknown_id_that_is_answered_with_an_empty_list_proves_nothing(watched: Enforcer) -> None:
    account = watched.account
    fleet = annex(account, "purged", 200, 3, kind=EC2)
    watched.tick()
    del account.requests[fleet.fleet_id]
    account.unknown_is_empty = True
    for _ in range(3):
        watched.tick()
        assert len(account.living(fleet)) == 3
    watched.tick()
    assert account.living(fleet) == []


def names(account: Account) -> set[str]:
    return {each.name.partition("_")[0] for each in account.templates.values()}


def test_the_template_of_an_annex_goes_when_the_annex_is_gone_and_not_before(watched: Enforcer) -> None:
    account = watched.account
    annex(account, "over", 200, 3, kind=EC2)
    annex(account, "later", 10_000, 3, kind=EC2)
    stuck = annex(account, "stuck", -10, 1, kind=EC2, variant=STUCK)
    stuck.machines[0].denied = True
    watched.tick()
    assert names(account) == {"over", "later", "stuck"}
    watched.tick()
    watched.tick()
    assert names(account) == {"later", "stuck"}


@pytest.mark.parametrize(
    ("tags", "kept"),
    [
        ({END_TAG: utc(1_800_050_000)}, True),
        ({END_TAG: utc(1_800_000_300)}, False),
        ({CANCELLED_TAG: utc(1_800_000_100)}, False),
    ],
)
def test_a_template_lives_as_long_as_its_fleets_lease_whatever_its_own_name_says(
    watched: Enforcer, tags: dict[str, str], kept: bool
) -> None:
    account = watched.account
    ends_in_s = 200 if kept else 40_000
    annex(account, "moved", ends_in_s, 1, kind=EC2, tags=tags)
    for _ in range(4):
        watched.tick()
    assert names(account) == ({"moved"} if kept else set())


def test_a_template_without_a_fleet_stays_until_the_end_that_was_ordered(watched: Enforcer) -> None:
    """annexd creates it before the fleet, and may be killed in between."""
    account = watched.account
    account.make_template(token("orphan", account.timeline.now_s + 700))
    for left in (True, True, True, False):
        watched.tick()
        assert names(account) == ({"orphan"} if left else set())


@pytest.mark.parametrize(
    "name",
    ["over", "over_1800000000", "over_1700000000_0123456789abcdef-2", "a b_1700000000_0123456789abcdef", "x" * 64],
)
def test_templates_not_named_as_ours_stay_with_any_tags(watched: Enforcer, name: str) -> None:
    annex(watched.account, "over", -10, 1, kind=EC2)
    watched.account.make_template(name, **{"htcondor:annex-id": "over"})
    watched.account.make_template(token("untagged", 1_700_000_000), other="tag")
    for _ in range(3):
        watched.tick()
    assert next(each.name for each in watched.account.templates.values()) == name
    assert len(watched.account.templates) == 2


def test_no_template_goes_after_a_look_that_was_not_complete(watched: Enforcer) -> None:
    annex(watched.account, "over", -10, 0, kind=EC2)
    watched.account.failing["DescribeSpotFleetRequests"] = "UnauthorizedOperation"
    watched.tick()
    assert names(watched.account) == {"over"}


def test_a_hidden_fleet_whose_instances_are_stamped_keeps_its_template(watched: Enforcer) -> None:
    account = watched.account
    fleet = annex(account, "moved", 200, 2, kind=EC2, tags={END_TAG: utc(1_800_050_000)})
    watched.tick()
    account.hidden = {fleet.fleet_id}
    for _ in range(3):
        watched.tick()
    assert names(account) == {"moved"}


def test_one_template_that_cannot_be_removed_keeps_no_other_and_fails_no_run(watched: Enforcer) -> None:
    account = watched.account
    annexes(account, 30, -10, 0, kind=EC2)
    first: Template = next(iter(account.templates.values()))
    account.fault = lambda _, asked: (
        ("UnauthorizedOperation", "no") if asked.get("LaunchTemplateId") == first.template_id else None
    )
    receipt = watched.tick()
    assert list(account.templates.values()) == [first]
    assert (receipt["errors"], watched.error) == (1, "")


def test_a_thousand_templates_are_removed_on_all_pages_within_two_runs(watched: Enforcer) -> None:
    account = watched.account
    now_s = account.timeline.now_s
    for number in range(1000):
        account.make_template(token(f"old-{number}", now_s - HOUR_S))
    account.make_template(token("young", now_s + 10_000))
    receipts = [watched.tick(), watched.tick()]
    assert names(account) == {"young"}
    assert all(receipt["duration_s"] <= 222 for receipt in receipts)
    assert [receipt["errors"] for receipt in receipts] == [0, 0]


def test_a_template_that_annexd_has_already_removed_does_not_cause_an_error(watched: Enforcer) -> None:
    annex(watched.account, "over", -10, 0, kind=EC2)
    watched.account.failing["DeleteLaunchTemplate"] = "InvalidLaunchTemplateId.NotFound"
    assert watched.tick()["errors"] == 0


def test_the_function_and_annexd_know_the_same_kinds_of_fleets() -> None:
    from annexd.annex.fleet.kinds import KINDS

    ours = {(kind.prefix, kind.instance_tag) for kind in KINDS}
    assert ours == {(kind.prefix, kind.instance_tag) for kind in load_function().KINDS}
