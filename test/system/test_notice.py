"""AWS's notices for a machine of the pool: after an interruption notice no job starts there, and running jobs go on."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from annexd.annex.lease.lease import utc
from test.replies import accepted
from test.system.annexes import JoiningSite

SEEN_S = 60.0  # from AWS's notice until no job starts there
HERE = 'requirements = TARGET.AnnexName == "taken"'


@pytest.fixture(scope="module")
def site() -> Iterator[JoiningSite]:
    with JoiningSite(machines=1) as site:
        accepted(site.order(AnnexName="taken", TargetCapacity=1, lease_s=3600, MaxIdleTime=40))
        site.wait(lambda: site.slots("AnnexName"), "its machine in the pool", 60.0)
        yield site


def instance_id(site: JoiningSite) -> str:
    [machine] = site.machines()
    return machine.name


def slots(site: JoiningSite, *attributes: str) -> list[list[str]]:
    """Return these attributes of the machine's slots."""
    return [each[1:] for each in site.slots(*attributes) if each[0].startswith("slot1")]


def log_of(output: Path) -> str:
    return output.with_suffix(".log").read_text()


def is_running(site: JoiningSite) -> bool:
    return [each["id"] for each in site.cloud.running_instances()] == [instance_id(site)]


def test_a_recommendation_to_rebalance_is_shown_and_neither_it_nor_garbage_stops_anything(site: JoiningSite) -> None:
    at_s = int(time.time())
    pages = {"rebalance": json.dumps({"noticeTime": utc(at_s)}), "interruption": "<html>busy</html>"}
    site.cloud.announce(instance_id(site), **pages)
    site.wait(lambda: [str(at_s)] in slots(site, "AnnexRebalanceAt"), "the slot's stamp", SEEN_S)
    assert site.output_of(site.submit("after-rebalance", "echo ran", HERE)) == "ran\n"
    assert ["undefined"] in slots(site, "AnnexInterruptAt")


def test_an_interruption_stops_the_start_of_jobs_and_neither_the_running_one_nor_the_machine(site: JoiningSite) -> None:
    go_on = site.pool.directory / "go-on"
    running = site.submit("running", f"while [ ! -e {go_on} ]; do sleep 0.1; done; echo whole", HERE)
    site.wait(lambda: "Job executing" in log_of(running), "the job to run", 60.0)
    at_s = int(time.time()) + 120
    site.cloud.announce(instance_id(site), interruption=json.dumps({"action": "terminate", "time": utc(at_s)}))
    site.wait(lambda: [str(at_s), "false"] in slots(site, "AnnexInterruptAt", "Start"), "the slot's stamp", SEEN_S)
    late = site.submit("late", "echo too late", HERE)
    site.wait(lambda: ["Claimed", "Retiring"] in slots(site, "State", "Activity"), "the running job to retire", 60.0)
    go_on.touch()
    assert site.output_of(running) == "whole\n"
    site.wait(lambda: not any("Claimed" in each for each in slots(site, "State")), "the claim to be given back", 60.0)
    assert "evicted" not in log_of(running)
    site.wait(lambda: time.time() > at_s - 60, "longer than MaxIdleTime", 90.0)
    assert "Job executing" not in log_of(late)
    assert is_running(site), "AWS ends it, not the machine itself"
