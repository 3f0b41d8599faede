"""Test that a machine finds its annex by its own tags or by those of its fleet, with as few calls as possible."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from annexd.annex.lease.lease import tags
from test.cloud import Cloud
from test.cloud.cloud import TOP
from test.cloud.orders import fleet_config, specification
from test.instance.account import BUCKET, CONFIG, EVERY_ANNEX, TOKEN, Account, config_bundle, outputs, policy
from test.instance.machine import Machine
from test.instance.script import script

Make = Callable[[str], Machine]
PATHLESS = "arn:aws:iam::123456789012:instance-profile/annexes"


def asked(cloud: Cloud) -> list[str]:
    """Return the operations that the machines called, sorted, without the calls of the test."""
    keys = {each["access_key_id"] for each in cloud.calls("GetObject")}
    calls = [each for each in cloud.audit() if each["kind"] == "call"]
    return sorted(each["operation"] for each in calls if each["access_key_id"] in keys)


def stale_tags() -> list[dict[str, Any]]:
    """Return the tags of a launch template that was created from an instance of an earlier annex."""
    own = tags("annex-two", "alice", int(time.time()) - 86400)
    return [{"ResourceType": "instance", "Tags": [*own, {"Key": "htcondor:annex-fleet", "Value": "sfr-of-then"}]}]


def test_a_machine_of_a_launch_template_joins_by_its_fleets_tags(account: Account, machine: Make) -> None:
    account.annex()
    account.annex("annex-two")
    booted = machine(account.instance_of_template(account.own_profile()))
    outcome = booted.boot()
    assert outcome.status == 0, outcome.log
    assert (booted.files()["50-condor-annex.conf"], booted.files()["annex.token"]) == (CONFIG, f"{TOKEN}\n")
    assert asked(booted.cloud) == ["DescribeTags", "DescribeTags", "GetObject"]


def test_setups_profile_serves_launch_templates_that_name_it(account: Account, machine: Make, cloud: Cloud) -> None:
    made = outputs(cloud, (TOP / "templates" / "annex.json").read_text())
    body = config_bundle("annex-one", time.time() + 3600)
    cloud.client("s3").put_object(Bucket=made["BucketName"], Key="annex/annex-one.tar.gz", Body=body)
    outcome = machine(account.instance_of_template(made["InstanceProfileARN"])).boot()
    assert outcome.status == 0, outcome.log


def test_the_path_of_setups_profile_names_its_bucket(cloud: Cloud) -> None:
    made = outputs(cloud, (TOP / "templates" / "annex.json").read_text())
    assert script.bucket_of(made["InstanceProfileARN"]) == made["BucketName"]


@pytest.mark.parametrize(
    "arn",
    [
        PATHLESS,
        "arn:aws:iam::123456789012:instance-profile/htcondor-annex/annexes",
        "arn:aws:iam::123456789012:instance-profile/x/htcondor-annex/bucket/name",
        "arn:aws:iam::123456789012:instance-profile/htcondor-annex/bucket/more/name",
        "arn:aws:iam::123456789012:instance-profile/htcondor-annex/UPPER/name",
    ],
)
def test_no_other_profile_names_a_bucket(arn: str) -> None:
    assert script.bucket_of(arn) is None


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov", "aws-eusc"])
def test_the_path_names_the_bucket_in_every_partition(partition: str) -> None:
    assert script.bucket_of(f"arn:{partition}:iam::123456789012:instance-profile/htcondor-annex/b.1/n") == "b.1"


def test_a_machine_of_a_launch_specification_asks_once_for_its_tags_and_neither_iam_nor_sts(
    account: Account, machine: Make
) -> None:
    """The machine therefore needs no route to IAM, which has no VPC endpoint outside of its home region."""
    account.annex()
    booted = machine(account.instance(account.own_profile()))
    outcome = booted.boot()
    assert outcome.status == 0, outcome.log
    assert asked(booted.cloud) == ["DescribeTags", "GetObject"]


def test_tags_copied_from_an_earlier_annexs_template_have_no_effect(account: Account, machine: Make) -> None:
    account.annex()
    account.annex("annex-two")
    profile, copied = account.own_profile(), stale_tags()
    seen: dict[str, Any] = {"MetadataOptions": {"InstanceMetadataTags": "enabled"}}
    shown: list[tuple[str, dict[str, Any]]] = [("hidden", {}), ("seen", seen)]
    for name, more in shown:
        booted = machine(account.instance_of_template(profile, name=name, TagSpecifications=copied, **more))
        outcome = booted.boot()
        assert outcome.status == 0, outcome.log
        assert "annex/annex-one.tar.gz" in outcome.log


def test_tags_at_the_metadata_service_save_a_call_and_the_lease_functions_stamp_both(
    account: Account, machine: Make, cloud: Cloud
) -> None:
    account.annex()
    seen: dict[str, Any] = {"MetadataOptions": {"InstanceMetadataTags": "enabled"}}
    booted = machine(account.instance_of_template(account.own_profile(), **seen))
    assert booted.boot().status == 0
    assert asked(cloud) == ["DescribeTags", "GetObject"]
    (booted.folder / "state" / "state.json").unlink()
    ec2 = cloud.client("ec2")
    [found] = ec2.describe_instances(InstanceIds=[booted.instance_id])["Reservations"][0]["Instances"]
    fleet = next(each["Value"] for each in found["Tags"] if each["Key"] == "aws:ec2spot:fleet-request-id")
    stamp = {"htcondor:annex-fleet": fleet, "htcondor:annex-id": "annex-one"}
    ec2.create_tags(Resources=[booted.instance_id], Tags=[{"Key": key, "Value": stamp[key]} for key in stamp])
    outcome = booted.reboot()
    assert outcome.status == 0, outcome.log
    assert asked(cloud) == ["DescribeTags", "GetObject", "GetObject"]


@pytest.mark.parametrize("kind", ["throttle", "reset"])
def test_an_instance_that_knows_its_fleet_asks_for_the_fleets_tags_alone_until_it_has_them(
    account: Account, machine: Make, cloud: Cloud, kind: str
) -> None:
    account.annex()
    booted = machine(account.instance_of_template(account.own_profile()))
    cloud.fault("DescribeTags", kind, times=2, skip=1)
    outcome = booted.boot("--patience=100")
    assert outcome.status == 0, outcome.log
    assert outcome.log.count("asking for tags: not yet") == 2
    assert len(cloud.calls("DescribeTags")) == 4


@pytest.mark.parametrize("template_of", ["annex-one", "annex-two"])
def test_a_machine_of_an_ec2_fleet_joins_by_its_fleets_tags_whatever_its_template_says(
    account: Account, machine: Make, cloud: Cloud, template_of: str
) -> None:
    account.annex()
    account.annex("annex-two")
    booted = machine(account.instance_of_ec2_fleet(account.own_profile(), template_of=template_of))
    outcome = booted.boot()
    assert outcome.status == 0, outcome.log
    assert "annex/annex-one.tar.gz" in outcome.log
    assert asked(cloud) == ["DescribeTags", "GetObject"]


def test_a_role_of_ones_own_serves_launch_templates_too(account: Account, machine: Make) -> None:
    account.annex()
    booted = machine(account.instance_of_template(account.profile(policy(EVERY_ANNEX))))
    outcome = booted.boot()
    assert outcome.status == 0, outcome.log


def test_throttled_tags_do_not_stop_a_machine_whose_role_names_its_one_object(
    account: Account, machine: Make, cloud: Cloud
) -> None:
    """If the object is not annexd's, a tag has the end of the lease."""
    account.put("config-mine", CONFIG.encode())
    booted = machine(account.instance(account.profile(policy(f"arn:aws:s3:::{BUCKET}/config-mine"))))
    cloud.fault("DescribeTags", "throttle", times=2)
    outcome = booted.boot("--patience=100")
    assert outcome.status == 0, outcome.log


def test_a_machine_that_is_of_no_annex_says_so_and_is_turned_off(account: Account, machine: Make, cloud: Cloud) -> None:
    profile = account.own_profile()
    more = {"LaunchSpecifications": [specification(IamInstanceProfile={"Name": profile})]}
    cloud.client("ec2").request_spot_fleet(SpotFleetRequestConfig=fleet_config(1, Type="request", **more))
    [running] = cloud.running_instances()
    outcome = machine(running["id"]).boot("--patience=2")
    assert outcome.was_shut_down
    assert "neither a tag of its own nor of its fleet" in outcome.log
