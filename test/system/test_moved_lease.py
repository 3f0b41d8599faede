"""A user moves the end of a lease with a real condor_annex, and a real annexd that is killed moves it only once."""

import io
import json
import re
import tarfile
import time
from collections.abc import Iterator
from typing import Any

import pytest

from annexd.annex.lease.lease import TAG_CANCELLED, TAG_LEASE_END, utc
from annexd.tool import errors
from test.system.annexes import JoiningSite
from test.system.site import Site, end_in_aws
from test.system.tool import as_user, condor_annex

CONFIG = """
ALLOW_ADMINISTRATOR_ANNEXD = $(ALLOW_ADMINISTRATOR), alice@annexd.test
"""
HOUR_S = 3600


@pytest.fixture
def annex(site: Site) -> dict[str, Any]:
    return ordered(site)


def ordered(site: Site, lease_s: int = HOUR_S) -> dict[str, Any]:
    """Order an annex named physics, and cancel the previous one of that name; return the reply."""
    condor_annex(site, "-cancel", "physics")
    reply = site.order(AnnexName="physics", lease_s=lease_s)
    assert reply["Result"] == "Success", reply
    return reply


def told_of(site: Site, annex: dict[str, Any]) -> dict[str, Any]:
    """Return the annex's status as scripts see it."""
    done = condor_annex(site, "-status", "-json", annex["AnnexID"])
    assert done.returncode == errors.OK, done.stderr
    [reported] = json.loads(done.stdout)
    return dict(reported)


def change_ad(annex: dict[str, Any], command_id: str, **more: Any) -> dict[str, Any]:
    return {
        "Command": "CA_CHANGE_LEASE",
        "RequestVersion": 1,
        "CommandID": command_id,
        "Annex": annex["AnnexID"],
        **more,
    }


def test_an_extension_counts_from_the_present_end_and_is_what_aws_shows(site: Site, annex: dict[str, Any]) -> None:
    for times in (1, 2):
        done = condor_annex(site, "-extend", "1h", "physics")
        assert done.returncode == errors.OK, done.stderr
        assert done.stdout.startswith(f"Annex {annex['AnnexID']} ({annex['BulkRequestID']}) now ends at "), done.stdout
        assert "Its ordered end was" in done.stdout
        assert end_in_aws(site, annex) == utc(annex["EndOfLease"] + times * HOUR_S)


def test_the_status_has_both_ends(site: Site, annex: dict[str, Any]) -> None:
    assert condor_annex(site, "-extend", "90m", "physics").returncode == errors.OK
    reported = told_of(site, annex)
    assert reported["EndOfLease"] == annex["EndOfLease"] + 5400
    assert reported["OrderedEndOfLease"] == annex["EndOfLease"]
    assert reported["State"] == "leased"
    said = condor_annex(site, "-status", annex["AnnexID"]).stdout
    ends = [line for line in said.splitlines() if "until" in line]
    assert [line.split(":")[0] for line in ends] == ["LeaseLeft", "Ordered"], said
    assert "2h30m from now" in ends[0] or "2h29m from now" in ends[0], said
    assert "1h from now" in ends[1] or "59m" in ends[1], said


