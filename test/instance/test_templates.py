"""Test that the instance profiles of this project grant exactly the rights that its boot script needs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud
from test.cloud.cloud import TOP
from test.instance.account import BUCKET, CONFIG, Account, as_instance, config_bundle, outputs
from test.instance.machine import Machine

Make = Callable[[str], Machine]


def test_a_machine_configures_itself_with_setups_resources(account: Account, machine: Make, cloud: Cloud) -> None:
    made = outputs(cloud, (TOP / "templates" / "annex.json").read_text())
    body = config_bundle("annex-one", time.time() + 3600)
    cloud.client("s3").put_object(Bucket=made["BucketName"], Key="annex/annex-one.tar.gz", Body=body)
    booted = machine(account.instance(made["InstanceProfileARN"]))
    outcome = booted.boot()
    assert outcome.status == 0, outcome.log
    s3 = as_instance(cloud, booted.instance_id)
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.list_objects_v2(Bucket=made["BucketName"])
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=made["BucketName"], Key="annex/annex-one.tar.gz", Body=b"")


def test_the_role_of_generate_role_reads_the_one_object(account: Account, machine: Make, cloud: Cloud) -> None:
    command = [sys.executable, str(TOP / "templates" / "generate-role"), BUCKET, "config-mine"]
    made = outputs(cloud, subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    account.put("config-mine", CONFIG.encode())
    account.annex()
    booted = machine(account.instance(made["InstanceProfileARN"]))
    outcome = booted.boot()
    assert (outcome.status, booted.files().get("config-mine")) == (0, CONFIG), outcome.log
    with pytest.raises(ClientError, match="AccessDenied"):
        as_instance(cloud, booted.instance_id).get_object(Bucket=BUCKET, Key="annex/annex-one.tar.gz")
