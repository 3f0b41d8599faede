"""A user resizes an annex: a real condor_annex, a real annexd that is killed, and machines that join and leave."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from annexd.tool import errors
from test.system.annexes import JoiningSite
from test.system.site import Site
from test.system.tool import as_user, condor_annex


@pytest.fixture
def annex(site: Site) -> dict[str, Any]:
    """Order an annex of two units named physics, and cancel the previous one of that name; return the reply."""
    condor_annex(site, "-cancel", "physics")
    reply = site.order(AnnexName="physics", TargetCapacity=2)
    assert reply["Result"] == "Success", reply
    return reply


def status(site: Site, annex: dict[str, Any]) -> dict[str, Any]:
    done = condor_annex(site, "-status", "-json", annex["AnnexID"])
    assert done.returncode == errors.OK, done.stderr
    [reported] = json.loads(done.stdout)
    return dict(reported)


def fleets_of(site: Site, annex: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the annex's living fleets by ID."""
    token = str(annex["AnnexID"])
    return {str(each["id"]): each for each in site.fleets() if each["config"]["ClientToken"].startswith(f"{token}_")}


def test_an_annex_grows_as_its_user_types_it_and_all_of_it_is_cancelled(site: Site, annex: dict[str, Any]) -> None:
    done = condor_annex(site, "-resize", "5", "physics")
    assert done.returncode == errors.OK, done.stderr
    [further] = fleets_of(site, annex).keys() - {annex["BulkRequestID"]}
    assert done.stdout == f"Annex {annex['AnnexID']} has 5 units: 3 more were ordered ({further})\n"
    assert status(site, annex)["TargetCapacity"] == 5
    again = condor_annex(site, "-resize", "5", further)
    assert again.returncode == errors.OK, again.stderr
    assert "it has 5 units already: nothing was ordered" in again.stderr
    assert condor_annex(site, "-extend", "1h", further).returncode == errors.OK
    assert condor_annex(site, "-cancel", "physics").returncode == errors.OK
    assert not fleets_of(site, annex)
    site.wait_until_gone(annex["BulkRequestID"])
    site.wait_until_gone(further)


def test_an_impossible_resize_is_refused_with_the_name_of_the_option(site: Site, annex: dict[str, Any]) -> None:
    smaller = condor_annex(site, "-resize", "1", "physics")
    assert (smaller.returncode, smaller.stdout) == (errors.REFUSED, ""), smaller.stderr
    assert "they cannot be asked to leave: -now terminates them with their jobs" in smaller.stderr
    larger = condor_annex(site, "-resize", "20000", "physics")
    assert larger.returncode == errors.REFUSED
    assert "-resize is 20000, the most allowed here is 10000 (ANNEX_MAX_TARGET_CAPACITY)" in larger.stderr
    alices = condor_annex(site, "-resize", "5", annex["AnnexID"], env=as_user(site, "alice"))
    assert alices.returncode == errors.NOT_AUTHORIZED, alices.stderr
    assert fleets_of(site, annex).keys() == {annex["BulkRequestID"]}


@pytest.mark.parametrize("when", ["before", "after"])
def test_annexd_is_killed_in_the_middle_of_a_resize_and_makes_one_further_fleet(
    site: Site, annex: dict[str, Any], when: str
) -> None:
    command_id, starts = f"resize-{when}", site.starts()
    site.cloud.fault("RequestSpotFleet", "hang", when=when, hang_s=30)
    ad = {
        "Command": "CA_RESIZE_ANNEX",
        "RequestVersion": 1,
        "CommandID": command_id,
        "Annex": "physics",
        "TargetCapacity": 5,
    }
    client = site.start_client(ad)
    site.wait(lambda: not site.cloud.faults(), "the call that hangs")
    site.kill()
    site.wait_for_restart(starts)
    site.wait(lambda: f"Request {command_id} finished: Success" in site.log(), "annexd to go on with it", 60.0)
    client.wait(60.0)
    again = condor_annex(site, "-resize", "5", "physics")
    assert again.returncode == errors.OK, again.stderr
    assert len(fleets_of(site, annex)) == 2
    assert sum(each["config"]["TargetCapacity"] for each in fleets_of(site, annex).values()) == 5


@pytest.fixture(scope="module")
def joining() -> Iterator[JoiningSite]:
    with JoiningSite(machines=2) as site:
        yield site


def test_the_machines_of_a_further_fleet_join_the_pool_by_the_annexs_own_object(joining: JoiningSite) -> None:
    annex = joining.order(AnnexName="physics", TargetCapacity=1)
    assert annex["Result"] == "Success", annex
    joining.wait(lambda: status(joining, annex)["Joined"] == 1, "its machine to join", 90.0)
    done = condor_annex(joining, "-resize", "2", "physics")
    assert done.returncode == errors.OK, done.stderr
    waited = condor_annex(joining, "-wait", "joined=2", "-timeout", "90", "physics")
    assert waited.returncode == errors.OK, waited.stderr
    reported = status(joining, annex)
    assert (reported["TargetCapacity"], reported["Joined"]) == (2, 2)
    assert condor_annex(joining, "-cancel", "physics").returncode == errors.OK
    joining.wait(lambda: not joining.cloud.running_instances(), "all its machines to be gone", 60.0)


@pytest.fixture(scope="module")
def following() -> Iterator[JoiningSite]:
    """Run a site whose machines poll for annexd's changes every four seconds, instead of some four minutes."""
    with JoiningSite(machines=3, options=("--every=4",)) as site:
        yield site


def held(site: JoiningSite, slot: str, until: Path) -> Path:
    """Submit a job to the machine of this slot that ends once the file `until` exists; return its output."""
    machine = slot.split("@")[1]
    script = f"while [ ! -e {until} ]; do sleep 0.2; done; echo done"
    return site.submit(machine, script, f'requirements = regexp("{machine}", TARGET.Name)')


def test_a_smaller_annex_kills_no_job(following: JoiningSite) -> None:
    [specification, *_] = following.request()["LaunchSpecifications"]
    annex = following.order(AnnexName="physics", TargetCapacity=3, LaunchSpecifications=[specification])
    assert annex["Result"] == "Success", annex
    following.wait(lambda: status(following, annex)["Joined"] == 3, "its machines to join", 120.0)
    until = following.pool.directory / "enough"
    jobs = [held(following, slot, until) for [slot] in following.slots()[:2]]
    following.wait(lambda: status(following, annex)["Claimed"] == 2, "both jobs to run", 90.0)
    done = condor_annex(following, "-resize", "1", "physics")
    assert done.returncode == errors.OK, done.stderr
    assert done.stdout == (
        f"Annex {annex['AnnexID']} has 1 unit: 2 machines leave, 1 of them when their jobs are done\n"
    )
    following.wait(lambda: len(following.cloud.running_instances()) == 2, "the machine without a job to leave", 120.0)
    assert not any("terminated" in job.with_suffix(".log").read_text() for job in jobs)
    until.touch()
    for job in jobs:
        assert following.output_of(job) == "done\n"
        assert "evicted" not in job.with_suffix(".log").read_text()
    following.wait(lambda: len(following.cloud.running_instances()) == 1, "the other machine to leave", 120.0)