@pytest.mark.parametrize(("zone", "form"), [("UTC", "%Y-%m-%dT%H:%M:%SZ"), ("Asia/Kolkata", "%Y-%m-%d %H:%M:%S")])
def test_until_names_the_new_end_also_in_local_time(
    site: Site, annex: dict[str, Any], zone: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_s = annex["EndOfLease"] + 1800
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    text = time.strftime(form, time.localtime(end_s))
    monkeypatch.undo()
    time.tzset()
    done = condor_annex(site, "-until", text, "physics", env={"TZ": zone})
    assert done.returncode == errors.OK, done.stderr
    assert end_in_aws(site, annex) == utc(end_s)


def test_a_lease_that_was_shortened_ends_at_its_new_end(site: Site, annex: dict[str, Any]) -> None:
    sooner_s = int(time.time()) + 120
    done = condor_annex(site, "-until", utc(sooner_s), "physics")
    assert (done.returncode, done.stdout) == (errors.REFUSED, ""), done.stderr
    assert "add -now to end the lease anyway" in done.stderr
    sooner_s = int(time.time()) + 40
    done = condor_annex(site, "-until", utc(sooner_s), "-now", "physics")
    assert done.returncode == errors.OK, done.stderr
    site.wait(lambda: time.time() > sooner_s, "the new end")
    site.cloud.tick()
    assert annex["BulkRequestID"] not in [fleet["id"] for fleet in site.fleets()]
    site.wait_until_gone(annex["BulkRequestID"])


def test_the_lease_function_goes_by_the_moved_end(site: Site, annex: dict[str, Any]) -> None:
    assert condor_annex(site, "-extend", "1h", "physics").returncode == errors.OK
    site.cloud.tick()
    instances = [each for each in site.cloud.running_instances() if each["fleet"] == annex["BulkRequestID"]]
    assert instances
    assert {each["tags"][TAG_LEASE_END] for each in instances} == {utc(annex["EndOfLease"] + HOUR_S)}


def test_a_change_that_comes_too_late_is_refused(site: Site) -> None:
    annex = ordered(site, lease_s=60)
    done = condor_annex(site, "-extend", "1h", "physics")
    assert (done.returncode, done.stdout) == (errors.REFUSED, ""), done.stderr
    assert "too late: the lease ends at" in done.stderr
    assert end_in_aws(site, annex) == utc(annex["EndOfLease"])


def test_a_cancelled_annex_is_not_extended(site: Site, annex: dict[str, Any]) -> None:
    assert condor_annex(site, "-cancel", "physics").returncode == errors.OK
    done = condor_annex(site, "-extend", "1h", annex["AnnexID"])
    assert (done.returncode, done.stdout) == (errors.REFUSED, ""), done.stderr
    assert f"annex {annex['AnnexID']} is cancelled: its lease ended at" in done.stderr


def test_another_user_may_not_and_a_super_user_may(site: Site, annex: dict[str, Any]) -> None:
    done = condor_annex(site, "-extend", "1h", annex["AnnexID"], env=as_user(site, "alice"))
    assert (done.returncode, done.stdout) == (errors.NOT_AUTHORIZED, ""), done.stderr
    assert "belongs to another user" in done.stderr
    assert end_in_aws(site, annex) == utc(annex["EndOfLease"])
    done = condor_annex(site, "-extend", "1h", "physics", env=as_user(site, "alice"))
    assert done.returncode == errors.REFUSED, "a name is its owner's own"
    done = condor_annex(site, "-extend", "1h", annex["AnnexID"], env=as_user(site, "condor"))
    assert done.returncode == errors.OK, done.stderr
    assert end_in_aws(site, annex) == utc(annex["EndOfLease"] + HOUR_S)


@pytest.mark.parametrize("when", ["before", "after"])
def test_annexd_is_killed_in_the_middle_of_an_extension_and_goes_on_at_its_next_start(
    site: Site, annex: dict[str, Any], when: str
) -> None:
    command_id, starts = f"extend-{when}", site.starts()
    site.cloud.fault("CreateTags", "hang", when=when, hang_s=30)
    client = site.start_client(change_ad(annex, command_id, LeaseExtension=HOUR_S))
    site.wait(lambda: not site.cloud.faults(), "the call that hangs")
    site.kill()
    site.wait_for_restart(starts)
    site.wait(lambda: f"Request {command_id} finished: Success" in site.log(), "annexd to go on with it", 60.0)
    client.wait(30.0)
    assert end_in_aws(site, annex) == utc(annex["EndOfLease"] + HOUR_S), "once, not twice"
    done = condor_annex(site, "-extend", "1h", annex["AnnexID"], "-command-id", command_id)
    assert done.returncode in (errors.OK, errors.REFUSED), done.stderr
    assert end_in_aws(site, annex) == utc(annex["EndOfLease"] + HOUR_S), "the same command again moves nothing"


def test_two_extensions_at_once_both_count(site: Site, annex: dict[str, Any]) -> None:
    clients = [site.start_client(change_ad(annex, f"both-{number}", LeaseExtension=HOUR_S)) for number in (1, 2)]
    for client in clients:
        assert client.wait(60.0) == 0
    said = re.findall(r"Request (both-\d) .*: Success ", site.log())
    assert sorted(said) == ["both-1", "both-2"]
    assert end_in_aws(site, annex) == utc(annex["EndOfLease"] + 2 * HOUR_S)


def test_a_cancellation_beats_an_extension_that_hangs(site: Site, annex: dict[str, Any]) -> None:
    site.cloud.fault("CreateTags", "hang", hang_s=60, matching="lease-end")
    client = site.start_client(change_ad(annex, "slow-extension", LeaseExtension=HOUR_S))
    site.wait(lambda: not site.cloud.faults(), "the call that hangs")
    assert condor_annex(site, "-cancel", "physics").returncode == errors.OK
    assert annex["BulkRequestID"] not in [fleet["id"] for fleet in site.fleets()]
    site.cloud.end_hangs()
    client.wait(60.0)
    message = f"InvalidState annex {annex['AnnexID']} was cancelled: its end cannot be moved CA_CHANGE_LEASE"
    assert message in site.log()
    assert "slow-extension is stuck" not in site.log(), "a moved end of what is cancelled needs no undoing"
    site.wait_until_gone(annex["BulkRequestID"])
    assert told_of(site, annex)["State"] == "cancelled"


# With an object in S3, from which machines learn the new end.


@pytest.fixture(scope="module")
def joining() -> Iterator[JoiningSite]:
    with JoiningSite(machines=1) as site:
        yield site


def manifest(site: JoiningSite, annex: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest that a machine of this annex reads next."""
    s3 = site.cloud.client("s3")
    [bucket] = [each["Name"] for each in s3.list_buckets()["Buckets"]]
    packed = io.BytesIO(s3.get_object(Bucket=bucket, Key=f"annex/{annex['AnnexID']}.tar.gz")["Body"].read())
    with tarfile.open(fileobj=packed) as tar:
        member = tar.extractfile("annex.json")
        assert member is not None
        return dict(json.loads(member.read()))


def test_annexd_is_killed_while_s3_hangs_and_the_machines_learn_of_the_new_end_after_its_next_start(
    joining: JoiningSite,
) -> None:
    annex = joining.order(AnnexName="physics", TargetCapacity=1)
    assert annex["Result"] == "Success", annex
    assert manifest(joining, annex)["LeaseEnd"] == annex["EndOfLease"]
    starts = joining.starts()
    joining.cloud.fault("PutObject", "hang", hang_s=30)
    client = joining.start_client(change_ad(annex, "extend-s3", LeaseExtension=HOUR_S))
    joining.wait(lambda: not joining.cloud.faults(), "the call that hangs")
    assert end_in_aws(joining, annex) == utc(annex["EndOfLease"] + HOUR_S)
    joining.kill()
    joining.wait_for_restart(starts)
    joining.wait(lambda: "Request extend-s3 finished: Success" in joining.log(), "annexd to go on with it", 60.0)
    client.wait(30.0)
    assert end_in_aws(joining, annex) == utc(annex["EndOfLease"] + HOUR_S)
    reported = manifest(joining, annex)
    assert reported["LeaseEnd"] == annex["EndOfLease"] + HOUR_S
    assert reported["Tags"][TAG_LEASE_END] == utc(reported["LeaseEnd"])


def test_a_cancellation_while_s3_hangs_is_what_the_machines_learn(joining: JoiningSite) -> None:
    annex = joining.order(AnnexName="short", TargetCapacity=1)
    joining.cloud.fault("PutObject", "hang", hang_s=60, matching=annex["AnnexID"])
    client = joining.start_client(change_ad(annex, "extend-cancelled", LeaseExtension=HOUR_S))
    joining.wait(lambda: not joining.cloud.faults(), "the call that hangs")
    assert condor_annex(joining, "-cancel", "short").returncode == errors.OK
    joining.cloud.end_hangs()
    client.wait(60.0)
    joining.wait(
        lambda: re.search("Request extend-cancelled .*: InvalidState annex .* was cancelled", joining.log()),
        "the extension to be refused",
        60.0,
    )
    reported = manifest(joining, annex)
    assert TAG_CANCELLED in reported["Tags"]
    assert reported["LeaseEnd"] < annex["EndOfLease"]
