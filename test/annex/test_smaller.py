"""An annex gets smaller: machines that leave take no more jobs, and only -now terminates any."""

import io
import re
import tarfile
from typing import Any

import pytest

from test.annex.ads import SPECIFICATION
from test.annex.changes import ordered, refused
from test.annex.fleets import by_hand, described, end_of, instances_of, tags_of, writes
from test.annex.joining import BUCKET
from test.annex.site import BYSTANDER, Site, wait_for

LEAVING = re.compile(r'AnnexLeaves = stringListMember\(\$\(EC2InstanceID\), "([^"]*)", " "\)')
MOST_RECORDS = 40


@pytest.fixture
def annex(joined: Site) -> dict[str, Any]:
    return grown(joined)


def grown(site: Site) -> dict[str, Any]:
    """Order an annex of four machines; return the reply once they run."""
    annex = ordered(site, TargetCapacity=4)
    wait_for(lambda: len(site.cloud.running_instances()) == 4, "its machines")
    return annex


def left(site: Site, number: int) -> list[str]:
    """Wait until at most this many machines run; return them."""
    wait_for(lambda: len(site.cloud.running_instances()) <= number, f"{number} machines")
    return [str(each["id"]) for each in site.cloud.running_instances()]


def told_to_leave(site: Site, annex: dict[str, Any]) -> list[str]:
    """Return the instances that find their IDs in the configuration that all of them read."""
    s3 = site.cloud.client("s3", BYSTANDER)
    body = s3.get_object(Bucket=BUCKET, Key=f"annex/{annex['AnnexID']}.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as tar:
        file = tar.extractfile("50-condor-annex.conf")
        assert file is not None
        found = LEAVING.search(file.read().decode())
    return found[1].split() if found else []


def test_machines_without_jobs_are_asked_to_leave_and_none_is_terminated(joined: Site, annex: dict[str, Any]) -> None:
    machines = instances_of(joined, annex["BulkRequestID"])
    reply = joined.resize("physics", 2, claimed=set(machines[1:3]), CommandID="mine")
    assert reply == {
        "MyType": "Reply", "TargetType": "Command", "RequestVersion": 1, "Result": "Success", "CommandID": "mine",
        "AnnexID": annex["AnnexID"], "TargetCapacity": 2, "LeavingMachines": 2, "BusyMachines": 0,
        "EndOfLease": annex["EndOfLease"],
    }  # fmt: skip
    assert set(told_to_leave(joined, annex)) == {machines[0], machines[3]}
    assert writes(joined) == ["CancelSpotFleetRequests", "PutObject"]
    assert len(joined.cloud.running_instances()) == 4
    assert joined.resize("physics", 2, CommandID="mine") == reply


def test_busy_machines_are_drained_too_and_finish_their_jobs(joined: Site, annex: dict[str, Any]) -> None:
    machines = instances_of(joined, annex["BulkRequestID"])
    reply = joined.resize("physics", 1, claimed=set(machines[:3]))
    assert (reply["LeavingMachines"], reply["BusyMachines"]) == (3, 2), reply
    assert machines[3] in told_to_leave(joined, annex)
    assert len(joined.cloud.running_instances()) == 4


def test_with_now_the_machines_are_terminated_and_the_others_are_not(joined: Site, annex: dict[str, Any]) -> None:
    machines = instances_of(joined, annex["BulkRequestID"])
    reply = joined.resize("physics", 1, claimed={machines[2]}, Now=True)
    assert (reply["Result"], reply["LeavingMachines"]) == ("Success", 3), reply
    assert left(joined, 1) == [machines[2]]


def test_an_annex_whose_machines_read_no_object_gets_smaller_with_now_only(site: Site) -> None:
    grown(site)
    refused(site.resize("physics", 2), "InvalidRequest", "Now terminates them with their jobs")
    assert site.resize("physics", 2, Now=True)["Result"] == "Success"
    assert len(left(site, 2)) == 2


def test_nothing_is_launched_in_place_of_what_leaves(joined: Site) -> None:
    annex = ordered(joined, TargetCapacity=4, Type="maintain")
    wait_for(lambda: len(joined.cloud.running_instances()) == 4, "its machines")
    assert joined.resize("physics", 1, Now=True)["Result"] == "Success"
    assert described(joined, annex["BulkRequestID"])["SpotFleetRequestState"] == "cancelled_running"
    assert len(left(joined, 1)) == 1


def test_by_ec2_fleet_it_is_the_same(joined: Site) -> None:
    try:
        annex = ordered(joined, TargetCapacity=4, FleetAPI="ec2-fleet")
        wait_for(lambda: len(joined.cloud.running_instances()) == 4, "its machines")
        assert joined.resize("physics", 2)["LeavingMachines"] == 2
        assert len(told_to_leave(joined, annex)) == 2
        assert writes(joined) == ["DeleteFleets", "PutObject"]
        assert len(joined.cloud.running_instances()) == 4
    finally:
        for each in by_hand(joined).describe_launch_templates()["LaunchTemplates"]:
            by_hand(joined).delete_launch_template(LaunchTemplateId=each["LaunchTemplateId"])


def test_a_machine_that_leaves_no_longer_counts(joined: Site, annex: dict[str, Any]) -> None:
    assert joined.resize("physics", 3)["LeavingMachines"] == 1
    assert joined.resize("physics", 1)["LeavingMachines"] == 2
    assert len(told_to_leave(joined, annex)) == 3
    more = joined.resize("physics", 2)
    assert more["AddedCapacity"] == 1, more
    assert len(told_to_leave(joined, annex)) == 3


def test_a_moved_end_keeps_those_leaving_who_leave(joined: Site, annex: dict[str, Any]) -> None:
    assert joined.resize("physics", 3)["Result"] == "Success"
    [one] = told_to_leave(joined, annex)
    assert joined.change("physics", LeaseExtension=600)["Result"] == "Success"
    assert told_to_leave(joined, annex) == [one]
    assert end_of(joined, annex["BulkRequestID"]) == annex["EndOfLease"] + 600


def test_a_smaller_annex_is_cancelled_as_a_whole(joined: Site, annex: dict[str, Any]) -> None:
    assert joined.resize("physics", 3)["Result"] == "Success"
    assert joined.cancel("physics")["Result"] == "Success"
    assert "htcondor:annex-cancelled" in tags_of(joined, annex["BulkRequestID"])
    joined.check_nothing_left()


def test_a_write_that_s3_refuses_for_a_while_is_retried_until_it_succeeds(joined: Site, annex: dict[str, Any]) -> None:
    joined.cloud.fault(operation="PutObject", kind="error", code="SlowDown", status=503, times=3)
    assert joined.resize("physics", 3)["Result"] == "Success"
    assert len(told_to_leave(joined, annex)) == 1


def test_machines_with_weights_leave_as_long_as_no_fewer_units_are_left(joined: Site) -> None:
    ordered(joined, TargetCapacity=6, LaunchSpecifications=[{**SPECIFICATION, "WeightedCapacity": 2}])
    wait_for(lambda: len(joined.cloud.running_instances()) == 3, "its machines")
    assert joined.resize("physics", 3)["LeavingMachines"] == 1
    assert joined.resize("physics", 2)["LeavingMachines"] == 1
    assert joined.resize("physics", 6)["AddedCapacity"] == 4


@pytest.mark.usefixtures("annex")
def test_now_is_for_fewer_machines(joined: Site) -> None:
    refused(joined.resize("physics", 9, Now=True), "InvalidRequest", "Now is for fewer machines")


@pytest.mark.parametrize("now", [False, True], ids=["drained", "now"])
@pytest.mark.parametrize("written", [False, True], ids=["before the record", "after the record"])
def test_a_daemon_that_dies_at_any_append_makes_it_smaller_as_a_whole_or_not_at_all(
    joined: Site, written: bool, now: bool
) -> None:
    home, died_at = joined.home, 0
    for at in range(1, MOST_RECORDS):
        joined.home = home / str(at)
        joined.home.mkdir()
        joined.clean()
        annex = grown(joined)
        with joined.mortal(at, written=written) as deaths:
            joined.resize(annex["AnnexID"], 2, Now=now)
        if not deaths:
            break
        died_at = at
        assert joined.restart() in ([], [("Success", "")])
        is_done = at > 1 or written
        assert len(told_to_leave(joined, annex)) == (2 if is_done else 0)
        machines = 2 if is_done and now else 4
        assert len(left(joined, machines)) == machines
    assert 8 <= died_at < MOST_RECORDS - 1
