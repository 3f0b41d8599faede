"""Test -teardown: nothing is left, and no living annex loses its lease."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from annexd.account import enforcer
from annexd.account.template import FUNCTION
from annexd.annex.lease.heartbeat import is_closed
from annexd.annex.lease.identifiers import leased_token
from annexd.annex.lease.lease import TAG_ANNEX_ID
from annexd.annex.steps import StepContext
from annexd.annex.steps.check_lease_function import CHECK_AGAIN_S
from annexd.tool.errors import ANNEXES_LIVE, BAD_FILE, CLOUD_FAILED, OK
from test.account.kit import TOP, Account, Said, function, order, wait_for
from test.cloud.orders import instances, request, template

HOUR_S = 3600


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


def test_launch_templates_of_annexes_that_are_gone_go_too_and_no_others(account: Account) -> None:
    account.set_up()
    own, ec2 = {TAG_ANNEX_ID: "annex-1"}, account.client("ec2")
    template(ec2, leased_token("annex-1", int(time.time()) + 9000), own)
    others = [template(ec2, "somebodys"), template(ec2, "tagged", own)]
    said = account.run("-teardown")
    assert said.status == OK, said
    assert "deleted 1 launch templates" in said.err
    assert sorted(each["LaunchTemplateId"] for each in ec2.describe_launch_templates()["LaunchTemplates"]) == sorted(
        others
    )
    for each in others:
        ec2.delete_launch_template(LaunchTemplateId=each)


def test_a_running_annex_is_named_and_nothing_is_touched(account: Account) -> None:
    account.set_up()
    order(account, HOUR_S)
    before, written, description = account.everything(), account.file.read_bytes(), function(account)["Description"]
    said = account.run("-teardown")
    assert said.status == ANNEXES_LIVE
    assert "annex annex-1 of alice runs; its lease ends at 20" in said.err
    assert (account.everything(), account.file.read_bytes()) == (before, written)
    assert account.cloud.calls("DeleteStack") == []
    assert function(account)["Description"] == description


def test_annexes_of_every_pool_are_named(account: Account) -> None:
    """Annexes of every annexd count, whatever tags their fleets have."""
    account.set_up()
    order(account, HOUR_S, "annex-1")
    fleet = order(account, HOUR_S, "pool-b.example.org-7")
    account.client("ec2").delete_tags(Resources=[fleet])
    said = account.run("-teardown")
    assert said.status == ANNEXES_LIVE
    assert "annex annex-1 of alice runs" in said.err
    assert "annex pool-b.example.org-7 runs" in said.err


def test_a_fleet_that_is_over_and_not_ended_yet_is_an_annex_too(account: Account) -> None:
    account.set_up()
    order(account, -HOUR_S)
    assert account.run("-teardown").status == ANNEXES_LIVE
    account.cloud.tick(FUNCTION)
    assert account.run("-teardown").status == OK


def test_instances_that_outlived_their_fleet_are_an_annex_too(account: Account) -> None:
    account.set_up()
    fleet = order(account, HOUR_S)
    account.client("ec2").cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=False)
    said = account.run("-teardown")
    assert (said.status, "annex annex-1 of alice runs" in said.err) == (ANNEXES_LIVE, True)


def test_stamped_instances_whose_fleet_is_not_listed_are_an_annex_too(account: Account) -> None:
    account.set_up()
    fleet = order(account, HOUR_S)
    account.cloud.tick(FUNCTION)
    assert all(
        any(tag["Key"] == "htcondor:annex-id" for tag in each["Tags"]) for each in instances(account.client("ec2"))
    )
    account.cloud.forget_fleet(fleet)
    said = account.run("-teardown")
    assert (said.status, "annex annex-1 runs; its lease ends at unknown" in said.err) == (ANNEXES_LIVE, True)


def in_background(act: Callable[[], Said]) -> tuple[threading.Thread, list[Said]]:
    said: list[Said] = []
    thread = threading.Thread(target=lambda: said.append(act()), daemon=True)
    thread.start()
    return thread, said


def test_an_order_in_progress_is_waited_for_and_the_function_opened_again(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order checks the function before it is closed, and requests its fleet after -teardown first lists annexes."""
    account.set_up()
    description = function(account)["Description"]
    monkeypatch.setattr(enforcer, "CLOSING_S", 10.0)
    thread, said = in_background(lambda: account.run("-teardown"))
    wait_for(lambda: is_closed(function(account)), "the function is closed")
    order(account, HOUR_S)
    thread.join(60)
    assert said[0].status == ANNEXES_LIVE
    assert "annex annex-1 of alice runs" in said[0].err
    assert function(account)["Description"] == description
    assert account.cloud.calls("DeleteStack") == []


