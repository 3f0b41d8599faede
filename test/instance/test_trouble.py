"""Test a machine that cannot be configured: it retries for a while, reports the reason, and shuts itself down."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud
from test.instance.account import (
    BUCKET,
    CONFIG,
    EVERY_ANNEX,
    Account,
    as_instance,
    config_bundle,
    member,
    object_arn,
    policy,
    tarball,
)
from test.instance.machine import Machine, Outcome

Make = Callable[[str], Machine]
SOON = "--patience=2"


def assert_turned_off(outcome: Outcome, why: str) -> None:
    assert re.search(why, outcome.log), outcome.log
    assert outcome.was_shut_down
    assert outcome.status == 1


def test_without_a_profile(account: Account, machine: Make) -> None:
    account.annex()
    assert_turned_off(machine(account.instance()).boot(SOON), "has no instance profile")


def test_without_permissions(account: Account, machine: Make) -> None:
    account.annex()
    outcome = machine(account.instance(account.profile())).boot(SOON)
    assert_turned_off(outcome, r"not authorized to perform: iam:ListRolePolicies .*status 403")


def test_without_permission_for_an_object(account: Account, machine: Make) -> None:
    outcome = machine(account.instance(account.profile(policy("arn:aws:s3:::elsewhere")))).boot(SOON)
    assert_turned_off(outcome, "none of what the role may read names one object")


def test_with_permission_for_two_objects_neither_is_guessed(account: Account, machine: Make) -> None:
    account.annex()
    account.put("other.tar.gz", config_bundle("annex-one", time.time() + 3600))
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX, object_arn("other.tar.gz")))))
    assert_turned_off(booted.boot(), "more than one object")
    assert booted.files() == {}


def test_late_settlements_are_waited_for(account: Account, machine: Make, cloud: Cloud) -> None:
    """EC2 and IAM know the role only after a while; S3 fails once and resets one connection.  Then all succeeds."""
    account.annex()
    for operation, kind in (
        ("DescribeTags", "unknown-key"),
        ("ListRolePolicies", "denied"),
        ("GetObject", "internal"),
        ("GetObject", "reset"),
    ):
        cloud.fault(operation, kind)
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX))))
    outcome = booted.boot()
    assert (outcome.status, cloud.faults()) == (0, []), outcome.log
    assert booted.files()["50-condor-annex.conf"] == CONFIG


def test_an_object_that_comes_late_is_waited_for(account: Account, machine: Make, cloud: Cloud) -> None:
    """S3 returns AccessDenied for a missing object to a caller that may not list the bucket."""
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX))))
    outcomes: list[Outcome] = []
    running = threading.Thread(target=lambda: outcomes.append(booted.boot("--patience=60")))
    running.start()
    deadline_s = time.monotonic() + 60
    while not cloud.calls("GetObject"):
        assert time.monotonic() < deadline_s, "the machine has not asked for its object"
        time.sleep(0.05)
    account.annex()
    running.join()
    assert outcomes[0].status == 0, outcomes[0].log
    assert "AccessDenied" in outcomes[0].log


def test_a_metadata_service_of_version_1_is_not_spoken_to(account: Account, machine: Make, cloud: Cloud) -> None:
    cloud.fault("PutToken", "error", times=1000, code="-", status=404)
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX))))
    assert_turned_off(booted.boot(SOON), "version 2 of it is needed")
    assert {each["operation"] for each in cloud.effects("metadata")} == {"PutToken"}


def test_another_annexs_object_is_refused_at_once(account: Account, machine: Make) -> None:
    account.annex("annex-two")
    booted = machine(account.instance(account.profile(policy(object_arn("annex/annex-two.tar.gz"))), "annex-one"))
    assert_turned_off(booted.boot("--patience=600"), "is of the annex annex-two, and this instance of annex-one")
    assert booted.files() == {}


def test_an_object_in_the_right_place_with_another_annexs_name_is_refused(account: Account, machine: Make) -> None:
    account.put("annex/annex-one.tar.gz", config_bundle("annex-two", time.time() + 3600))
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX)), "annex-one"))
    assert_turned_off(booted.boot(), "is of the annex annex-two")


def test_a_role_for_one_object_reads_no_other_annexs(account: Account, cloud: Cloud) -> None:
    account.annex("annex-one")
    account.annex("annex-two")
    own = object_arn("annex/annex-one.tar.gz")
    instance = account.instance(account.profile(policy(own)))
    s3 = as_instance(cloud, instance)
    assert s3.get_object(Bucket=BUCKET, Key="annex/annex-one.tar.gz")["ContentLength"] > 0
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.get_object(Bucket=BUCKET, Key="annex/annex-two.tar.gz")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=BUCKET, Key="annex/annex-one.tar.gz", Body=b"")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.list_objects_v2(Bucket=BUCKET)


def test_a_hostile_tarball_writes_nothing(account: Account, machine: Make) -> None:
    link = member("50-mine", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    account.put("annex/annex-one.tar.gz", tarball([(member("40-good"), b"A = 1\n"), (link, b"")]))
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX))))
    assert_turned_off(booted.boot("--patience=600"), "is not a plain file")
    assert booted.files() == {}


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(account: Account, machine: Make) -> None:
    account.annex()
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX))))
    elsewhere = booted.folder / "elsewhere"
    elsewhere.write_text("untouched")
    booted.config.mkdir()
    (booted.config / "50-condor-annex.conf").symlink_to(elsewhere)
    assert booted.boot().status == 0
    assert elsewhere.read_text() == "untouched"
    assert booted.files()["50-condor-annex.conf"] == CONFIG


def test_a_lease_that_has_ended(account: Account, machine: Make) -> None:
    account.annex(lease_s=-5)
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX)), lease_s=3600))
    assert_turned_off(booted.boot("--patience=600"), r"the lease ended \d+ s ago")
    assert booted.files() == {}


def test_a_lease_that_has_ended_by_the_tag_is_over_without_an_object(account: Account, machine: Make) -> None:
    account.put("config-mine", CONFIG.encode())
    booted = machine(account.instance(account.profile(policy(object_arn("config-mine"))), lease_s=-5))
    assert_turned_off(booted.boot("--patience=600"), r"the lease ended \d+ s ago")
    assert booted.files() == {}


def test_a_machine_of_a_cancelled_annex_does_not_start(account: Account, machine: Make) -> None:
    ordered_s, now_s = int(time.time()) + 3600, int(time.time()) - 1
    account.move(ordered_s, now_s, cancelled_s=now_s)
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX))))
    assert_turned_off(booted.boot("--patience=600"), r"the lease ended \d+ s ago")


def test_a_lease_without_an_end(account: Account, machine: Make) -> None:
    account.put("config-mine", CONFIG.encode())
    booted = machine(account.instance(account.profile(policy(object_arn("config-mine"))), annex_id=None))
    assert_turned_off(booted.boot(), "nothing says when the lease ends")


@pytest.mark.parametrize("ahead_s", [7200, -7200])
def test_a_machine_whose_clock_is_wrong_goes_by_awss(
    account: Account, machine: Make, cloud: Cloud, ahead_s: float
) -> None:
    account.annex(lease_s=3600 + ahead_s)
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX)), lease_s=3600 + ahead_s))
    cloud.set_clock_ahead(ahead_s)
    outcome = booted.boot("--grace=0")
    leases = [seconds for unit, seconds in outcome.timers().items() if "lease" in unit]
    assert outcome.status == 0, outcome.log
    assert all(3500 < seconds <= 3601 for seconds in leases)


def test_credentials_that_have_expired_are_asked_for_again(account: Account, machine: Make, cloud: Cloud) -> None:
    account.annex()
    cloud.fault("GetObject", "expired-token", times=2)
    outcome = machine(account.instance(account.profile(policy(EVERY_ANNEX)))).boot()
    assert outcome.status == 0, outcome.log


def test_a_machine_that_cannot_close_its_metadata_service(account: Account, machine: Make) -> None:
    account.annex()
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX))))
    for tool in ("nft", "iptables", "ip6tables"):
        (booted.folder / "bin" / tool).unlink()
    assert_turned_off(booted.boot(), "nft is not installed.*Install nftables")
    assert booted.boot("--allow-open-metadata").status == 0


def test_a_machine_that_cannot_arm_a_timer(account: Account, machine: Make) -> None:
    booted = machine(account.instance())
    for tool in (booted.folder / "bin").iterdir():
        tool.unlink()
    outcome = booted.boot()
    assert outcome.status == 1
    assert "no timer can be armed" in outcome.log
    assert "it cannot be turned off" in outcome.log


def test_a_fault_of_the_script_itself_turns_the_machine_off_too(account: Account, machine: Make) -> None:
    account.annex()
    booted = machine(account.instance(account.profile(policy(EVERY_ANNEX))))
    booted.config.write_text("a file where the folder should be")
    assert_turned_off(booted.boot(), "because of an internal error")


def test_running_it_without_root_is_refused_with_a_message(account: Account, machine: Make) -> None:
    booted = machine(account.instance())
    command = [each for each in booted.command() if not each.startswith(("--config-dir", "--token-dir", "--state-dir"))]
    user = 65534 if os.geteuid() == 0 else None
    done = subprocess.run(
        command,
        env=booted.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
        user=user,
        group=user,
    )
    assert done.returncode == 2
    assert "this must run as root" in done.stdout
