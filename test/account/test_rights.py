"""Test -check-setup with keys for orders and keys for -setup: AWS's DryRun and its interpretation."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from annexd.account.check import check
from annexd.account.checks.rights import NO_PROOF
from annexd.account.checks.volumes import GRANTED
from annexd.account.configuration import ConfigurationFile
from annexd.account.policies import SETUP, USER, policies
from annexd.account.session import Session
from annexd.account.setup import Wanted
from test.account.kit import STACK, Account, annex_of, surroundings
from test.account.planted import grant, volumes_key
from test.cloud import Cloud


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with Cloud(speed=0, enforce_iam=True, behaviour={"logs_late_s": 0.0}) as cloud:
        account = Account(cloud, tmp_path_factory.mktemp("rights"))
        account.set_up()
        yield account


def found(account: Account, name: str, *documents: dict[str, Any]) -> dict[str, str]:
    """Return the findings about rights for a new user with these policies, by check."""
    key = account.cloud.user(name, *documents)
    own = Account(account.cloud, account.folder, {"AWS_ACCESS_KEY_ID": key[0], "AWS_SECRET_ACCESS_KEY": key[1]})
    lines = [line.removeprefix("us-east-1: ") for line in own.run("-check-setup").lines]
    return {line[8:].partition(": ")[0]: line for line in lines if "right to " in line}


def user_without(action: str) -> dict[str, Any]:
    [document] = policies(USER, STACK)
    statements = [
        statement | {"Action": left}
        for statement in document["Statement"]
        if (left := [each for each in statement["Action"] if each != action])
    ]
    return document | {"Statement": statements}


def test_for_keys_with_user_json_a_successful_dry_run_is_not_called_proof(account: Account) -> None:
    reported = found(account, "user", *policies(USER, STACK))
    assert reported["right to order"] == f"ok      right to order: {NO_PROOF}"
    assert reported["right to end"].startswith("ok      right to end: no annex lives")


USERS = itertools.count()


def denied(account: Account, action: str) -> dict[str, str]:
    return found(account, f"without-{action.partition(':')[2]}-{next(USERS)}", user_without(action))


@pytest.mark.parametrize(
    ("action", "operation"),
    [
        ("ec2:CreateFleet", "CreateFleet"),
        ("ec2:CreateLaunchTemplate", "CreateLaunchTemplate"),
        ("ec2:CreateTags", "CreateLaunchTemplate"),
        ("ec2:RunInstances", "CreateFleet"),
    ],
)
def test_keys_for_orders_that_lack_a_right_are_a_fault_that_names_it(
    account: Account, action: str, operation: str
) -> None:
    reported = denied(account, action)["right to order"]
    assert reported.startswith(f"FAULT   right to order: {operation} (DryRun) was denied")
    assert action in reported
    assert "templates/policies/user.json" in reported


@pytest.mark.parametrize("action", ["ec2:RequestSpotFleet", "iam:PassRole"])
def test_orders_by_spot_fleet_need_the_right_to_it(account: Account, action: str) -> None:
    key_id, secret = account.cloud.user(f"spot-fleet-{next(USERS)}", user_without(action))
    knobs = ConfigurationFile(str(account.file)).settings() | {"ANNEX_FLEET_API": "SpotFleet"}
    keys = {"AWS_ACCESS_KEY_ID": key_id, "AWS_SECRET_ACCESS_KEY": secret}
    with surroundings(account.cloud.environment() | keys):
        findings = {each.check: each for each in check(Session(), Wanted(["us-east-1"]), knobs.get, 1)}
    assert findings["right to order"].is_fault
    assert findings["right to order"].what.startswith("RequestSpotFleet (DryRun) was denied")
    assert not findings["right to order by -fleet-api ec2-fleet"].is_fault


@pytest.mark.parametrize("action", ["ec2:RequestSpotFleet", "ec2:RunInstances", "ec2:CreateTags", "iam:PassRole"])
def test_a_refusal_of_the_unconfigured_api_is_reported_and_no_fault(account: Account, action: str) -> None:
    line = denied(account, action)["right to order by -fleet-api spot-fleet"]
    assert line.startswith("ok ")
    assert "RequestSpotFleet (DryRun) was denied" in line
    assert f"is not authorized to perform: {action} " in line


@pytest.mark.parametrize("action", ["ec2:CancelSpotFleetRequests", "ec2:TerminateInstances"])
def test_keys_that_cannot_end_what_they_order_are_found_on_an_annex_that_lives(account: Account, action: str) -> None:
    ec2, fleet = account.client("ec2"), annex_of(account)
    assert found(account, f"may-{action[4:]}", *policies(USER, STACK))["right to end"].startswith("ok ")
    reported = found(account, f"may-not-{action[4:]}", user_without(action))["right to end"]
    ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=True)
    assert reported.startswith(f"FAULT   right to end: {action[4:]} (DryRun) was denied")


def test_keys_that_set_up_need_not_order_and_the_report_says_so(account: Account) -> None:
    reported = found(account, "admin", *policies(SETUP, STACK))
    assert reported["right to order"].startswith(
        "ok      right to order: these credentials are for -setup and may not order"
    )
    assert "user.json" in reported["right to order"]


def test_a_dry_run_makes_no_fleet(account: Account) -> None:
    before = len(account.cloud.fleets())
    account.run("-check-setup")
    assert len(account.cloud.fleets()) == before


def test_a_key_that_spot_was_granted_or_that_its_own_policy_gives_to_spot_is_well(account: Account) -> None:
    key = volumes_key(account)
    grant(account, key, "spotfleet", "AWSServiceRoleForEC2SpotFleet")
    grant(account, key, "ec2fleet", "AWSServiceRoleForEC2Fleet")
    role = "arn:aws:iam::123456789012:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"
    actions = [f"kms:{operation}" for operation in GRANTED.split() if not operation.startswith("ReEncrypt")]
    statement = {"Effect": "Allow", "Principal": {"AWS": role}, "Action": [*actions, "kms:ReEncrypt*"], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    account.client("kms").put_key_policy(KeyId=key, PolicyName="default", Policy=document)
    [line] = [each for each in account.run("-check-setup").lines if "volumes' key" in each]
    assert f"ok      volumes' key: Spot may use {key}" in line
