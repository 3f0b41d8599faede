"""-teardown: nothing is left, and nothing that lives is left without its lease."""

from __future__ import annotations

import time

import pytest
from annexd.annex.steps.put_rule import ask_for_rule
from annexd.annex.steps.put_targets import ask_for_target

from annexd.annex.identifiers import new_annex_id, new_client_token
from annexd.annex.lease import tags
from annexd.tool.errors import ANNEXES_LIVE, BAD_FILE, CLOUD_FAILED, OK
from test.account.kit import Account
from test.cloud.orders import request

HOUR_S = 3600


def arm(account: Account, annex_id: str, end_s: int) -> None:
    """A lease, as annexd makes one."""
    arn = account.client("lambda").get_function(FunctionName=account.physical_ids()["LeaseFunction"])
    ask_for_rule(account.client("events"), annex_id, end_s, tags(annex_id, "alice", end_s))
    ask_for_target(account.client("events"), annex_id, end_s, arn["Configuration"]["FunctionArn"], None)


def launch(account: Account, annex_id: str, end_s: int) -> str:
    """A fleet, as annexd asks for one."""
    own = [{"ResourceType": "spot-fleet-request", "Tags": tags(annex_id, "alice", end_s)}]
    token = new_client_token(annex_id)
    return request(account.client("ec2"), 2, ClientToken=token, Type="request", TagSpecifications=own)


def test_the_account_is_as_it_was_and_so_is_the_folder(account: Account) -> None:
    before = account.everything()
    account.set_up()
    assert account.everything() != before
    said = account.run("-teardown")
    assert said.status == OK, said
    assert account.everything() == before
    assert list(account.folder.iterdir()) == []
    assert "condor_reconfig" in said.err


def test_objects_in_the_bucket_go_with_all_their_versions(account: Account) -> None:
    before = account.everything()
    account.set_up()
    s3, bucket = account.client("s3"), account.physical_ids()["Bucket"]
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for content in (b"one", b"two"):
        s3.put_object(Bucket=bucket, Key="annex/annex-1.tar.gz", Body=content)
    s3.delete_object(Bucket=bucket, Key="annex/annex-1.tar.gz")
    s3.create_multipart_upload(Bucket=bucket, Key="annex/annex-2.tar.gz")
    said = account.run("-teardown")
    assert said.status == OK, said
    assert "deleted 4 objects" in said.err
    assert account.everything() == before


def test_a_running_annex_is_named_and_nothing_is_touched(account: Account) -> None:
    account.set_up()
    annex_id, end_s = new_annex_id(), int(time.time()) + HOUR_S
    arm(account, annex_id, end_s)
    launch(account, annex_id, end_s)
    before, written = account.everything(), account.file.read_bytes()
    said = account.run("-teardown")
    assert said.status == ANNEXES_LIVE
    assert f"annex {annex_id} of alice runs; its lease ends at 20" in said.err
    assert (account.everything(), account.file.read_bytes()) == (before, written)
    assert account.cloud.calls("DeleteStack") == []


def test_a_fleet_without_a_rule_is_an_annex_too(account: Account) -> None:
    account.set_up()
    annex_id = new_annex_id()
    launch(account, annex_id, int(time.time()) + HOUR_S)
    assert account.run("-teardown").status == ANNEXES_LIVE


def test_a_rule_whose_annex_has_ended_is_waited_for_and_then_it_works(account: Account) -> None:
    before = account.everything()
    account.set_up()
    annex_id = new_annex_id()
    arm(account, annex_id, int(time.time()) - HOUR_S)
    said = account.run("-teardown")
    assert said.status == ANNEXES_LIVE
    assert "has ended, its rule is still there" in said.err
    account.cloud.tick(annex_id)
    assert account.run("-teardown").status == OK
    assert account.everything() == before


