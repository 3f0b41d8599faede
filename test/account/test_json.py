"""Test -json with -setup and -teardown: one object on standard output, whatever the outcome."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from annexd.account import service_roles
from annexd.account.configuration import KNOBS
from annexd.account.template import FUNCTION
from annexd.tool.errors import ANNEXES_LIVE, BAD_FILE, CLOUD_FAILED, INTERRUPTED, OK, USAGE
from test.account.kit import REGIONS, STACK, TOP, Account, Said, order, stack_is, wait_for

SERVICE_ROLES = set(service_roles.NAMES.values())


def object_in(said: Said) -> dict[str, Any]:
    """Return the object, which is all of standard output."""
    reported: dict[str, Any] = json.loads(said.out)
    assert reported["exit_status"] == said.status
    return reported


def changed(reported: dict[str, Any], action: str) -> dict[str, str]:
    """Return the IDs of the resources with this action, by their names."""
    return {each["resource"]: each["id"] for each in reported["changes"] if each["action"] == action}


def test_setup_names_the_account_the_settings_and_all_that_was_created(account: Account) -> None:
    said = account.set_up("-json")
    reported = object_in(said)
    [region] = reported["regions"]
    created = changed(reported, "created")
    roles = {name: created.pop(name) for name in SERVICE_ROLES}
    stack_id = created.pop(STACK)
    assert (reported["command"], reported["faults"]) == ("setup", [])
    assert (region["region"], region["account"], region["stack"]) == ("us-east-1", "123456789012", STACK)
    assert region["stack_id"] == stack_id
    assert tuple(region["settings"]) == KNOBS
    assert region["settings"]["ANNEX_DEFAULT_LEASE_FUNCTION_ARN"].endswith(f":{FUNCTION}")
    assert created == account.physical_ids()
    assert all(arn.startswith("arn:aws:iam::123456789012:role/") for arn in roles.values())
    assert reported["configuration_file"] == {"path": str(account.file), "action": "written"}
    assert "us-east-1: LeaseFunction CREATE_COMPLETE" in said.err


def test_setup_of_what_is_up_to_date_changes_nothing(account: Account) -> None:
    first = object_in(account.set_up("-json"))
    again = object_in(account.set_up("-json"))
    assert again["changes"] == []
    assert again["regions"] == first["regions"]
    assert again["configuration_file"]["action"] == "unchanged"


def test_an_update_names_what_it_changed(account: Account) -> None:
    account.set_up()
    reported = object_in(account.set_up("-json", "-max-lease", "2d"))
    assert "LeaseFunction" in changed(reported, "updated")
    assert changed(reported, "created") == {}


def test_every_region_has_its_own_object(account: Account) -> None:
    said = account.set_up("-json", *(word for region in REGIONS for word in ("-region", region)))
    reported = object_in(said)
    assert [each["region"] for each in reported["regions"]] == list(REGIONS)
    assert {each["region"] for each in reported["changes"]} == {*REGIONS, None}  # None: EC2's roles


def test_a_failed_setup_says_why_and_what_it_did_before(account: Account) -> None:
    account.cloud.fault("CreateBucket", "denied", times=3)
    said = account.run("-setup", "-json")
    reported = object_in(said)
    assert said.status == CLOUD_FAILED
    assert f"the stack {STACK} could not be created" in reported["faults"][0]
    assert "LeaseLog" in changed(reported, "created")
    assert "LeaseLog" in changed(reported, "deleted")
    assert reported["configuration_file"] is None
    assert all(fault in said.err for fault in reported["faults"])


def test_a_failure_before_any_change_is_an_object_too(account: Account) -> None:
    account.file.write_text("MINE = 1\n")
    foreign = object_in(account.run("-setup", "-json"))
    unknown = object_in(account.run("-setup", "-json", "-region", "eu-nowhere-1"))
    assert (foreign["exit_status"], unknown["exit_status"]) == (BAD_FILE, USAGE)
    assert "left unchanged" in foreign["faults"][0]
    assert unknown["faults"] == ["unknown region: eu-nowhere-1"]
    assert foreign["changes"] == foreign["regions"] == unknown["changes"] == unknown["regions"] == []


def test_an_interrupted_setup_prints_its_object(account: Account) -> None:
    account.cloud.pace_stacks(5.0)
    command = [sys.executable, str(TOP / "bin/condor_annex"), "-setup", "-json", "-output", str(account.file)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | account.cloud.environment()
    )
    wait_for(lambda: stack_is(account, "CREATE_IN_PROGRESS"), "the stack is being made", process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    reported = object_in(Said(process.returncode, out, err))
    assert reported["exit_status"] == INTERRUPTED
    assert "run the same command again" in reported["faults"][0]
    assert [each["stack"] for each in reported["regions"]] == [STACK]


def test_teardown_names_all_that_it_deleted(account: Account) -> None:
    account.set_up()
    made, bucket = account.physical_ids(), account.physical_ids()["Bucket"]
    account.client("s3").put_object(Bucket=bucket, Key="annex/annex-1.tar.gz", Body=b"x")
    said = account.run("-teardown", "-json")
    reported = object_in(said)
    deleted = changed(reported, "deleted")
    assert (said.status, reported["command"], reported["faults"]) == (OK, "teardown", [])
    assert set(deleted) - set(made) == {STACK}
    assert {name: deleted[name] for name in made} == made
    assert changed(reported, "closed") == {"LeaseFunction": FUNCTION}
    assert changed(reported, "emptied") == {"Bucket": bucket}
    assert reported["configuration_file"] == {"path": str(account.file), "action": "removed"}


def test_a_refused_teardown_names_the_annexes_and_changes_nothing(account: Account) -> None:
    account.set_up()
    order(account, 3600)
    reported = object_in(account.run("-teardown", "-json"))
    assert reported["exit_status"] == ANNEXES_LIVE
    assert "annex annex-1 of alice runs" in reported["faults"][1]
    assert (reported["changes"], reported["configuration_file"]) == ([], None)


def test_a_failed_teardown_says_that_the_function_is_closed(account: Account) -> None:
    account.set_up()
    account.cloud.fault("DeleteFunction", "denied", times=10)
    reported = object_in(account.run("-teardown", "-json"))
    assert reported["exit_status"] == CLOUD_FAILED
    assert changed(reported, "closed") == {"LeaseFunction": FUNCTION}
    assert changed(reported, "opened") == {}


@pytest.mark.parametrize("task", ["-setup", "-teardown"])
def test_without_json_standard_output_stays_empty(account: Account, task: str) -> None:
    assert account.run(task).out == ""
