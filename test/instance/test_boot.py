"""Test the boot of an annex's machine, with the metadata service, enforced IAM policies, and S3."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable

import pytest

from test.cloud import Cloud
from test.cloud.machine import give_tools
from test.instance.account import CONFIG, EVERY_ANNEX, TOKEN, Account, config_bundle, object_arn, policy
from test.instance.machine import Machine

Make = Callable[[str], Machine]


def test_it_finds_its_annexs_object_by_its_permissions_and_its_tag(account: Account, machine: Make) -> None:
    account.annex()
    account.annex("annex-two")
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX))))
    outcome = booted.boot()
    assert outcome.status == 0, outcome.log
    assert booted.files() == {
        "49ec2-instance.config": "# Written by condor-annex-ec2 at boot.\nEC2PublicIP = \n"
        f'EC2InstanceID = "{booted.instance_id}"\n',
        "50-condor-annex.conf": CONFIG,
        "annex.token": f"{TOKEN}\n",
    }
    assert not outcome.was_shut_down


def test_the_token_is_for_root_alone_and_in_no_log(account: Account, machine: Make) -> None:
    account.annex()
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX))))
    outcome = booted.boot()
    assert stat.S_IMODE((booted.tokens / "annex.token").stat().st_mode) == 0o600
    assert stat.S_IMODE(booted.tokens.stat().st_mode) == 0o700
    assert stat.S_IMODE((booted.config / "50-condor-annex.conf").stat().st_mode) == 0o644
    reported = outcome.log + booted.log.read_text() + (booted.folder / "state" / "state.json").read_text()
    session = booted.cloud.calls("GetObject")[-1]["access_key_id"]
    for secret in (TOKEN, TOKEN.rpartition(".")[2], session):
        assert secret not in reported


def test_a_timer_runs_before_anything_is_asked_and_the_leases_before_anything_is_written(
    account: Account, machine: Make
) -> None:
    account.annex(lease_s=3600)
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX))))
    outcome = booted.boot("--grace=300", "--patience=100")
    boot, lease = (outcome.timers()[each] for each in sorted(outcome.timers())[:2])
    assert boot == 160  # --patience plus a minute
    assert 3800 < lease <= 3900
    armed = [each["time"] for each in outcome.calls if each["tool"] == "systemd-run"]
    asked = next(each["time"] for each in booted.cloud.effects("metadata"))
    assert armed[0] < asked
    assert armed[1] < min(each.stat().st_mtime for each in booted.config.iterdir())
    assert ["stop", "condor-annex-ec2-boot.timer"] in outcome.arguments("systemctl")


@pytest.mark.parametrize("moved_s", [1000, 9000])
@pytest.mark.parametrize("tag_s", [-5, 3600])
def test_the_end_in_the_object_counts_and_not_the_tag_that_the_machine_was_launched_with(
    account: Account, machine: Make, moved_s: int, tag_s: int
) -> None:
    """A machine may be launched long after the end was moved, even after the end that was ordered."""
    end_s = int(time.time()) + moved_s
    account.move(int(time.time()) + 3600, end_s)
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX)), lease_s=tag_s))
    outcome = booted.boot("--grace=0")
    assert outcome.status == 0, outcome.log
    assert booted.standing() == {f"condor-annex-ec2-lease-{end_s}-by-aws"}


def test_without_systemd_the_one_scheduled_shutdown_is_at_the_earliest_moment(account: Account, machine: Make) -> None:
    account.annex(lease_s=3600)
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX))))
    for tool in ("systemd-run", "systemctl"):
        (booted.folder / "bin" / tool).unlink()
    outcome = booted.boot("--grace=0", "--patience=100")
    assert outcome.status == 0, outcome.log
    *earlier, last = outcome.arguments("shutdown")
    assert {tuple(each) for each in earlier} == {("-h", "+3")}, "no later call may lengthen it"
    assert last == ["-h", "+60"]


def test_the_metadata_service_is_closed_to_everybody_but_root(account: Account, machine: Make) -> None:
    account.annex()
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX))))
    [nft] = [each["input"] for each in booted.boot().calls if each["tool"] == "nft"]
    assert "ip daddr 169.254.169.254 meta skuid != 0 reject" in nft
    assert "ip6 daddr fd00:ec2::254 meta skuid != 0 reject" in nft


def test_without_nft_it_uses_iptables(account: Account, machine: Make) -> None:
    account.annex()
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX))))
    (booted.folder / "bin" / "nft").unlink()
    (booted.folder / "bin" / "iptables").write_text(refusing_checks((booted.folder / "bin" / "iptables").read_text()))
    outcome = booted.boot()
    assert outcome.status == 0, outcome.log
    rule = ["OUTPUT", "-d", "169.254.169.254", "-m", "owner", "!", "--uid-owner", "0", "-j", "REJECT"]
    assert ["-w", "-I", *rule] in outcome.arguments("iptables")


def refusing_checks(tool: str) -> str:
    """Return an iptables that has no rule yet."""
    return tool.replace("    return acts[", '    if "-C" in arguments:\n        return 1\n    return acts[')


def test_a_second_run_and_a_reboot_change_nothing_and_read_no_object_again(account: Account, machine: Make) -> None:
    account.annex()
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX))))
    booted.boot()
    before = booted.files()
    outcome = booted.reboot("--grace=0")
    assert (outcome.status, booted.files()) == (0, before)
    assert [each["status"] for each in booted.cloud.calls("GetObject")] == [200, 304]
    assert [unit for unit in outcome.timers() if "lease" in unit]


def test_a_run_that_was_cut_short_is_done_again(account: Account, machine: Make) -> None:
    account.annex()
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX))))
    booted.boot()
    (booted.config / "50-condor-annex.conf").unlink()
    assert booted.boot().status == 0
    assert booted.files()["50-condor-annex.conf"] == CONFIG


def test_an_image_made_of_a_configured_machine_brings_nothing_of_it(
    account: Account, machine: Make, cloud: Cloud
) -> None:
    account.annex()
    profile = account.profile(policy(EVERY_ANNEX))
    booted = machine(account.instance(profile))
    booted.boot()
    booted.stop()
    account.put("annex/annex-two.tar.gz", config_bundle("annex-two", 1_900_000_000))
    copy = account.instance(profile, "annex-two", lease_s=1000)
    booted.environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = cloud.metadata_url(copy)
    cloud.fault("GetObject", "denied", times=1000)
    outcome = booted.boot("--patience=1")
    assert outcome.was_shut_down
    assert booted.files() == {}
    assert "which the image has from another instance" in outcome.log


def test_the_users_own_files_come_too(account: Account, machine: Make) -> None:
    account.annex(files={"99-mine": "EXECUTE = /mnt\n"})
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX))))
    booted.boot()
    assert booted.files()["99-mine"] == "EXECUTE = /mnt\n"


def test_a_plain_file_named_by_the_role_is_a_configuration_file(account: Account, machine: Make) -> None:
    """The manual's advanced usage is generate-role for one object, which need not be a tarball."""
    account.put("config-mine", CONFIG.encode())
    booted = machine(account.instance(account.profile(policy(object_arn("config-mine")))))
    outcome = booted.boot()
    assert (outcome.status, booted.files()["config-mine"]) == (0, CONFIG), outcome.log


def test_a_policy_that_is_attached_counts_like_an_inline_one(account: Account, machine: Make, cloud: Cloud) -> None:
    account.annex()
    profile = account.profile(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": ["ec2:DescribeTags", "iam:List*", "iam:Get*"], "Resource": "*"}
            ],
        }
    )
    document = json.dumps(policy(EVERY_ANNEX))
    arn = cloud.client("iam").create_policy(PolicyName="read", PolicyDocument=document)["Policy"]["Arn"]
    cloud.client("iam").attach_role_policy(RoleName=f"role-{profile}", PolicyArn=arn)
    outcome = machine(account.instance(profile)).boot()
    assert outcome.status == 0, outcome.log


@pytest.mark.parametrize("tools", [("shutdown", "nft"), ("shutdown", "systemd-run", "systemctl", "nft")])
def test_the_script_needs_no_other_tools_than_these(account: Account, machine: Make, tools: tuple[str, ...]) -> None:
    account.annex()
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX))))
    for each in (booted.folder / "bin").iterdir():
        each.unlink()
    give_tools(booted.folder, tools)
    assert booted.boot().status == 0
