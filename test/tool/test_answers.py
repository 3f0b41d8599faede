"""Test condor_annex -extend and -until against annexd's own server, which gives one reply to every command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from annexd.tool import errors
from test.cedar.htcondor_client import HTCondorClient
from test.daemoncore.served import Served
from test.pool.htcondor import TOP

ANNEX = {"AnnexID": "annex-8c1f2e5d", "BulkRequestID": "sfr-1"}
SUCCESS = {"Result": "Success", **ANNEX}
BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"
Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class User:
    """A user of condor_annex in a time zone."""

    directory: Path

    def change(self, served: Served, *arguments: str) -> Done:
        configuration = HTCondorClient(self.directory / "client").configure()
        address = self.directory / "address"
        address.write_text(f"{served.address}\n")
        env = {
            **os.environ,
            "CONDOR_CONFIG": str(configuration),
            "_CONDOR_ANNEXD_ADDRESS_FILE": str(address),
            "TZ": BERLIN,
        }
        command = [sys.executable, "-m", "annexd.tool.main", *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60, cwd=TOP)

    def answered(self, reply: Mapping[str, Any], *arguments: str) -> Done:
        with Served(reply=reply) as served:
            return self.change(served, *arguments)


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path)


def test_it_asks_for_the_change_and_prints_both_ends_in_local_time_and_from_now(user: User) -> None:
    now_s = int(time.time())
    ends = {"EndOfLease": now_s + 36 * 3600, "OrderedEndOfLease": now_s + 90 * 60}
    with Served(reply={**SUCCESS, **ends}) as served:
        done = user.change(served, "-extend", "1d", "physics")
        [command] = served.commands
    assert command.payload is not None
    asked = command.payload.ad()
    assert (asked["Command"], asked["Annex"], asked["LeaseExtension"]) == ("CA_CHANGE_LEASE", "physics", 86400)
    present, ordered = (shown_in_berlin(user, end_s) for end_s in ends.values())
    assert (done.returncode, done.stderr) == (errors.OK, "")
    assert done.stdout.splitlines() == [
        f"Annex annex-8c1f2e5d (sfr-1) now ends at {present}, 1d12h from now",
        f"Its ordered end was {ordered}, 1h30m from now",
    ]


def shown_in_berlin(user: User, seconds: int) -> str:
    """Format a time as date(1) does."""
    return subprocess.run(
        ["date", "-d", f"@{seconds}", "+%Y-%m-%d %H:%M:%S %Z"],
        env={**os.environ, "TZ": BERLIN},
        capture_output=True,
        text=True,
        check=True,
        cwd=user.directory,
    ).stdout.strip()


def test_a_local_time_is_sent_as_that_of_the_users_own_zone(user: User) -> None:
    with Served(reply={**SUCCESS, "EndOfLease": 3975750000}) as served:
        done = user.change(served, "-until", "2095-12-25T12:00", "-now", "physics")
        [command] = served.commands
    assert command.payload is not None
    asked = command.payload.ad()
    assert (asked["EndOfLease"], asked["Now"], done.returncode) == (3975649200, True, errors.OK)
    assert done.stdout.startswith("Annex annex-8c1f2e5d (sfr-1) now ends at 2095-12-26 16:00:00 CET, ")
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("reply", "status", "message"),
    [
        (
            {"Result": "InvalidState", "ErrorString": "it is too late: the fleet is half ended", **ANNEX},
            errors.REFUSED,
            "it is too late: the fleet is half ended",
        ),
        (
            {"Result": "InvalidRequest", "ErrorString": "EndOfLease is 9 s in the past"},
            errors.REFUSED,
            "-until is 9 s in",
        ),
        (
            {"Result": "InvalidRequest", "ErrorString": "LeaseExtension goes beyond MaxLease"},
            errors.REFUSED,
            "-extend goes beyond MaxLease",
        ),
        (
            {"Result": "InvalidState", "ErrorString": "EndOfLease is nearer than 10m: Now is needed"},
            errors.REFUSED,
            "-until is nearer than 10m: -now is needed",
        ),
        (
            {"Result": "NotAuthorized", "ErrorString": "annex x belongs to another user"},
            errors.NOT_AUTHORIZED,
            "another user",
        ),
        ({"Result": "Failure", "ErrorString": "EC2 says: UnauthorizedOperation"}, errors.CLOUD_FAILED, "EC2 says"),
        (
            {"Result": "UnknownError", "ErrorString": "annexd keeps trying"},
            errors.COMMUNICATION,
            "to see the outcome: ",
        ),
        ({}, errors.COMMUNICATION, "without a Result"),
        (SUCCESS, errors.COMMUNICATION, "Success without an EndOfLease"),
        ({**SUCCESS, "EndOfLease": "soon"}, errors.COMMUNICATION, "Success without an EndOfLease"),
        ({**SUCCESS, "EndOfLease": 2**62}, errors.COMMUNICATION, "Success without an EndOfLease"),
    ],
)
def test_refusals_name_options_instead_of_attributes(
    user: User, reply: dict[str, Any], status: int, message: str
) -> None:
    done = user.answered(reply, "-until", "2095-12-25T12:00Z", "physics")
    assert (done.returncode, message in done.stderr, done.stdout) == (status, True, ""), done.stderr


def test_a_warning_is_printed_beside_the_ends(user: User) -> None:
    done = user.answered(
        {**SUCCESS, "EndOfLease": 3975750000, "Warning": "its machines may hear of it late"}, "-extend", "1h", "physics"
    )
    assert (done.returncode, done.stderr) == (errors.OK, "condor_annex: its machines may hear of it late\n")


def test_a_change_without_an_answer_leaves_the_command_that_asks_for_it(user: User) -> None:
    reply = {"Result": "UnknownError", "ErrorString": "stops", "RetryAfter": 1}
    done = user.answered(reply, "-timeout", "1", "-extend", "1h", "physics")
    assert done.returncode == errors.COMMUNICATION
    assert "annexd may have accepted the change of the lease" in done.stderr
    assert done.stderr.rstrip().endswith("-timeout 1 -extend 1h physics")
