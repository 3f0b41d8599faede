"""Test that a machine follows AWS's notices of an interruption or a rebalance recommendation, and nothing else."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from annexd.annex.lease.lease import utc
from test.aws.endpoint import endpoint
from test.cloud import Cloud
from test.instance.account import Account
from test.instance.machine import Machine
from test.instance.script import script

Make = Callable[[str], Machine]
AT_S = 1_900_000_000
FILE = "99-condor-annex-notice.conf"
GARBAGE = {
    "nothing": "",
    "a page": "<html>busy</html>",
    "deep": "[" * 100_000,
    "a list": "[]",
    "a number": "7",
    "no time": '{"action": "terminate"}',
    "no action": f'{{"time": "{utc(AT_S)}"}}',
    "an action that AWS does not have": f'{{"action": "rm", "time": "{utc(AT_S)}"}}',
    "a time that is none": '{"action": "stop", "time": "soon", "noticeTime": "soon"}',
    "a time before EC2": '{"action": "stop", "time": "1970-01-01T00:00:00Z", "noticeTime": "1970-01-01T00:00:00Z"}',
    "times of the wrong type": '{"action": "stop", "time": [1], "noticeTime": {"a": 1}}',
    "much": "x" * (5 << 20),
}


def interruption(at_s: float = AT_S, action: str = "terminate") -> str:
    return json.dumps({"action": action, "time": utc(at_s)})


def rebalance(at_s: float = AT_S) -> str:
    return json.dumps({"noticeTime": utc(at_s)})


class Watched:
    """An instance whose notices are read by one watch in this process."""

    def __init__(self, cloud: Cloud, instance_id: str, folder: Path) -> None:
        self.cloud, self.instance_id, self.folder, self.reported = cloud, instance_id, folder, list[str]()
        self.restart()

    def restart(self) -> None:
        """Restart the watch as systemd restarts the service."""
        metadata = script.Metadata(self.cloud.metadata_url(self.instance_id), 60.0)
        self.watch = script.Watch(metadata, str(self.folder), self.reported.append)

    def look(self, **pages: str | None) -> str:
        """Announce these pages, and return the file that HTCondor then reads."""
        if pages:
            self.cloud.announce(self.instance_id, **pages)
        self.watch.look()
        file = self.folder / FILE
        return file.read_text() if file.exists() else ""


@pytest.fixture
def watched(cloud: Cloud, account: Account, tmp_path: Path) -> Watched:
    return Watched(cloud, account.instance(), tmp_path)


@pytest.mark.parametrize("action", ["terminate", "stop", "hibernate"])
def test_notices_of_aws_are_shown_to_htcondor(watched: Watched, action: str) -> None:
    assert watched.look() == ""
    assert watched.reported == [], "404 is no trouble"
    text = watched.look(interruption=interruption(action=action))
    assert f"AnnexInterruptAt = {AT_S}\nSTARTD_ATTRS = $(STARTD_ATTRS) AnnexInterruptAt\n" in text
    assert "START = False\nPREEMPT = True\n" in text


def test_a_recommendation_to_rebalance_is_only_shown(watched: Watched) -> None:
    text = watched.look(rebalance=rebalance())
    assert f"AnnexRebalanceAt = {AT_S}\nSTARTD_ATTRS = $(STARTD_ATTRS) AnnexRebalanceAt\n" in text
    assert not any(line.startswith(("START ", "PREEMPT", "MAXJOB")) for line in text.splitlines()), text


def test_an_interruption_after_a_recommendation_keeps_both(watched: Watched) -> None:
    watched.look(rebalance=rebalance(AT_S - 600))
    text = watched.look(interruption=interruption())
    assert script.notice_in(text) == script.Notice(AT_S, AT_S - 600)


@pytest.mark.parametrize("page", ["interruption", "rebalance"])
@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_an_answer_that_means_nothing_changes_nothing(watched: Watched, page: str, garbage: str) -> None:
    if (page, garbage) == ("rebalance", GARBAGE["no action"]):
        garbage = "{}"
    assert watched.look(**{page: garbage}) == ""
    known = watched.look(interruption=interruption(), rebalance=rebalance())
    assert watched.look(**{page: garbage}) == known


def test_a_page_that_means_nothing_hides_no_other(watched: Watched) -> None:
    assert "AnnexRebalanceAt" in watched.look(interruption="busy", rebalance=rebalance())
    assert "AnnexInterruptAt" in watched.look(interruption=interruption(), rebalance="busy")


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        ("PutToken", {"kind": "error", "code": "-", "status": 403}),
        ("PutToken", {"kind": "reset"}),
        ("GetMetadata", {"kind": "error", "code": "-", "status": 503}),
        ("GetMetadata", {"kind": "reset"}),
        ("GetMetadata", {"kind": "hang", "hang_s": 3.0}),
    ],
)
def test_a_metadata_service_in_trouble_changes_nothing_and_is_logged_once(
    watched: Watched, cloud: Cloud, operation: str, fault: dict[str, Any]
) -> None:
    cloud.fault(operation, times=4, **fault)
    assert (watched.look(), watched.look()) == ("", "")
    assert len(watched.reported) == 1, watched.reported
    cloud.clear_faults()
    assert "AnnexInterruptAt" in watched.look(interruption=interruption())


def test_a_metadata_service_that_is_not_there_changes_nothing(watched: Watched) -> None:
    known = watched.look(interruption=interruption())
    watched.watch = script.Watch(script.Metadata("http://127.0.0.1:1"), str(watched.folder), watched.reported.append)
    assert watched.look() == known


def test_an_expired_session_token_is_replaced(watched: Watched, cloud: Cloud) -> None:
    watched.look()
    cloud.expire_metadata_tokens()
    assert "AnnexInterruptAt" in watched.look(interruption=interruption())


def test_a_notice_stays_while_its_page_is_missing_and_is_over_when_the_instance_lives_on(watched: Watched) -> None:
    at_s = time.time()
    known = watched.look(interruption=interruption(at_s))
    assert known
    assert watched.look(interruption=None) == known, "AWS's time has just come"
    (watched.folder / FILE).write_text(known.replace(str(int(at_s)), str(int(at_s - script.WITHDRAWN_S - 5))))
    watched.restart()
    assert watched.look() == ""


def test_a_watch_that_is_started_again_knows_the_notice(watched: Watched) -> None:
    known = watched.look(interruption=interruption(), rebalance=rebalance())
    watched.restart()
    assert watched.look(interruption=None, rebalance=None) == known


def test_the_boot_starts_the_watch_and_a_reboot_forgets_the_notice_of_before(
    account: Account, machine: Make, cloud: Cloud
) -> None:
    account.annex()
    booted = machine(account.instance(account.own_profile()))
    assert booted.boot().status == 0
    cloud.announce(booted.instance_id, interruption=interruption())
    deadline_s = time.monotonic() + 60.0
    while FILE not in booted.files():
        assert time.monotonic() < deadline_s, "the machine does not know of it within a minute"
        time.sleep(0.05)
    assert booted.boot().status == 0
    assert FILE in booted.files(), "a second run is no reboot"
    cloud.announce(booted.instance_id, interruption=None)
    outcome = booted.reboot()
    assert (outcome.status, FILE in booted.files(), outcome.was_shut_down) == (0, False, False)


@pytest.mark.parametrize("token", [b"two\r\nlines", b"\xc3\xa4", b" ", b"x" * 5000])
def test_an_invalid_session_token_of_the_metadata_service_is_reported_and_asked_for_again(token: bytes) -> None:
    def give_token(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(token), token))

    with endpoint(give_token) as url, pytest.raises(script.NotYet, match="an invalid session token"):
        script.Metadata(url).get("meta-data/instance-id")
