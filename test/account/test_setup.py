"""-setup: one command, the first time and every time."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from annexd.account.configuration import KNOBS
from annexd.tool.errors import BAD_FILE, CLOUD_FAILED, INTERRUPTED, USAGE
from test.account.kit import STACK, TOP, Account


def test_one_command_makes_the_stack_and_tells_htcondor_of_it(account: Account) -> None:
    said = account.set_up()
    assert account.stack_status() == "CREATE_COMPLETE"
    written = account.file.read_text()
    assert all(f"\n{knob} = " in written for knob in KNOBS), written
    assert "condor_reconfig" in said.err
    assert str(account.file) in said.err


def test_it_tells_what_cloudformation_does_while_it_does_it(account: Account) -> None:
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
    assert {"AWSServiceRoleForEC2Spot", "AWSServiceRoleForEC2SpotFleet"} <= roles
    assert "made AWSServiceRoleForEC2Spot, which EC2 needs" in said.err


def test_run_again_it_changes_nothing(account: Account) -> None:
    account.set_up()
    before, written = account.everything(), account.file.read_bytes()
    account.cloud.clear_audit()
    said = account.set_up()
    assert "as it should be" in said.err
    assert (account.everything(), account.file.read_bytes()) == (before, written)
    assert not {"CreateStack", "UpdateStack", "DeleteStack"} & {each["operation"] for each in account.cloud.audit()}


def test_the_file_is_readable_by_all_and_leaves_nothing_beside_it(account: Account) -> None:
    account.set_up()
    assert stat.S_IMODE(account.file.stat().st_mode) == 0o644
    assert os.listdir(account.folder) == ["81annex"]


def test_interrupted_while_the_stack_is_made_it_goes_on_when_run_again(account: Account) -> None:
    account.cloud.pace_stacks(0.1)
    process = setup_process(account)
    wait_for(lambda: stack_is(account, "CREATE_IN_PROGRESS"), "the stack is being made", process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == INTERRUPTED, err
    assert "the same command goes on" in err
    assert not account.file.exists()
    account.set_up()
    assert account.stack_status() == "CREATE_COMPLETE"
    assert len(account.cloud.calls("CreateStack")) == 1


def test_killed_while_the_stack_is_made_it_goes_on_when_run_again(account: Account) -> None:
    account.cloud.pace_stacks(0.1)
    process = setup_process(account)
    wait_for(lambda: stack_is(account, "CREATE_IN_PROGRESS"), "the stack is being made", process)
    process.kill()
    process.communicate(timeout=30)
    account.set_up()
    assert account.file.exists()


def test_a_time_out_says_how_to_go_on(account: Account) -> None:
    account.cloud.pace_stacks(0.5)
    said = account.run("-setup", "-timeout", "1s")
    assert said.status == CLOUD_FAILED
    assert "run the same command again" in said.err


def test_a_failure_is_told_with_its_cause_and_the_next_run_begins_anew(account: Account) -> None:
    account.cloud.fault("CreateFunction", "error", code="InvalidParameterValueException", status=400)
    said = account.run("-setup")
    assert said.status == CLOUD_FAILED
    assert "LeaseFunction: An error occurred (InvalidParameterValueException)" in said.err
    assert account.stack_status() == "ROLLBACK_COMPLETE"
    assert not account.file.exists()
    account.set_up()
    assert account.stack_status() == "CREATE_COMPLETE"


def test_a_cause_that_stays_is_told_once_and_not_tried_for_ever(account: Account) -> None:
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


def test_a_stack_of_that_name_that_is_somebody_elses_is_left_alone(account: Account) -> None:
    body = '{"Description": "our web shop", "Resources": {"Log": {"Type": "AWS::Logs::LogGroup", "Properties": '
    body += '{"RetentionInDays": 1}}}}'
    account.client("cloudformation").create_stack(StackName=STACK, TemplateBody=body)
    wait_for(lambda: stack_is(account, "CREATE_COMPLETE"), "the web shop is made")
    for task in ("-setup", "-teardown"):
        said = account.run(task)
        assert said.status == CLOUD_FAILED
        assert "somebody else's: 'our web shop'" in said.err
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


def test_a_file_that_is_not_ours_is_not_touched_and_nothing_is_made(account: Account) -> None:
    account.file.write_text("ANNEX_DEFAULT_S3_BUCKET = mine\n")
    said = account.run("-setup")
    assert said.status == BAD_FILE
    assert "not written by condor_annex" in said.err
    assert account.file.read_text() == "ANNEX_DEFAULT_S3_BUCKET = mine\n"
    assert account.cloud.calls("CreateStack") == []


def test_a_folder_that_is_not_there_is_told_before_anything_is_made(account: Account) -> None:
    said = account.run("-setup", "-output", str(account.folder / "no" / "where"))
    assert said.status == BAD_FILE
    assert account.cloud.calls("CreateStack") == []


def test_the_configuration_can_go_to_standard_output(account: Account) -> None:
    said = account.run("-setup", "-output", "-")
    assert said.status == 0
    assert "\nANNEX_DEFAULT_S3_BUCKET = htcondorannex-bucket-" in said.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-setup", "-teardown"), "-setup and -teardown exclude each other"),
        (("-setup", "config.json"), "config.json cannot be used with -setup"),
        (("-setup", "-lease-duration", "60"), "-lease-duration cannot be used with -setup"),
        (("-setup", "-region", "Virginia"), "-region must be a region of AWS's"),
        (("-setup", "-region", "us-nowhere-1"), "there is no region us-nowhere-1"),
        (("-setup", "-profile", "a", "-access", "b", "-secret", "c"), "-profile and -access-key-file exclude"),
        (("-setup", "-access", "b"), "-secret-key-file is missing: AWS keys are an ID and a secret"),
        (("-setup", "-stack-name", "a b"), "-stack-name must be"),
        (("-region", "us-east-1", "-lease-duration", "60", "f"), "-region goes with -setup"),
    ],
)
def test_options_that_do_not_go_together_are_told(account: Account, arguments: tuple[str, ...], words: str) -> None:
    said = account.run(*arguments, *(() if "-setup" in arguments else ("-output", "x")))
    assert said.status == USAGE
    assert words in said.err


def test_an_unknown_profile_says_where_to_look(account: Account) -> None:
    said = account.run("-setup", "-profile", "nobody")
    assert said.status == CLOUD_FAILED
    assert "aws configure list-profiles" in said.err


def test_without_credentials_it_says_the_ways_to_give_them(account: Account) -> None:
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


def test_a_key_file_that_holds_no_key_is_told_without_its_content(account: Account) -> None:
    public = account.folder / "public"
    public.write_text("two words-of-secret\n")
    said = account.run("-setup", "-access", str(public), "-secret", str(public))
    assert said.status == BAD_FILE
    assert "words-of-secret" not in said.err


def setup_process(account: Account) -> subprocess.Popen[str]:
    command = [sys.executable, str(TOP / "bin" / "condor_annex"), "-setup", "-output", str(account.file)]
    environment = {**os.environ, **account.cloud.environment()}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def update(account: Account, body: str) -> None:
    account.client("cloudformation").update_stack(StackName=STACK, TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
    wait_for(lambda: stack_is(account, "UPDATE_COMPLETE"), "the stack is updated")


def stack_is(account: Account, status: str) -> bool:
    stacks = account.client("cloudformation").describe_stacks()["Stacks"]
    return any(each["StackStatus"] == status for each in stacks)


def wait_for(condition: object, what: str, process: subprocess.Popen[str] | None = None) -> None:
    deadline_s = time.monotonic() + 30
    assert callable(condition)
    while not condition():
        assert time.monotonic() < deadline_s, f"not in time: {what}"
        assert process is None or process.poll() is None, f"ended before {what}: {process.communicate()}"
        time.sleep(0.05)


def test_the_file_goes_into_the_last_folder_whose_settings_count(account: Account, tmp_path: Path) -> None:
    """As on Debian, where the first of two folders is the package's own."""
    packaged, own = tmp_path / "packaged", tmp_path / "own"
    packaged.mkdir()
    own.mkdir()
    (tmp_path / "condor_config").write_text(f"LOCAL_CONFIG_DIR = {packaged},{own}\n")
    script = "import sys; from annexd.tool import main; sys.exit(main.run(['-setup']))"
    environment = {**os.environ, **account.cloud.environment(), "CONDOR_CONFIG": str(tmp_path / "condor_config")}
    subprocess.run([sys.executable, "-c", script], check=True, cwd=TOP, env=environment, capture_output=True)
    assert [path.name for path in own.iterdir()] == ["81annex"]
    assert list(packaged.iterdir()) == []
