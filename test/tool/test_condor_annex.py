"""Test condor_annex as users run it: its output, exit status and cost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from annexd.tool import errors
from test.cloud import Cloud
from test.system.site import REQUEST, TOP, Site

LEASE = ("-lease-duration", "1h")
WITHDRAWAL = 'MyType = "Query"\nTargetType = "Annexd"\nRequirements = TARGET.Name == "annexd@other"\n'


class User:
    """A user who has keys and runs commands."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.keys = ("-access", site.public_key_file, "-secret", site.secret_key_file)

    def annex(self, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return self.site.pool.run(sys.executable, "-m", "annexd.tool.main", *arguments, **more)

    def lease(self, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return self.annex(*self.keys, *LEASE, *arguments, str(REQUEST), **more)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud(speed=0) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def user(cloud: Cloud) -> Iterator[User]:
    with Site(cloud) as site:
        yield User(site)


def fleet(user: User, request_id: str) -> dict[str, Any]:
    [found] = [fleet for fleet in user.site.fleets() if fleet["id"] == request_id]
    return dict(found["config"])


def test_it_prints_the_request_id_alone_and_all_else_on_standard_error(user: User) -> None:
    done = user.lease()
    assert done.returncode == errors.OK, done.stderr
    assert fleet(user, done.stdout.strip())["TargetCapacity"] == json.loads(REQUEST.read_text())["TargetCapacity"]
    assert done.stdout.count("\n") == 1
    assert done.stderr.count("\n") == 1  # our own example gives no other note
    for message in ("the lease of annex", "ends at"):
        assert message in done.stderr


def test_count_and_user_data_of_the_command_line_reach_the_cloud(user: User) -> None:
    done = user.lease("-count", "2", "-user-data", '#!/bin/sh\necho "é" \\\n')
    config = fleet(user, done.stdout.strip())
    assert config["TargetCapacity"] == 2
    assert {each["UserData"] for each in config["LaunchSpecifications"]} == {"IyEvYmluL3NoCmVjaG8gIsOpIiBcCg=="}


def test_a_config_comes_from_standard_input_too(user: User) -> None:
    wrapped = json.dumps({"SpotFleetRequestConfig": json.loads(REQUEST.read_text())})
    done = user.annex(*user.keys, *LEASE, "-count", "1", "-", stdin=wrapped)
    assert fleet(user, done.stdout.strip())["TargetCapacity"] == 1


@pytest.mark.parametrize("way", ["name", "pool", "both"])
def test_annexd_is_found_through_the_collector(user: User, way: str) -> None:
    name = ("-name", str((user.site.ad() or {})["Name"]))
    pool = ("-pool", user.site.pool.collector)
    options = {"name": name, "pool": pool, "both": name + pool}[way]
    elsewhere = {"_CONDOR_ANNEXD_ADDRESS_FILE": "/nonexistent"}
    assert user.lease(*options, "-count", "1", env=elsewhere).returncode == errors.OK


@pytest.mark.parametrize("part", ["annexd", "ANNEXD", "host"])
def test_half_a_name_is_enough_where_one_annexd_has_it(user: User, part: str) -> None:
    name = str((user.site.ad() or {})["Name"])
    done = user.annex("-status", "-name", name.partition("@")[2] if part == "host" else part)
    assert done.returncode == errors.OK, done.stderr


def test_an_unknown_name_is_answered_with_the_known_ones(user: User) -> None:
    done = user.lease("-name", "annexd@elsewhere")
    assert done.returncode == errors.NOT_FOUND
    assert str((user.site.ad() or {})["Name"]) in done.stderr


def test_several_annexds_in_a_pool_are_listed_by_name(user: User) -> None:
    other = 'MyType = "Annexd"\nName = "annexd@other"\nMyAddress = "<127.0.0.1:1>"\n'
    advertised = user.site.pool.tool("condor_advertise", "UPDATE_AD_GENERIC", "-", stdin=other)
    assert advertised.returncode == 0, advertised.stderr
    done = user.lease("-pool", user.site.pool.collector)
    user.site.pool.tool("condor_advertise", "INVALIDATE_ADS_GENERIC", "-", stdin=WITHDRAWAL)
    assert done.returncode == errors.NOT_FOUND
    assert "select one with -name: annexd@1" in done.stderr
    assert "annexd@other" in done.stderr


@pytest.mark.parametrize("collector", ["127.0.0.1:1", "nosuch.invalid", ":", "a:b:c", "[::1]:99999"])
def test_a_collector_that_cannot_be_queried_is_named(user: User, collector: str) -> None:
    done = user.lease("-pool", collector)
    assert done.returncode == errors.COMMUNICATION
    assert f"the collector {collector} cannot be queried" in done.stderr


@pytest.mark.parametrize(
    "content", ["", "not an address\n", "<127.0.0.1:1>\n<127.0.0.1:2", "<127.0.0.1:1", "<:1>", "<a b:1>", "\0" * 5000]
)
def test_an_address_file_with_any_content_gives_a_message(user: User, tmp_path: Path, content: str) -> None:
    (tmp_path / "address").write_text(content)
    done = user.lease(env={"_CONDOR_ANNEXD_ADDRESS_FILE": str(tmp_path / "address")})
    assert done.returncode in {errors.NOT_FOUND, errors.COMMUNICATION}, done
    assert "Traceback" not in done.stderr


def test_an_absent_annexd_behind_shared_port_is_not_reported_as_a_refusal(user: User, tmp_path: Path) -> None:
    (tmp_path / "address").write_text(f"<{user.site.pool.collector}?sock=annexd_1_gone>\n")
    done = user.lease(env={"_CONDOR_ANNEXD_ADDRESS_FILE": str(tmp_path / "address")})
    assert (done.returncode, "does not answer" in done.stderr) == (errors.COMMUNICATION, True), done.stderr


def test_an_unauthorized_user_sees_the_mapped_user_name(user: User, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text(user.site.pool.token("alice"))
    alice = {"_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "IDTOKENS", "_CONDOR_SEC_TOKEN_DIRECTORY": str(tmp_path)}
    done = user.lease(env=alice)
    assert done.returncode == errors.NOT_AUTHORIZED
    assert "does not allow alice@annexd.test to order" in done.stderr


def test_a_failed_authentication_is_reported(user: User) -> None:
    done = user.lease(env={"_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "KERBEROS"})
    assert done.returncode == errors.NOT_AUTHORIZED
    assert "none of your authentication methods" in done.stderr


def test_faults_that_annexd_finds_are_printed(user: User) -> None:
    done = user.annex(*user.keys, *LEASE, "-", stdin='{"TargetCapacity": "many", "SpotPrize": "1"}')
    assert done.returncode == errors.REFUSED
    for message in (
        'TargetCapacity must be a positive integer, not "many"',
        "SpotPrize",
        "nothing says what to launch",
    ):
        assert message in done.stderr
    assert done.stdout == ""


def test_a_wrong_value_is_reported_with_its_option(user: User) -> None:
    done = user.lease("-annex-name", "two words", "-idle", "100d", "-owner", "a;b")
    assert done.returncode == errors.REFUSED
    for option in ("-annex-name must be", "-idle must be", "-owner must be"):
        assert option in done.stderr
    assert not {"AnnexName", "MaxIdleTime", "AnnexOwner"} & set(done.stderr.replace(";", " ").split())


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        ('{"TargetCapacity": 3, // three\n}', errors.BAD_FILE, "there is an extra comma"),
        ('{"MinCount": 1, "MaxCount": 1}', errors.BAD_FILE, "is a request for instances (aws ec2 run-instances)"),
        ('{"IamFleetRole": "arn:aws:iam::<ACCOUNT>:role/x"}', errors.REFUSED, "that is a placeholder"),
        (
            '{"LaunchSpecifications": [{"InstanceType": "m5.large"}]}',
            errors.REFUSED,
            "-count; LaunchSpecifications[0].",
        ),
    ],
)
def test_a_file_that_cannot_be_ordered_costs_nothing(user: User, content: str, status: int, message: str) -> None:
    user.site.cloud.clear_audit()
    done = user.annex(*user.keys, *LEASE, "-", stdin=content)
    assert (done.returncode, message in done.stderr, done.stdout) == (status, True, ""), done.stderr
    assert user.site.cloud.calls("RequestSpotFleet") == []


def test_a_refusal_of_aws_is_printed(user: User) -> None:
    user.site.cloud.fault("RequestSpotFleet", "error", code="MaxSpotFleetRequestCountExceeded")
    done = user.lease()
    assert done.returncode == errors.CLOUD_FAILED
    assert "MaxSpotFleetRequestCountExceeded" in done.stderr


def test_defaults_of_htcondors_configuration_make_the_line_short(user: User) -> None:
    configured = {
        "_CONDOR_ANNEX_DEFAULT_ACCESS_KEY_FILE": user.site.public_key_file,
        "_CONDOR_ANNEX_DEFAULT_SECRET_KEY_FILE": user.site.secret_key_file,
    }
    assert user.annex(*LEASE, str(REQUEST), env=configured).returncode == errors.OK


def test_a_command_to_a_restarted_annexd_is_retried_silently(user: User) -> None:
    assert user.lease("-count", "1").returncode == errors.OK
    starts = user.site.starts()
    user.site.kill()
    user.site.wait_for_restart(starts)
    assert user.lease("-count", "1").returncode == errors.OK


def test_debug_shows_what_htcondor_does(user: User) -> None:
    done = user.lease("-debug", env={"_CONDOR_TOOL_DEBUG": "D_SECURITY"})
    assert "SECMAN" in done.stderr
    assert done.stdout.count("\n") == 1


def test_help_needs_no_htcondor_and_lists_every_exit_status() -> None:
    done = run_alone("-help")
    assert done.returncode == errors.OK
    assert all(f"  {status}  {meaning}" in done.stdout for status, meaning in errors.MEANINGS.items())


@pytest.mark.parametrize("arguments", [(), ("-frobnicate",), ("-lease-duration", "1h", "/nonexistent")])
def test_without_htcondor_a_fault_is_still_reported(arguments: tuple[str, ...]) -> None:
    done = run_alone(*arguments)
    assert done.returncode in {errors.USAGE, errors.BAD_FILE}
    assert all(line.startswith("condor_annex: ") for line in done.stderr.splitlines())


def run_alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run without site-packages: no bindings, no boto3."""
    return subprocess.run(
        [sys.executable, "-S", "-m", "annexd.tool.main", *arguments],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_the_bindings_it_says_what_to_install() -> None:
    done = run_alone(*LEASE, str(REQUEST))
    assert done.returncode == errors.UNSUITABLE_BINDINGS
    assert "pip install 'htcondor" in done.stderr


LIGHT = ("", ".faults", ".ad_attributes", ".fleet_api", ".launch_values", ".durations")


def test_it_imports_neither_boto3_nor_what_a_usage_message_does_not_need(user: User) -> None:
    done = user.site.pool.run(sys.executable, "-X", "importtime", "-m", "annexd.tool.main", *LEASE, str(REQUEST))
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time")}
    assert "htcondor2" in imported
    assert not imported & {"boto3", "botocore", "argparse", "dataclasses", "asyncio", "sqlite3", "uuid"}
    light = {f"annexd.annex{name}" for name in ("", *(f".request{each}" for each in LIGHT))}
    assert {name for name in imported if name.startswith("annexd.annex")} <= light
    usage = run_alone("-help").stderr
    assert "htcondor2" not in usage


@pytest.mark.parametrize("arguments", [("-help",), ("-version",)])
def test_an_answer_that_cannot_be_written_is_a_failure(arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "annexd.tool.main", *arguments]
        said = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=TOP)
    assert said.returncode == 8
    assert "Traceback" not in said.stderr


def test_version_with_debug_shows_the_end_of_support_of_the_lease_functions_python() -> None:
    command = [sys.executable, "-m", "annexd.tool.main", "-version", "-debug"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, cwd=TOP)
    assert "lease function: python3.13, supported by AWS until 2029-06-30" in said.stdout
