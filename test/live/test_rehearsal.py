"""Test the whole rehearsal: every fact, every step, and a report without identities."""

from __future__ import annotations

import json
from pathlib import Path

import boto3
import pytest

from annexd.account import service_roles
from annexd.annex.fleet.inventory import take_inventory
from annexd.annex.lease.heartbeat import newest_receipt
from test.cloud import Cloud
from test.cloud.comparison import differences, distinct
from test.cloud.recording import load
from test.cloud.views import ACCOUNT
from test.live.facts import FACTS
from test.live.kit import REGION, USER, Rehearsed, leaving_nothing
from test.live.recorder import Recording, replay


@pytest.mark.timeout(600)  # -teardown alone waits for almost three minutes
def test_a_rehearsal_checks_every_fact_leaves_nothing_and_its_report_has_no_identities(
    cloud: Cloud, tmp_path: Path
) -> None:
    cloud.behave(passed_as="ec2")  # as the evidence suggests; the emulator's default is stricter
    service_roles.make(cloud.client("iam"), say=lambda _: None)  # a production set-up of another region needs them
    with leaving_nothing(cloud):
        rehearsed = Rehearsed(cloud, tmp_path / "report", "--yes")
        assert rehearsed.end() == 0, rehearsed.text()
    assert rehearsed.lines[-3].endswith("All steps were done. Nothing is left.")
    facts = rehearsed.facts()
    assert facts.keys() == FACTS.keys()
    # The emulator behaves as assumed, except that it deletes rules at once and all its events are of one second.
    unknown = {key for key, said in facts.items() if not said.startswith("as assumed: ")}
    assert unknown == {"rule-deletion", "history-order"}
    for file in rehearsed.folder.iterdir():
        text = file.read_text()
        assert not [each for each in (ACCOUNT, USER, "/tmp/", "127.0.0.1") if each in text], file
    assert facts["second-cancel"].startswith("as assumed: acted-upon: the answer says cancelled_terminating")
    _replayed(rehearsed.folder / "recordings.json")
    _compared(rehearsed.folder)


def _compared(folder: Path) -> None:
    """Check that recordings fit into test/cloud/recordings: those from the emulator do not differ from it."""
    recordings = distinct(each for _, each in load(folder))
    assert {each.service for each in recordings} == {"ec2", "events", "logs"}
    with Cloud(speed=0, pending_s=2.0, termination_s=3.0, enforce_iam=True) as account:
        found = {each.operation: list(differences(account, each, {})) for each in recordings}
    assert {operation: each for operation, each in found.items() if each} == {}


def _replayed(file: Path) -> None:
    """Check that annexd's own readers accept the redacted responses, with their relations."""
    recordings = [Recording(**each) for each in json.loads(file.read_text())]
    extended = [each for each in recordings if each.because == "extend"]
    seen = [each for each in recordings if each.because == "instance-tags" and each.operation == "DescribeInstances"]
    inventory = take_inventory(replay(_client("ec2"), [*extended, seen[-1]]))
    assert [(each.is_launching, each.written_end_s - each.ordered_end_s) for each in inventory.fleets] == [(True, 600)]
    assert {each.fleet_id for each in inventory.instances} == {each.fleet_id for each in inventory.fleets}
    beats = [each for each in recordings if each.because == "first-heartbeat"]
    arn = f"arn:aws:lambda:{REGION}:111122223333:function:HTCondorAnnexLease"
    receipt = newest_receipt(replay(_client("logs"), beats), arn, beats[0].at_s)
    assert receipt is not None
    assert (receipt.function, receipt.is_complete, receipt.lacking) == (arn, True, ())


def _client(service: str) -> object:
    return boto3.Session("AKIAX", "secret", region_name=REGION).client(service)