def test_a_function_that_was_opened_meanwhile_is_not_deleted(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.set_up()
    description = function(account)["Description"]
    monkeypatch.setattr(enforcer, "CLOSING_S", 10.0)
    thread, said = in_background(lambda: account.run("-teardown"))
    wait_for(lambda: is_closed(function(account)), "the function is closed")
    functions = account.client("lambda")
    functions.get_waiter("function_updated_v2").wait(FunctionName=FUNCTION, WaiterConfig={"Delay": 0.05})
    functions.update_function_configuration(FunctionName=FUNCTION, Description=description)
    thread.join(60)
    assert said[0].status == CLOUD_FAILED
    assert "the lease function was opened again" in said[0].err
    assert account.cloud.calls("DeleteStack") == []


def test_it_waits_longer_than_an_order_relies_on_its_look_at_the_function() -> None:
    """CLOSING_S covers the check's age, a request's delay without a response, and EC2's delay in listing the fleet."""
    assert CHECK_AGAIN_S + StepContext.settle_s == 150
    assert "CLOSING_S: Final = CHECK_AGAIN_S + StepContext.settle_s + 10.0" in Path(enforcer.__file__).read_text()


def test_a_stack_without_the_lease_function_leaves_it_open(account: Account) -> None:
    """An earlier stack has the function, so the creation of this one was rolled back."""
    account.cloud.deploy_template(TOP / "templates" / "template-3.json", "First")
    body = (TOP / "templates" / "annex.json").read_text()
    account.client("cloudformation").create_stack(
        StackName="Second", TemplateBody=body, Capabilities=["CAPABILITY_IAM"]
    )
    wait_for(lambda: account.stack_status("Second") == "ROLLBACK_COMPLETE", "the second is rolled back")
    said = account.run("-teardown", "-stack-name", "Second")
    assert said.status == OK
    assert "belongs to the stack First, not to Second" in said.err
    assert not is_closed(function(account))


def test_fleets_of_others_do_not_count(account: Account) -> None:
    account.set_up()
    request(account.client("ec2"), 1)
    assert account.run("-teardown").status == OK
    assert len(account.cloud.running_instances()) == 1


@pytest.mark.parametrize("operation", ["DescribeSpotFleetRequests", "DescribeInstances"])
def test_annexes_that_cannot_be_listed_count_as_living(account: Account, operation: str) -> None:
    account.cloud.fault(operation, "denied", times=9)
    said = account.run("-teardown")
    assert said.status == CLOUD_FAILED
    assert "cannot determine whether annexes live" in said.err
    assert account.cloud.calls("DeleteStack") == []


def test_ec2s_service_linked_roles_stay_for_a_region_that_has_a_file_of_its_own(account: Account) -> None:
    """No instance runs anywhere, so IAM would delete the roles, and the other region's next order would fail."""
    elsewhere = "-region", "eu-west-1", "-output", str(account.folder / "82annex-europe")
    account.set_up()
    assert account.run("-setup", *elsewhere).status == OK
    said = account.run("-teardown", *elsewhere)
    assert said.status == OK, said
    assert "kept AWSServiceRoleForEC2Spot, AWSServiceRoleForEC2SpotFleet, AWSServiceRoleForEC2Fleet" in said.err
    assert account.cloud.calls("DeleteServiceLinkedRole") == []
    assert account.run("-check-setup", "-region", "us-east-1").status == OK


def test_run_again_it_finds_nothing_to_do(account: Account) -> None:
    account.set_up()
    account.run("-teardown")
    said = account.run("-teardown")
    assert (said.status, "there is no such stack" in said.err) == (OK, True)


def test_a_failed_deletion_is_continued(account: Account) -> None:
    before = account.everything()
    account.set_up()
    account.cloud.fault("DeleteFunction", "denied", times=2)
    said = account.run("-teardown")
    assert said.status == CLOUD_FAILED
    assert "An error occurred (AccessDeniedException)" in said.err.partition("LeaseFunction: ")[2]
    assert account.file.exists()
    assert account.run("-teardown").status == OK
    assert account.everything() == before


def test_a_deletion_that_timed_out_is_continued(account: Account) -> None:
    before = account.everything()
    account.set_up()
    account.cloud.pace_stacks(2.0)
    assert account.run("-teardown", "-timeout", "1").status == CLOUD_FAILED
    account.cloud.pace_stacks(0)
    assert account.run("-teardown").status == OK
    assert account.everything() == before


def test_an_incomplete_stack_is_deleted_too(account: Account) -> None:
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


def test_with_the_name_of_no_stack_nothing_of_another_stack_goes(account: Account) -> None:
    account.set_up()
    before = account.file.read_text()
    said = account.run("-teardown", "-stack-name", "Second")
    assert (said.status, account.file.read_text()) == (OK, before)
    assert "belongs to the stack HTCondorAnnex, not to Second" in said.err
    assert account.cloud.calls("DeleteServiceLinkedRole") == []
    assert account.run("-check-setup").status == OK


def test_an_annex_in_one_region_keeps_all_the_named_regions(account: Account) -> None:
    account.set_up("-region", "us-east-1", "-region", "eu-west-1")
    order(account, HOUR_S)
    assert account.run("-teardown", "-region", "eu-west-1", "-region", "us-east-1").status == ANNEXES_LIVE
    assert account.cloud.calls("DeleteStack") == []


def test_a_file_that_was_changed_by_hand_is_reported_before_any_change(account: Account) -> None:
    account.set_up()
    account.file.write_text(account.file.read_text() + "MY_OWN_KNOB = 1\n")
    said = account.run("-teardown")
    assert said.status == BAD_FILE
    assert "changed by hand: 'MY_OWN_KNOB = 1'" in said.err
    assert account.cloud.calls("DeleteStack") == []
