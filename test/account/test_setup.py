"""Test -setup: one command, the first time and every time."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from annexd.account import enforcer, fresh
from annexd.account.configuration import KNOBS
from annexd.account.session import Session
from annexd.account.template import FUNCTION, LOG_GROUP
from annexd.annex.lease.heartbeat import CLOSED_DESCRIPTION
from annexd.tool.errors import ANNEXES_LIVE, BAD_FILE, CLOUD_FAILED, INTERRUPTED, USAGE
from test.account.kit import STACK, TOP, Account, function, order, stack_is, surroundings, ticking, wait_for
from test.cloud.orders import deploy


def test_one_command_creates_the_stack_and_configures_htcondor(account: Account) -> None:
    said = account.set_up()
    assert account.stack_status() == "CREATE_COMPLETE"
    written = account.file.read_text()
    assert all(f"\n{knob} = " in written for knob in KNOBS), written
    assert "condor_reconfig" in said.err
    assert str(account.file) in said.err


def test_it_reports_the_progress_of_cloudformation(account: Account) -> None:
    said = account.set_up()
    assert "us-east-1: LeaseFunction CREATE_COMPLETE" in said.err
    assert said.out == ""


def test_it_makes_what_the_template_says(account: Account) -> None:
    account.set_up()
    ids = account.physical_ids()
    s3, bucket = account.client("s3"), ids["Bucket"]
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"][0]["Expiration"]["Days"] > 31
    [group] = account.client("ec2").describe_security_groups(GroupIds=[ids["SecurityGroup"]])["SecurityGroups"]
    assert group["IpPermissions"] == []


def test_ec2s_own_roles_for_spot_instances_are_there_afterwards(account: Account) -> None:
    said = account.set_up()
    roles = {role["RoleName"] for role in account.client("iam").list_roles()["Roles"]}
    assert {"AWSServiceRoleForEC2Spot", "AWSServiceRoleForEC2SpotFleet", "AWSServiceRoleForEC2Fleet"} <= roles
    assert "created AWSServiceRoleForEC2Spot, which EC2 needs" in said.err


def test_run_again_it_changes_nothing(account: Account) -> None:
    account.set_up()
    before, written = account.everything(), account.file.read_bytes()
    account.cloud.clear_audit()
    said = account.set_up()
    assert "up to date" in said.err
    assert (account.everything(), account.file.read_bytes()) == (before, written)
    assert not {"CreateStack", "UpdateStack", "DeleteStack"} & {each.get("operation") for each in account.cloud.audit()}


def test_the_file_is_readable_by_all_and_leaves_nothing_beside_it(account: Account) -> None:
    account.set_up()
    assert stat.S_IMODE(account.file.stat().st_mode) == 0o644
    assert os.listdir(account.folder) == ["81annex"]


def test_interrupted_while_the_stack_is_made_it_goes_on_when_run_again(account: Account) -> None:
    account.cloud.pace_stacks(5.0)
    process = setup_process(account)
    wait_for(lambda: stack_is(account, "CREATE_IN_PROGRESS"), "the stack is being made", process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == INTERRUPTED, err
    assert "run the same command again to continue" in err
    assert not account.file.exists()
    account.cloud.pace_stacks(0.0)
    account.set_up()
    assert account.stack_status() == "CREATE_COMPLETE"
    assert len(account.cloud.calls("CreateStack")) == 1


def test_killed_while_the_stack_is_made_it_goes_on_when_run_again(account: Account) -> None:
    account.cloud.pace_stacks(5.0)
    process = setup_process(account)
    wait_for(lambda: stack_is(account, "CREATE_IN_PROGRESS"), "the stack is being made", process)
    process.kill()
    process.communicate(timeout=30)
    account.cloud.pace_stacks(0.0)
    account.set_up()
    assert account.file.exists()


def test_a_time_out_says_how_to_go_on(account: Account) -> None:
    account.cloud.pace_stacks(5.0)
    said = account.run("-setup", "-timeout", "1s")
    assert said.status == CLOUD_FAILED
    assert "run the same command again" in said.err


def test_a_failure_is_reported_with_its_cause_and_the_next_run_starts_again(account: Account) -> None:
    account.cloud.fault("CreateFunction", "error", code="InvalidParameterValueException", status=400)
    said = account.run("-setup")
    assert said.status == CLOUD_FAILED
    assert re.search(r"LeaseFunction: .*InvalidParameterValueException", said.err), said.err
    assert account.stack_status() == "ROLLBACK_COMPLETE"
    assert not account.file.exists()
    account.set_up()
    assert account.stack_status() == "CREATE_COMPLETE"


def test_a_cause_that_stays_is_reported_once_and_not_retried(account: Account) -> None:
    account.cloud.fault("CreateFunction", "denied", times=100)
    assert account.run("-setup").status == CLOUD_FAILED
    assert account.run("-setup").status == CLOUD_FAILED
    assert len(account.cloud.calls("CreateStack")) == 2


def test_a_stack_of_an_older_template_is_updated(account: Account) -> None:
    account.set_up()
    older = (TOP / "templates" / "annex.json").read_text().replace('"Timeout": 240', '"Timeout": 60')
    update(account, older)
    account.set_up()
    [function] = account.client("lambda").list_functions()["Functions"]
    assert function["Timeout"] == 240


def test_an_update_that_fails_keeps_the_working_stack(account: Account) -> None:
    account.set_up()
    update(account, (TOP / "templates" / "annex.json").read_text().replace('"Timeout": 240', '"Timeout": 60'))
    account.cloud.fault("UpdateFunctionConfiguration", "denied")
    said = account.run("-setup")
    assert said.status == CLOUD_FAILED
    assert "LeaseFunction: " in said.err
    assert account.stack_status() == "UPDATE_ROLLBACK_COMPLETE"
    account.set_up()


def test_a_lost_answer_to_createstack_makes_no_second_stack(account: Account) -> None:
    account.cloud.fault("CreateStack", "reset", when="after")
    account.set_up()
    assert len(account.client("cloudformation").describe_stacks()["Stacks"]) == 1


def test_a_stack_of_that_name_that_belongs_to_others_is_left_alone(account: Account) -> None:
    body = '{"Description": "our web shop", "Resources": {"Log": {"Type": "AWS::Logs::LogGroup", "Properties": '
    body += '{"RetentionInDays": 1}}}}'
    account.client("cloudformation").create_stack(StackName=STACK, TemplateBody=body)
    wait_for(lambda: stack_is(account, "CREATE_COMPLETE"), "the web shop is made")
    for task in ("-setup", "-teardown"):
        said = account.run(task)
        assert said.status == CLOUD_FAILED
        assert "does not belong to annexd: 'our web shop'" in said.err
    assert account.stack_status() == "CREATE_COMPLETE"


def test_several_regions_are_one_file_with_the_first_as_the_default(account: Account) -> None:
    account.set_up("-region", "us-east-1", "-region", "eu-west-1")
    written = account.file.read_text()
    assert "\nANNEX_DEFAULT_LEASE_FUNCTION_ARN = arn:aws:lambda:us-east-1:" in written
    assert "\nANNEXD_EU_WEST_1.ANNEX_DEFAULT_LEASE_FUNCTION_ARN = arn:aws:lambda:eu-west-1:" in written


def test_a_region_that_is_added_later_does_not_become_the_default(account: Account) -> None:
    account.set_up("-region", "us-east-1")
    account.set_up("-region", "eu-west-1")
    assert "\nANNEX_DEFAULT_LEASE_FUNCTION_ARN = arn:aws:lambda:us-east-1:" in account.file.read_text()


def test_a_file_that_is_not_ours_is_kept_and_nothing_is_created(account: Account) -> None:
    account.file.write_text("ANNEX_DEFAULT_S3_BUCKET = mine\n")
    said = account.run("-setup")
    assert said.status == BAD_FILE
    assert "not written by condor_annex" in said.err
    assert account.file.read_text() == "ANNEX_DEFAULT_S3_BUCKET = mine\n"
    assert account.cloud.calls("CreateStack") == []


def test_a_missing_folder_is_reported_before_anything_is_created(account: Account) -> None:
    said = account.run("-setup", "-output", str(account.folder / "no" / "where"))
    assert said.status == BAD_FILE
    assert account.cloud.calls("CreateStack") == []


def test_the_configuration_can_go_to_standard_output(account: Account) -> None:
    said = account.run("-setup", "-output", "-")
    assert said.status == 0
    assert "\nANNEX_DEFAULT_S3_BUCKET = htcondorannex-bucket-" in said.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-setup", "-teardown"), "-setup and -teardown exclude each other"),
        (("-setup", "config.json"), "config.json cannot be used with -setup"),
        (("-setup", "-lease-duration", "60"), "-lease-duration cannot be used with -setup"),
        (("-setup", "-region", "Virginia"), "-region must be an AWS region"),
        (("-setup", "-region", "us-nowhere-1"), "unknown region: us-nowhere-1"),
        (("-setup", "-profile", "a", "-access", "b", "-secret", "c"), "-profile and -access-key-file exclude"),
        (("-setup", "-access", "b"), "-secret-key-file is missing: AWS keys are an ID and a secret"),
        (("-setup", "-stack-name", "a b"), "-stack-name must be"),
        (("-setup", "-max-lease", "5m"), "-max-lease must be from 10m (two runs of the lease function) to 31d"),
        (("-setup", "-max-lease", "40d"), "the bucket deletes the machines' lease objects after that"),
        (("-setup", "-cut-leases"), "-cut-leases requires -max-lease"),
        (("-region", "us-east-1", "-lease-duration", "60", "f"), "-region requires -setup"),
    ],
)
def test_options_that_do_not_go_together_are_reported(
    account: Account, arguments: tuple[str, ...], message: str
) -> None:
    said = account.run(*arguments, *(() if "-setup" in arguments else ("-output", "x")))
    assert said.status == USAGE
    assert message in said.err


def test_an_unknown_profile_says_where_to_look(account: Account) -> None:
    said = account.run("-setup", "-profile", "nobody")
    assert said.status == CLOUD_FAILED
    assert "aws configure list-profiles" in said.err


def test_without_credentials_it_says_how_to_give_them(account: Account) -> None:
    account.environment = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    said = account.run("-setup")
    assert said.status == CLOUD_FAILED
    assert "-profile NAME" in said.err


def test_key_files_are_used_when_they_are_given(account: Account) -> None:
    public, secret = account.folder / "public", account.folder / "secret"
    public.write_text("AKIAFROMAFILE0000000\n")
    secret.write_text("the-secret-of-the-file\n")
    account.set_up("-access", str(public), "-secret", str(secret))
    [call] = account.cloud.calls("CreateStack")
    assert call["access_key_id"] == "AKIAFROMAFILE0000000"


def test_a_key_file_without_a_key_is_reported_without_its_content(account: Account) -> None:
    public = account.folder / "public"
    public.write_text("two words-of-secret\n")
    said = account.run("-setup", "-access", str(public), "-secret", str(public))
    assert said.status == BAD_FILE
    assert "words-of-secret" not in said.err


def close(account: Account) -> None:
    account.client("lambda").update_function_configuration(FunctionName=FUNCTION, Description=CLOSED_DESCRIPTION)


def test_it_ends_with_a_heartbeat_that_the_rule_caused(account: Account) -> None:
    said = account.set_up()
    assert said.err.rstrip().endswith(
        "the rule calls the lease function, which sees all fleets and instances: annexd accepts orders"
    )
    assert len(account.cloud.effects("function started")) > 0


def test_a_rule_that_never_calls_is_reported_with_a_repair(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enforcer, "HEARTBEAT_S", 3.0)
    said = account.run("-setup", ticks=False)
    assert said.status == CLOUD_FAILED
    assert "waiting for the rule, which calls the lease function every five minutes" in said.err
    assert "annexd would refuse orders" in said.err
    assert "find the cause with condor_annex -check-setup" in said.err
    assert account.file.exists()


def test_a_call_by_hand_does_not_count_as_a_heartbeat(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enforcer, "HEARTBEAT_S", 0.5)
    account.run("-setup", ticks=False)
    account.client("lambda").invoke(FunctionName=FUNCTION, Payload=b"{}")
    events = account.client("logs").filter_log_events(logGroupName=LOG_GROUP)["events"]
    assert any('"tick": false' in event["message"] for event in events)
    assert account.run("-setup", ticks=False).status == CLOUD_FAILED


def test_an_update_waits_for_a_heartbeat_of_the_new_max_lease(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.set_up()
    monkeypatch.setattr(enforcer, "HEARTBEAT_S", 0.5)
    said = account.run("-setup", "-max-lease", "7d", ticks=False)
    assert said.status == CLOUD_FAILED
    assert "the latest heartbeat has a MaxLease of 2592000 s, not 604800 s" in said.err


def test_an_update_waits_for_a_heartbeat_of_the_new_code(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.set_up()
    update(account, (TOP / "templates" / "annex.json").read_text().replace("End each annex", "Each annex"))
    account.log()
    account.cloud.tick(FUNCTION)
    monkeypatch.setattr(enforcer, "HEARTBEAT_S", 0.5)
    said = account.run("-setup", ticks=False)
    assert said.status == CLOUD_FAILED
    assert "the latest heartbeat is from the previous code" in said.err
    assert account.set_up()


def test_max_lease_is_thirty_days_and_stays_what_was_chosen(account: Account) -> None:
    account.set_up()
    assert function(account)["Environment"]["Variables"]["MAX_LEASE_S"] == "2592000"
    account.set_up("-max-lease", "7d")
    assert function(account)["Environment"]["Variables"]["MAX_LEASE_S"] == "604800"
    account.set_up()
    assert function(account)["Environment"]["Variables"]["MAX_LEASE_S"] == "604800"


def test_lowering_max_lease_names_the_annexes_that_it_cuts_and_needs_a_confirmation(account: Account) -> None:
    account.set_up()
    order(account, 3600, "annex-short")
    order(account, 20 * 86400, "annex-long")
    said = account.run("-setup", "-max-lease", "7d")
    assert said.status == ANNEXES_LIVE
    assert re.search(r"annex annex-long of alice: at \S+Z instead of \S+Z", said.err), said.err
    assert "annex-short" not in said.err
    assert "-cut-leases" in said.err
    assert function(account)["Environment"]["Variables"]["MAX_LEASE_S"] == "2592000"
    said = account.set_up("-max-lease", "7d", "-cut-leases")
    assert "ends earlier: annex annex-long of alice" in said.err
    assert function(account)["Environment"]["Variables"]["MAX_LEASE_S"] == "604800"


def test_an_update_never_leaves_a_moment_without_an_enforcer(account: Account) -> None:
    """The update deletes or disables no part of the enforcer, however old the previous template was."""
    account.set_up()
    older = json.loads((TOP / "templates" / "annex.json").read_text())
    made = {name: resource["Properties"] for name, resource in older["Resources"].items()}
    made["LeaseFunction"] |= {"Timeout": 60, "Code": {"ZipFile": "def handler(event, context):\n    pass\n"}}
    made["LeaseRule"]["Description"] = "older"
    made["LeaseRule"]["Targets"][0].pop("RetryPolicy")
    made["LeaseCalls"]["MaximumRetryAttempts"] = 2
    made["LeaseLog"]["RetentionInDays"] = 30
    made["LeaseRole"]["Policies"][0]["PolicyDocument"]["Statement"].pop(0)
    update(account, json.dumps(older))
    account.cloud.clear_audit()
    account.set_up()
    gone = {"DeleteFunction", "RemovePermission", "DeleteRule", "DisableRule", "DeleteRole", "DeleteLogGroup"}
    assert not gone & {each.get("operation") for each in account.cloud.audit()}


def test_a_new_instance_profile_has_time_to_be_known_and_an_old_one_needs_none(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.set_up()
    name = account.physical_ids()["InstanceProfile"]
    profile = account.client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    made_s, lines = profile["CreateDate"].timestamp(), list[str]()
    old_s = time.time() - made_s + 2.0
    monkeypatch.setattr(fresh, "FRESH_S", old_s)
    with surroundings(account.cloud.environment()):
        fresh.wait_until_known(Session(), "us-east-1", profile["Arn"], lines.append)
        assert time.time() - made_s >= old_s - 1.0  # IAM and the headers of its responses have whole seconds
        assert len(lines) == 1
        monkeypatch.setattr(fresh, "FRESH_S", 1.0)
        fresh.wait_until_known(Session(), "us-east-1", profile["Arn"], lines.append)
    assert len(lines) == 1


def test_a_closed_function_is_opened_again(account: Account) -> None:
    account.set_up()
    description = function(account)["Description"]
    close(account)
    said = account.set_up()
    assert function(account)["Description"] == description
    assert "the lease function is open again" in said.err


def test_a_function_that_a_teardown_is_closing_is_not_opened(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.set_up()
    close(account)
    monkeypatch.setattr(enforcer, "CLOSING_S", 60.0)
    said = account.run("-setup")
    assert said.status == CLOUD_FAILED
    assert "a -teardown closed the lease function" in said.err
    assert function(account)["Description"] == CLOSED_DESCRIPTION


def test_a_second_stack_reports_the_first_and_uses_it(account: Account) -> None:
    account.set_up()
    written = account.file.read_bytes()
    said = account.set_up("-stack-name", "Another")
    assert f"the stack {STACK} has the lease function {FUNCTION}" in said.err
    assert account.file.read_bytes() == written
    assert [each["StackName"] for each in account.client("cloudformation").describe_stacks()["Stacks"]] == [STACK]


def test_a_second_stack_finds_what_the_first_lacks_and_says_how_to_complete_it(account: Account) -> None:
    account.cloud.deploy_template(TOP / "templates" / "template-3.json", "ByHand")
    said = account.run("-setup")
    assert said.status == CLOUD_FAILED
    assert "condor_annex -setup -stack-name ByHand completes it" in said.err
    account.set_up("-stack-name", "ByHand")
    assert "\nANNEX_DEFAULT_S3_BUCKET = byhand-bucket-" in account.file.read_text()


def test_a_function_of_that_name_without_a_stack_is_reported_before_anything_is_created(account: Account) -> None:
    deploy(account.cloud, "def handler(event, context):\n    pass\n", FUNCTION)
    said = account.run("-setup")
    assert said.status == CLOUD_FAILED
    assert f"the function {FUNCTION} exists, and AWS does not report its stack" in said.err
    assert account.cloud.calls("CreateStack") == []


def delete_function(account: Account) -> None:
    account.client("lambda").delete_function(FunctionName=FUNCTION)


def delete_rule(account: Account) -> None:
    account.client("events").remove_targets(Rule=FUNCTION, Ids=[FUNCTION])
    account.client("events").delete_rule(Name=FUNCTION)


def delete_role(account: Account) -> None:
    iam, name = account.client("iam"), account.physical_ids()["LeaseRole"]
    iam.delete_role_policy(RoleName=name, PolicyName="EndAnnexes")
    iam.delete_role(RoleName=name)


@pytest.mark.parametrize("delete", [delete_function, delete_rule, delete_role])
def test_a_partly_deleted_enforcer_is_created_again_while_annexes_live(
    account: Account, delete: Callable[[Account], None]
) -> None:
    account.set_up()
    fleet, bucket = order(account, -60), account.physical_ids()["Bucket"]
    delete(account)
    said = account.set_up()
    assert "parts of the lease function's resources were deleted" in said.err
    account.cloud.tick(FUNCTION)
    wait_for(lambda: account.cloud.running_instances() == [], f"the function ends {fleet}")
    assert account.physical_ids()["Bucket"] == bucket


def test_an_incomplete_stack_is_not_deleted_while_an_annex_lives(account: Account) -> None:
    """The function still works after the failed deletion; deleting it would leave the annexes without an enforcer."""
    account.set_up()
    account.cloud.fault("DeleteFunction", "denied", times=9)
    account.client("cloudformation").delete_stack(StackName=STACK)
    wait_for(lambda: stack_is(account, "DELETE_FAILED"), "the deletion fails")
    account.cloud.clear_faults()
    order(account, 3600)
    said = account.run("-setup")
    assert said.status == ANNEXES_LIVE
    assert "annex annex-1 of alice runs" in said.err
    assert function(account)["Description"] != CLOSED_DESCRIPTION


def setup_process(account: Account) -> subprocess.Popen[str]:
    command = [sys.executable, str(TOP / "bin" / "condor_annex"), "-setup", "-output", str(account.file)]
    environment = {**os.environ, **account.cloud.environment()}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def update(account: Account, body: str) -> None:
    account.client("cloudformation").update_stack(StackName=STACK, TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
    wait_for(lambda: stack_is(account, "UPDATE_COMPLETE"), "the stack is updated")


def test_the_file_goes_into_the_last_folder_whose_settings_count(account: Account, tmp_path: Path) -> None:
    """On Debian, the first of two folders belongs to the package."""
    packaged, own = tmp_path / "packaged", tmp_path / "own"
    packaged.mkdir()
    own.mkdir()
    (tmp_path / "condor_config").write_text(f"LOCAL_CONFIG_DIR = {packaged},{own}\n")
    script = "import sys; from annexd.tool import main; sys.exit(main.run(['-setup']))"
    environment = {**os.environ, **account.cloud.environment(), "CONDOR_CONFIG": str(tmp_path / "condor_config")}
    with ticking(account.cloud):
        subprocess.run([sys.executable, "-c", script], check=True, cwd=TOP, env=environment, capture_output=True)
    assert [path.name for path in own.iterdir()] == ["81annex"]
    assert list(packaged.iterdir()) == []
