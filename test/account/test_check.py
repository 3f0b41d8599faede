"""Test that -check-setup finds each fault, and says how to fix it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from annexd.account.check import check
from annexd.account.configuration import ConfigurationFile
from annexd.account.session import Session
from annexd.account.setup import Wanted
from annexd.annex.lease import lambda_runtime
from annexd.tool.errors import OK, SETUP_FAULTY
from test.account.kit import FUNCTION_ARN, STACK, TOP, Account, Said, surroundings
from test.account.planted import PLANTED, Fault
from test.cloud import Cloud

WITHOUT_SETUP = {"E", "F"}  # only the credentials are checked


@pytest.fixture
def well(one_cloud: Cloud, kept: dict[str, Account], tmp_path_factory: pytest.TempPathFactory) -> Account:
    """Return an account that is set up, shared by tests that change nothing in it."""
    stacks = {each["StackId"] for each in one_cloud.client("cloudformation").describe_stacks()["Stacks"]}
    if not stacks & kept.keys():
        one_cloud.reset()
        account = Account(one_cloud, tmp_path_factory.mktemp("well"))
        account.set_up()
        [stack] = one_cloud.client("cloudformation").describe_stacks()["Stacks"]
        kept[stack["StackId"]] = account
        return account
    return kept[(stacks & kept.keys()).pop()]


@pytest.fixture(scope="module")
def kept() -> dict[str, Account]:
    return {}


def test_a_fresh_setup_passes_every_check(well: Account) -> None:
    said = well.run("-check-setup")
    assert (said.status, said.faults()) == (OK, []), said
    assert all(line.startswith("us-east-1: ok ") for line in said.lines), said.out
    assert len(said.lines) > 20


def test_checking_changes_nothing(well: Account) -> None:
    before, written = well.everything(), well.file.read_bytes()
    well.run("-check-setup")
    assert (well.everything(), well.file.read_bytes()) == (before, written)


def test_the_end_of_the_runtime_is_reported_half_a_year_before(well: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    soon = datetime.now(UTC).date() + timedelta(days=100)
    monkeypatch.setitem(lambda_runtime.END_OF_SUPPORT, lambda_runtime.RUNTIME, soon)
    [found] = well.run("-check-setup").faults()
    assert found.startswith(f"end of support: AWS's support of {lambda_runtime.RUNTIME}")
    assert "in 100 days" in found


def test_the_wrong_region_is_found_by_its_missing_stack(well: Account) -> None:
    said = well.run("-check-setup", "-region", "eu-west-1")
    assert said.faults() == ["stack: there is no stack HTCondorAnnex; condor_annex -setup creates it"]


def test_a_quota_is_compared_with_what_is_intended(well: Account) -> None:
    assert well.run("-check-setup", "-count", "256").status == OK
    [found] = well.run("-check-setup", "-count", "1000").faults()
    assert found.startswith(
        "Spot quota: the account may run 256 vCPUs of Spot instances in this region, fewer than 1000"
    )


def test_a_quota_that_the_account_never_changed_is_awss_default(well: Account) -> None:
    well.cloud.behave(known_quotas="changed")
    try:
        assert well.run("-check-setup", "-count", "256").status == OK
        [found] = well.run("-check-setup", "-count", "1000").faults()
        well.cloud.set_quotas(L_34B43A08=17)
        [changed] = well.run("-check-setup", "-count", "18").faults()
    finally:
        well.cloud.set_quotas(L_34B43A08=256)
        well.cloud.behave(known_quotas="all")
    assert found.startswith(
        "Spot quota: the account may run 256 vCPUs of Spot instances in this region, fewer than 1000"
    )
    assert changed.startswith(
        "Spot quota: the account may run 17 vCPUs of Spot instances in this region, fewer than 18"
    )


def test_a_check_without_permission_is_unknown_and_the_exit_status_says_so(well: Account) -> None:
    well.cloud.fault("GetServiceQuota", "denied", times=9)
    well.cloud.fault("GetRole", "denied", times=9)
    said = well.run("-check-setup")
    well.cloud.clear_faults()
    assert (said.status, said.faults()) == (SETUP_FAULTY, [])
    assert len([line for line in said.lines if line.startswith("us-east-1: unknown")]) == 3


def test_findings_can_be_had_as_json(well: Account) -> None:
    said = well.run("-check-setup", "-json", "-count", "1000")
    findings = json.loads(said.out)
    assert said.status == SETUP_FAULTY
    assert {"region", "check", "status", "what", "repair"} == set(findings[0])
    assert [each["check"] for each in findings if each["status"] == "FAULT"] == ["Spot quota"]


RECEIPT = {
    "receipt": "htcondor-annex-lease",
    "contract": 3,
    "tick": True,
    "rule": "arn:aws:events:us-east-1:1:rule/x",
    "account": "123456789012",
    "region": "us-east-1",
    "function": FUNCTION_ARN,
    "digest": "0" * 64,
    "max_lease_s": 2592000,
    "complete": True,
    "fleets": 1,
    "instances": 1,
    "over": 0,
    "ended": 0,
    "stuck": 0,
    "stuck_ids": [],
    "errors": 0,
    "error_texts": [],
    "throttled": 0,
    "calls": 4,
    "duration_s": 1.0,
    "rights": {"cancel": True, "terminate": True, "stamp": True, "unprotect": None},
}
STUCK = {"stuck": 2, "stuck_ids": ["sfr-1", "i-1"], "error_texts": ["cancel sfr-1: unexpectedError"]}
HEARTBEATS = {
    "two hours old": (-7200, {}, "was last called by its rule 120 minutes ago"),
    "stale": (-1000, {}, "was last called by its rule 17 minutes ago"),
    "by hand": (0, {"tick": False}, "has not been called by its rule for 30 minutes"),
    "of another account": (0, {"account": "210987654321"}, "of account 210987654321"),
    "of another region": (0, {"region": "eu-west-1"}, "region eu-west-1"),
    "of another function": (0, {"function": FUNCTION_ARN + "2"}, "of another function"),
    "of an older contract": (0, {"contract": 2}, "belongs to an older annexd"),
    "incomplete": (0, {"complete": False}, "could not see all fleets and instances"),
    "without a right": (0, {"rights": {"cancel": False}}, "lacks the right to cancel"),
    "that cannot unprotect": (0, {"rights": {"unprotect": False}}, "it lacks the permission to unprotect"),
    "without MaxLease": (0, {"max_lease_s": None}, "has no readable MAX_LEASE_S"),
    "of another MaxLease": (0, {"max_lease_s": 600}, "its MaxLease is 600 s, not 2592000 s"),
    "with something stuck": (0, STUCK, "2 are overdue and could not be ended: sfr-1, i-1 (cancel sfr-1"),
}


@pytest.mark.parametrize(("ago_s", "changed", "message"), HEARTBEATS.values(), ids=HEARTBEATS)
def test_a_heartbeat_is_judged_as_an_order_judges_it_and_more_closely(
    well: Account, ago_s: int, changed: dict[str, Any], message: str
) -> None:
    well.log(json.dumps(RECEIPT | {"at": int(time.time()) + ago_s} | changed))
    [found] = [line for line in well.run("-check-setup").faults() if line.startswith("heartbeat: ")]
    assert message in found
    well.log(json.dumps(RECEIPT | {"at": int(time.time())}))
    assert well.run("-check-setup").status == OK


def test_leases_that_the_stack_would_cut_are_reported(well: Account) -> None:
    """The stack's MaxLease is compared with ANNEX_MAX_LEASE of HTCondor's configuration."""
    knobs = ConfigurationFile(str(well.file)).settings() | {"ANNEX_MAX_LEASE": "5184000"}
    with surroundings(well.cloud.environment()):
        found = list(check(Session(), Wanted(["us-east-1"]), knobs.get, 1))
    assert [(each.check, each.what) for each in found if not each.is_ok] == [
        ("MaxLease", "annexes end after 30d, but ANNEX_MAX_LEASE is 60d")
    ]


def test_under_another_name_the_stack_that_has_the_lease_function_is_checked(well: Account) -> None:
    said = well.run("-check-setup", "-stack-name", "Another")
    assert (said.status, said.faults()) == (OK, []), said


@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.name)
def test_a_planted_fault_is_found_with_its_repair(fault: Fault, findings_of: Callable[[Fault], Said]) -> None:
    said = findings_of(fault)
    assert said.status == SETUP_FAULTY
    found = [line for line in said.faults() if line.startswith(f"{fault.check}: ") and fault.message in line]
    assert len(found) == 1, said.out
    assert fault.repair in found[0]


@pytest.fixture(scope="module")
def findings_of(one_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Fault], Said]:
    """Return a function that plants and finds a fault; those of one hand share an account."""
    known: dict[str, Said] = {}

    def found_by(fault: Fault) -> Said:
        if (hand := fault.hand) not in known:
            one_cloud.reset()
            account = Account(one_cloud, tmp_path_factory.mktemp("hand"))
            if hand not in WITHOUT_SETUP:
                account.set_up()
            for each in PLANTED:
                if each.hand == hand:
                    each.plant(account)
            known[hand] = account.run("-check-setup")
        return known[hand]

    return found_by


def test_an_account_without_a_setup_is_reported(account: Account) -> None:
    said = account.run("-check-setup")
    assert said.status == SETUP_FAULTY
    assert said.faults() == ["stack: there is no stack HTCondorAnnex; condor_annex -setup creates it"]


def test_an_incomplete_stack_is_found_with_the_reason(account: Account) -> None:
    account.cloud.fault("CreateBucket", "error", code="BucketAlreadyExists", status=409)
    account.run("-setup")
    [found] = account.run("-check-setup").faults()
    assert found.startswith("stack: HTCondorAnnex is incomplete: ROLLBACK_COMPLETE; Bucket: Resource handler returned")


def test_a_stack_that_is_being_made_is_found(account: Account) -> None:
    account.cloud.pace_stacks(5.0)
    account.run("-setup", "-timeout", "1")
    [found] = account.run("-check-setup").faults()
    assert found.startswith("stack: HTCondorAnnex is being changed: CREATE_IN_PROGRESS")


def test_a_second_region_is_checked_against_its_own_knobs(account: Account) -> None:
    account.set_up("-region", "us-east-1", "-region", "eu-west-1")
    said = account.run("-check-setup", "-region", "us-east-1", "-region", "eu-west-1")
    assert (said.status, said.faults()) == (OK, []), said
    assert any(line.startswith("eu-west-1: ok      configuration") for line in said.lines)


def test_a_stack_of_the_lease_function_alone_is_checked_too(account: Account) -> None:
    """template-3.json creates such a stack.  Its missing parts are faults, and do not end the check."""
    account.cloud.deploy_template(TOP / "templates" / "template-3.json", STACK)
    said = account.run("-check-setup")
    assert said.status == SETUP_FAULTY
    assert any(fault.startswith("outputs: the stack has no BucketName") for fault in said.faults()), said.out
    assert any(fault.startswith("security group: ") for fault in said.faults()), said.out
