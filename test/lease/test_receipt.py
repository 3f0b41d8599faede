"""Test the receipt of a run: it proves that the rule called, and that the function sees and may end annexes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from test.lease.account import Account
from test.lease.annexes import annex, annexes
from test.lease.enforcer import ACCOUNT_ID, FUNCTION_ARN, RULE_ARN, Enforcer, enforcer, scheduled_event
from test.lease.fleets import SPOT, STUCK
from test.lease.loading import CODE, packages_of

pytestmark = pytest.mark.usefixtures("kind")
KEYS = [
    "receipt", "contract", "tick", "rule", "at", "account", "region", "function", "digest", "max_lease_s", "complete",
    "rights", "fleets", "instances", "over", "ended", "stuck", "stuck_ids", "errors", "error_texts", "throttled",
    "calls", "duration_s",
]  # fmt: skip


@pytest.fixture
def watched() -> Enforcer:
    return enforcer()


def denied(*operations: str, code: str = "UnauthorizedOperation") -> Any:
    return lambda operation, _: (code, "a fault of this test") if operation in operations else None


def test_a_tick_of_the_rule_leaves_one_line_of_json_with_everything_that_an_order_asks_for(watched: Enforcer) -> None:
    annex(watched.account, "living", 10_000, 3)
    receipt = watched.tick()
    assert len(watched.lines) == 1
    assert list(receipt) == KEYS
    assert receipt["receipt"] == "htcondor-annex-lease"
    assert (receipt["contract"], receipt["tick"], receipt["rule"], receipt["at"]) == (3, True, RULE_ARN, 1_800_000_000)
    assert (receipt["account"], receipt["region"], receipt["function"]) == (ACCOUNT_ID, "us-east-1", FUNCTION_ARN)
    assert receipt["digest"] == hashlib.sha256(CODE.read_bytes()).hexdigest()
    assert (receipt["max_lease_s"], receipt["complete"]) == (30 * 86400, True)
    assert receipt["rights"] == {"cancel": True, "terminate": True, "stamp": True, "unprotect": True}
    assert (receipt["fleets"], receipt["instances"], receipt["over"], receipt["stuck"]) == (1, 3, 0, 0)
    assert watched.error == ""


EVENT = scheduled_event(1_800_000_000)
BY_HAND = {
    "nothing": None,
    "a test event": {"key1": "value1"},
    "a list": [EVENT],
    "a text": json.dumps(EVENT),
    "no resources": EVENT | {"resources": []},
    "resources that are not a list": EVENT | {"resources": {"0": RULE_ARN}},
    "a resource that is not a text": EVENT | {"resources": [[RULE_ARN]]},
    "another resource first": EVENT | {"resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-1", RULE_ARN]},
    "a rule of another account": EVENT | {"resources": [RULE_ARN.replace(ACCOUNT_ID, "210987654321")]},
    "a rule of another region": EVENT | {"resources": [RULE_ARN.replace("us-east-1", "eu-west-1")]},
    "a rule with something behind": EVENT | {"resources": [RULE_ARN + "\n"]},
    "another source": EVENT | {"source": "my.application"},
    "another kind of event": EVENT | {"detail-type": "EC2 Instance State-change Notification"},
    "an old event, sent again": EVENT | {"time": "2027-01-15T07:40:00Z"},
    "an event of the future": EVENT | {"time": "2027-01-15T08:20:00Z"},
    "no time": EVENT | {"time": None},
    "an invalid time": EVENT | {"time": "now"},
}


@pytest.mark.parametrize("event", BY_HAND.values(), ids=BY_HAND.keys())
def test_a_call_by_hand_does_the_same_work_and_proves_nothing(watched: Enforcer, event: Any) -> None:
    over = annex(watched.account, "over", -10, 3)
    receipt = watched.run(event)
    assert (receipt["tick"], receipt["rule"], receipt["at"]) == (False, None, 1_800_000_000)
    assert receipt["complete"]
    assert watched.account.living(over) == []


def test_nothing_that_an_event_names_is_touched(watched: Enforcer) -> None:
    """The first edition read rule, target, annex and object from its event."""
    living = annex(watched.account, "living", 10_000, 3)
    names = {"AnnexID": "living", "RuleID": "other", "TargetID": "other", "LeaseExpiration": 1_700_000_000}
    watched.account.objects = {"annex/living.tar.gz", "annex/other.tar.gz"}
    watched.run(EVENT | names | {"ConfigBucket": "annexes", "ConfigKey": "annex/other.tar.gz"})
    assert len(watched.account.living(living)) == 3
    assert watched.account.objects == {"annex/living.tar.gz", "annex/other.tar.gz"}


def test_a_dry_run_has_no_effect_and_is_made_in_each_run_at_an_annex_that_lives(watched: Enforcer) -> None:
    living = annex(watched.account, "living", 10_000, 3)
    for machine in living.machines:
        machine.protected = True
    for _ in range(3):
        watched.tick()
    assert watched.account.count("CancelSpotFleetRequests") == 3
    assert watched.account.calls["TerminateInstances"] == 3
    assert watched.account.calls["ModifyInstanceAttribute"] == 3
    assert len(watched.account.living(living)) == 3
    assert all(machine.protected for machine in living.machines)
    assert not watched.account.effects


@pytest.mark.parametrize(
    ("operation", "right"),
    [
        ("CancelSpotFleetRequests", "cancel"),
        ("TerminateInstances", "terminate"),
        ("CreateTags", "stamp"),
        ("ModifyInstanceAttribute", "unprotect"),
    ],
)
def test_a_right_that_is_missing_is_in_the_receipt_and_fails_the_run_before_any_lease_ends(
    watched: Enforcer, operation: str, right: str
) -> None:
    annex(watched.account, "living", 10_000, 3)
    watched.account.fault = denied(operation)
    rights = watched.tick()["rights"]
    assert [name for name, has in rights.items() if has is False] == [right]
    assert f"the right to {right} is missing" in watched.error


@pytest.mark.parametrize("code", ["InternalError", "InvalidParameterValue", "RequestLimitExceeded", "Blocked"])
def test_a_right_that_dry_run_does_not_determine_is_unknown(watched: Enforcer, code: str) -> None:
    annex(watched.account, "living", 10_000, 3)
    watched.account.fault = denied("TerminateInstances", code=code)
    assert watched.tick()["rights"]["terminate"] is None
    assert watched.error == ""


def test_spot_instances_without_protection_do_not_cause_an_error(watched: Enforcer) -> None:
    """The error is recorded in github.com/cloud-custodian/cloud-custodian/issues/2083."""
    annex(watched.account, "living", 10_000, 3)
    watched.account.fault = denied("ModifyInstanceAttribute", code="UnsupportedOperation")
    receipt = watched.tick()
    assert (receipt["rights"]["unprotect"], receipt["errors"], watched.error) == (None, 0, "")


def test_without_an_annex_the_rights_are_unknown(watched: Enforcer) -> None:
    assert set(watched.tick()["rights"].values()) == {None}
    assert watched.error == ""


@pytest.mark.parametrize("text", [None, "", "0", "-1", "a day", "86400.0", "1e5", "9999999999", " 86400", "٣٦٠٠"])
def test_an_unreadable_max_lease_is_reported_and_leases_still_end(watched: Enforcer, text: str | None) -> None:
    over, living = annex(watched.account, "over", -10, 3), annex(watched.account, "living", 10_000, 3)
    receipt = watched.run(EVENT, MAX_LEASE_S=text)
    assert receipt["max_lease_s"] is None
    assert "MAX_LEASE_S must be a number of seconds" in watched.error
    assert watched.account.living(over) == []
    assert len(watched.account.living(living)) == 3


def test_max_lease_ends_what_was_ordered_before_it_was_lowered(watched: Enforcer) -> None:
    fleet = annex(watched.account, "long", 10_000, 3)  # created an hour ago
    assert watched.run(EVENT, MAX_LEASE_S="3700")["fleets"] == 1
    watched.run(EVENT, MAX_LEASE_S="3500")
    assert watched.account.living(fleet) == []


@pytest.mark.parametrize("operation", ["DescribeSpotFleetRequests", "DescribeInstances"])
def test_a_run_that_could_not_describe_everything_reports_it_and_fails(watched: Enforcer, operation: str) -> None:
    annex(watched.account, "living", 10_000, 3)
    watched.account.fault = denied(operation)
    assert watched.tick()["complete"] is False
    assert "not everything could be described" in watched.error
    assert operation in watched.error
    watched.account.fault = denied()
    assert watched.tick()["complete"] is True


def test_the_receipt_always_stays_small() -> None:
    watched = enforcer()
    stuck = annexes(watched.account, 300, -7200, 1, "stuck" * 5, variant=STUCK)
    for fleet in stuck:
        fleet.machines[0].denied = True
    watched.account.fault = lambda operation, _: ("Äpfel" * 30, "ü" * 5000) if operation == "CreateTags" else None
    receipt = watched.tick()
    assert (receipt["stuck"], len(receipt["stuck_ids"]), len(receipt["error_texts"])) == (600, 20, 10)
    assert receipt["errors"] > 500
    assert len(watched.lines[-1].encode()) < 8000


def test_the_function_needs_nothing_but_the_standard_library_and_boto3() -> None:
    assert packages_of(CODE) == {"boto3", "botocore"}


def test_the_function_makes_the_calls_that_its_role_allows_and_no_others(watched: Enforcer, kind: str) -> None:
    """IAM has other names for some calls: s3:DeleteObject for DeleteObjects, s3:ListBucket for ListObjectsV2."""
    account = watched.account
    over, _ = annex(account, "over", -10, 3, variant=STUCK), annex(account, "living", 10_000, 3)
    over.machines[0].protected = True
    account.objects = {"annex/over.tar.gz"}
    watched.tick()
    watched.tick()
    assert (account.living(over), account.objects) == ([], set())
    ends = {"CancelSpotFleetRequests"} if kind == SPOT else {"DeleteFleets", "DeleteLaunchTemplate"}
    assert account.calls.keys() == ends | {
        "DescribeSpotFleetRequests", "DescribeFleets", "DescribeInstances", "DescribeLaunchTemplates",
        "TerminateInstances", "CreateTags", "ModifyInstanceAttribute", "ListObjectsV2", "DeleteObjects",
    }  # fmt: skip


def test_an_account_without_annexes_costs_four_calls(watched: Enforcer) -> None:
    account: Account = watched.account
    assert watched.tick()["calls"] == 4
    looks = "DescribeSpotFleetRequests", "DescribeFleets", "DescribeInstances", "DescribeLaunchTemplates"
    assert account.calls == dict.fromkeys(looks, 1)
