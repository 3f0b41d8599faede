"""Test the file for config.d: HTCondor reads it, and AWS cannot inject anything into it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from annexd.account import configuration
from annexd.account.configuration import KNOBS, ConfigurationFile, sections_of, text
from annexd.account.errors import AccountError
from annexd.account.session import Session
from test.account.kit import TOP
from test.programs import AS_ANNEXD

FIRST = {knob: f"https://{knob.lower()}.us-east-1/" for knob in KNOBS}
SECOND = {knob: f"https://{knob.lower()}.eu-west-1/" for knob in KNOBS}
OUTPUTS = {
    "LeaseFunctionARN": "arn:aws:lambda:us-east-1:123456789012:function:HTCondorAnnex-LeaseFunction-1",
    "BucketName": "htcondorannex-bucket-1",
    "InstanceProfileARN": "arn:aws:iam::123456789012:instance-profile/HTCondorAnnex-InstanceProfile-1",
    "SecurityGroupID": "sg-0123456789abcdef0",
    "FleetRoleARN": "arn:aws:iam::123456789012:role/HTCondorAnnex-FleetRole-1",
}
READ = (
    AS_ANNEXD
    + """
import json, sys
from annexd.daemoncore.config import parameters
parameters.use_local_name(sys.argv[1] or None)
print(json.dumps({knob: parameters.param(knob) for knob in sys.argv[2:]}))
"""
)


def as_htcondor_reads_it(file: Path, local_name: str = "", knobs: Sequence[str] = KNOBS) -> dict[str, str]:
    """Read the file with annexd's own lookup, in a process with HTCondor's bindings."""
    made = subprocess.run(
        [sys.executable, "-c", READ, local_name, *knobs],
        env={**os.environ, "CONDOR_CONFIG": str(file), "PYTHONPATH": str(TOP)},
        capture_output=True,
        text=True,
        check=True,
    )
    reported: dict[str, str] = json.loads(made.stdout)
    return reported


def test_htcondor_reads_the_default_regions_knobs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text({"us-east-1": FIRST, "eu-west-1": SECOND}))
    assert as_htcondor_reads_it(tmp_path / "file") == FIRST


def test_an_annexd_with_the_regions_local_name_reads_that_regions_knobs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text({"us-east-1": FIRST, "eu-west-1": SECOND}))
    assert as_htcondor_reads_it(tmp_path / "file", "ANNEXD_EU_WEST_1") == SECOND


def test_the_annexds_of_further_regions_are_added_to_the_daemons_that_condor_master_knows(tmp_path: Path) -> None:
    """Without the +, condor_master would treat all other daemons as foreign programs."""
    (tmp_path / "file").write_text(text({"us-east-1": FIRST, "eu-west-1": SECOND, "ap-south-1": SECOND}))
    names = ("DC_DAEMON_LIST", "ANNEXD_EU_WEST_1", "ANNEXD_AP_SOUTH_1")
    reported = as_htcondor_reads_it(tmp_path / "file", knobs=names)
    assert reported.pop("DC_DAEMON_LIST") == "+ANNEXD_EU_WEST_1 ANNEXD_AP_SOUTH_1"
    assert all(program.endswith("/condor_annexd") for program in reported.values()), "defined where 80annexd is gone"


def test_a_written_configuration_is_read_back() -> None:
    sections = {"us-east-1": FIRST, "us-gov-west-1": SECOND}
    assert sections_of(text(sections)) == sections


def test_aws_own_endpoints_are_written_for_each_region() -> None:
    knobs = configuration.knobs(Session(), "eu-west-1", OUTPUTS)
    assert knobs["ANNEX_DEFAULT_EC2_URL"] == "https://ec2.eu-west-1.amazonaws.com"
    assert knobs["ANNEX_DEFAULT_LOGS_URL"] == "https://logs.eu-west-1.amazonaws.com"
    assert knobs["ANNEX_DEFAULT_LAMBDA_URL"] == "https://lambda.eu-west-1.amazonaws.com"
    assert knobs["ANNEX_DEFAULT_S3_URL"] == "https://s3.eu-west-1.amazonaws.com"
    assert knobs["ANNEX_DEFAULT_SSM_URL"] == "https://ssm.eu-west-1.amazonaws.com"
    assert knobs["ANNEX_DEFAULT_STS_URL"] == "https://sts.eu-west-1.amazonaws.com"


def test_the_s3_endpoint_of_us_east_1_names_its_region_too() -> None:
    knobs = configuration.knobs(Session(), "us-east-1", OUTPUTS)
    assert knobs["ANNEX_DEFAULT_S3_URL"] == "https://s3.us-east-1.amazonaws.com"


@pytest.mark.parametrize("value", ["", "a\nDAEMON_LIST = EVIL", "$(SPOOL)", "a b", "x" * 3000])
def test_an_output_that_would_be_more_than_a_value_is_refused(value: str) -> None:
    with pytest.raises(AccountError, match="its template is not this annexd's"):
        configuration.knobs(Session(), "us-east-1", OUTPUTS | {"BucketName": value})


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = ConfigurationFile(str(tmp_path / "81annex"))
    file.add({"us-east-1": FIRST})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AccountError, match="No space left on device"):
        file.add({"eu-west-1": SECOND})
    assert sections_of((tmp_path / "81annex").read_text()) == {"us-east-1": FIRST}
    assert os.listdir(tmp_path) == ["81annex"]


@pytest.mark.parametrize("arguments", [["-help"], ["-version", "-debug"], ["-count", "x"]])
def test_commands_other_than_setup_import_no_botocore(arguments: list[str]) -> None:
    script = f"import sys; from annexd.tool import main\ntry: main.run({arguments})\nexcept Exception: pass\n"
    script += "print([name for name in sys.modules if name.startswith(('boto', 'annexd.account'))], file=sys.stderr)"
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=TOP, check=True)
    assert made.stderr.splitlines()[-1] == "[]"


def test_only_one_module_of_the_tool_knows_of_accounts() -> None:
    knowing = [path.name for path in (TOP / "annexd" / "tool").glob("*.py") if "annexd.account" in path.read_text()]
    assert knowing == ["account.py"]