def test_somebody_elses_fleets_and_rules_do_not_count(account: Account) -> None:
    account.set_up()
    request(account.client("ec2"), 1)
    account.client("events").put_rule(Name="nightly", ScheduleExpression="rate(1 day)")
    assert account.run("-teardown").status == OK
    assert len(account.cloud.running_instances()) == 1


@pytest.mark.parametrize("operation", ["DescribeSpotFleetRequests", "DescribeInstances", "ListRules"])
def test_what_cannot_be_looked_for_is_taken_for_living(account: Account, operation: str) -> None:
    account.cloud.fault(operation, "denied", times=9)
    said = account.run("-teardown")
    assert said.status == CLOUD_FAILED
    assert "whether annexes live cannot be told" in said.err
    assert account.cloud.calls("DeleteStack") == []


def test_a_service_linked_role_that_others_made_stays(account: Account) -> None:
    account.client("iam").create_service_linked_role(AWSServiceName="spot.amazonaws.com")
    before = account.everything()
    account.set_up()
    assert account.run("-teardown").status == OK
    assert account.everything() == before


def test_a_service_linked_role_that_others_use_by_now_stays(account: Account) -> None:
    account.set_up()
    request(account.client("ec2"), 1)
    said = account.run("-teardown")
    assert said.status == OK
    assert "left AWSServiceRoleForEC2Spot, which others use" in said.err


def test_run_again_it_finds_nothing_to_do(account: Account) -> None:
    account.set_up()
    account.run("-teardown")
    said = account.run("-teardown")
    assert (said.status, "there is no such stack" in said.err) == (OK, True)


def test_a_deletion_that_failed_is_gone_on_with(account: Account) -> None:
    before = account.everything()
    account.set_up()
    account.cloud.fault("DeleteFunction", "denied", times=2)
    said = account.run("-teardown")
    assert said.status == CLOUD_FAILED
    assert "An error occurred (AccessDeniedException)" in said.err.partition("LeaseFunction: ")[2]
    assert account.file.exists()
    assert account.run("-teardown").status == OK
    assert account.everything() == before


def test_a_time_out_of_the_deletion_is_gone_on_with(account: Account) -> None:
    before = account.everything()
    account.set_up()
    account.cloud.pace_stacks(0.4)
    assert account.run("-teardown", "-timeout", "1").status == CLOUD_FAILED
    account.cloud.pace_stacks(0)
    assert account.run("-teardown").status == OK
    assert account.everything() == before


def test_a_half_made_stack_is_taken_away_too(account: Account) -> None:
    before = account.everything()
    account.cloud.fault("CreateFunction", "denied")
    account.run("-setup")
    assert account.run("-teardown").status == OK
    assert account.everything() == before


def test_only_the_regions_that_are_named_go(account: Account) -> None:
    account.set_up("-region", "us-east-1", "-region", "eu-west-1")
    said = account.run("-teardown", "-region", "us-east-1")
    assert said.status == OK
    assert "the default region is eu-west-1" in said.err
    assert "\nANNEX_DEFAULT_LEASE_FUNCTION_ARN = arn:aws:lambda:eu-west-1:" in account.file.read_text()
    assert account.run("-check-setup", "-region", "eu-west-1").status == OK


def test_an_annex_in_one_region_keeps_all_the_named_regions(account: Account) -> None:
    account.set_up("-region", "us-east-1", "-region", "eu-west-1")
    arm(account, new_annex_id(), int(time.time()) + HOUR_S)
    assert account.run("-teardown", "-region", "eu-west-1", "-region", "us-east-1").status == ANNEXES_LIVE
    assert account.cloud.calls("DeleteStack") == []


def test_a_file_that_was_changed_by_hand_is_told_before_anything_is_touched(account: Account) -> None:
    account.set_up()
    account.file.write_text(account.file.read_text() + "MY_OWN_KNOB = 1\n")
    said = account.run("-teardown")
    assert said.status == BAD_FILE
    assert "changed by hand: 'MY_OWN_KNOB = 1'" in said.err
    assert account.cloud.calls("DeleteStack") == []
