"""A user cancels an annex: a real condor_annex, a real annexd that is killed in the middle, and no instance returns."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from annexd.tool import errors
from test.system.site import Site

CONFIG = """
ALLOW_ADMINISTRATOR_ANNEXD = $(ALLOW_ADMINISTRATOR), alice@annexd.test
ANNEXD_MAX_RUNNING_REQUESTS = 1
ANNEXD_MAX_WAITING_REQUESTS = 0
"""
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def annex(site: Site) -> dict[str, Any]:
    reply = site.order(AnnexName="physics")
    assert reply["Result"] == "Success", reply
    return reply


def cancel(site: Site, *arguments: str, **more: Any) -> Done:
    return site.pool.run(sys.executable, "-m", "annexd.tool.main", "-cancel", *arguments, **more)


def check_end(site: Site, annex: dict[str, Any]) -> None:
    """Check that the annex ends at once, without a run of the lease function."""
    assert annex["BulkRequestID"] not in [fleet["id"] for fleet in site.fleets()]
    site.wait_until_gone(annex["BulkRequestID"])


def test_a_user_ends_an_annex_by_its_name_and_no_other(site: Site, annex: dict[str, Any]) -> None:
    other = site.order()
    done = cancel(site, "physics")
    assert done.returncode == errors.OK, done.stderr
    assert done.stdout == (
        f"Annex {annex['AnnexID']} ({annex['BulkRequestID']}) is cancelled: "
        "AWS terminates its instances within minutes\n"
    )
    check_end(site, annex)
    assert other["BulkRequestID"] in [fleet["id"] for fleet in site.fleets()]
    again = cancel(site, annex["BulkRequestID"])
    assert (again.returncode, again.stderr) == (errors.OK, "condor_annex: it was cancelled before\n")


def test_annexd_is_killed_in_the_middle_and_goes_on_at_its_next_start(site: Site, annex: dict[str, Any]) -> None:
    starts = site.starts()
    site.cloud.fault("CreateTags", "hang", hang_s=30)
    command = {"Command": "CA_CANCEL_ANNEX", "RequestVersion": 1, "Annex": "physics", "CommandID": "cancel-1"}
    client = site.start_client(command)
    site.wait(lambda: not site.cloud.faults(), "the call that hangs")
    site.kill()
    site.wait_for_restart(starts)
    site.wait(lambda: "Request cancel-1 finished: Success" in site.log(), "annexd to go on with it")
    client.wait(30.0)
    check_end(site, annex)
    done = cancel(site, "physics", "-command-id", "cancel-1")
    assert (done.returncode, annex["AnnexID"] in done.stdout) == (errors.OK, True), done.stderr


def test_it_does_not_wait_behind_orders(site: Site, annex: dict[str, Any]) -> None:
    site.cloud.fault("RequestSpotFleet", "hang", hang_s=60)
    slow = site.order_later()
    site.wait(lambda: not site.cloud.faults(), "an order that hangs, and fills annexd")
    assert cancel(site, "physics").returncode == errors.OK
    assert not slow.done
    site.cloud.end_hangs()
    check_end(site, annex)
    assert (slow.reply() or {})["Result"] == "Success"


def test_once_accepted_it_outlasts_a_missing_key_file_and_a_restart_and_does_not_wait_behind_orders(
    site: Site, annex: dict[str, Any]
) -> None:
    key, away, other = (Path(site.secret_key_file).with_suffix(suffix) for suffix in ("", ".away", ".other"))
    shutil.copy(key, other)
    key.rename(away)
    client = site.start_client(
        {"Command": "CA_CANCEL_ANNEX", "RequestVersion": 1, "Annex": "physics", "CommandID": "cancel-2"}
    )
    site.wait(lambda: re.search("Accepted request cancel-2 ", site.log()), "the cancellation to be accepted")
    site.cloud.fault("RequestSpotFleet", "hang", times=2, hang_s=25)
    site.order_later(CommandID="slow-1", SecretKeyFile=str(other))
    site.wait(lambda: re.search("Accepted request slow-1 ", site.log()), "an order that hangs")
    starts = site.starts()
    site.kill()
    site.wait_for_restart(starts)
    away.rename(key)
    site.wait(lambda: "Request cancel-2 finished: Success" in site.log(), "annexd to carry it out")
    assert "Request slow-1 finished" not in site.log(), "the order that fills the room was done first"
    client.wait(30.0)
    check_end(site, annex)
    site.wait(lambda: "Request slow-1 finished: Success" in site.log(), "the order", timeout_s=90)


def test_users_see_their_annexes_and_scripts_too(site: Site, annex: dict[str, Any]) -> None:
    def status(*arguments: str) -> Done:
        done = site.pool.run(sys.executable, "-m", "annexd.tool.main", "-status", *arguments)
        assert done.returncode == errors.OK, done.stderr
        return done

    headings, _, *rows = status("physics", "-wide").stdout.splitlines()
    assert headings.split()[:3] == ["Name", "ID", "Owner"]
    [row] = [row.split() for row in rows if annex["AnnexID"] in row]
    assert (row[0], row[3], row[-1]) == ("physics", annex["BulkRequestID"], "leased")
    cancel(site, annex["AnnexID"])
    [reported] = json.loads(status("-json", annex["BulkRequestID"]).stdout)
    assert (reported["State"], reported["AnnexName"]) == ("cancelled", "physics")
    assert reported["EndOfLease"] < annex["EndOfLease"]
    assert annex["AnnexID"] in status("-wide").stdout


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("annex-0000", errors.REFUSED, "annexd knows no annex annex-0000 of yours"),
        ("a name with spaces", errors.USAGE, "-cancel must be an annex ID"),
    ],
)
def test_an_impossible_cancellation_is_reported(site: Site, name: str, status: int, message: str) -> None:
    done = cancel(site, name)
    assert (done.returncode, message in done.stderr, done.stdout) == (status, True, ""), done


def test_another_user_may_not_and_a_super_user_may(site: Site, annex: dict[str, Any]) -> None:
    for user, status in (("alice", errors.NOT_AUTHORIZED), ("condor", errors.OK)):
        folder = site.pool.directory / f"tokens-{user}"
        folder.mkdir(mode=0o700)
        (folder / "token").touch(mode=0o600)
        (folder / "token").write_text(site.pool.token(f"{user}@annexd.test"))
        done = cancel(
            site,
            annex["AnnexID"],
            env={"_CONDOR_SEC_TOKEN_DIRECTORY": str(folder), "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "IDTOKENS"},
        )
        assert done.returncode == status, done.stderr
    check_end(site, annex)
