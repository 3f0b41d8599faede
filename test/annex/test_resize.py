"""An annex grows by a further fleet with the same end, and every action on the annex applies to all its fleets."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from annexd.annex.history import query_history
from annexd.annex.index import AnnexIndex
from annexd.annex.lease.identifiers import read_leased_token
from annexd.annex.lease.lease import utc
from annexd.annex.request.fleet_api import EC2_FLEET
from annexd.annex.resize import resize_annex
from annexd.annex.status import Snapshot, query_annexes
from annexd.annex.totals import TotalsReader
from test.annex.ads import OWNER
from test.annex.changes import end, ordered, refused, silence
from test.annex.fleets import BOB, KEYS, by_hand, described, end_of, instances_of, look, tags_of, writes
from test.annex.joining import BUCKET
from test.annex.site import BYSTANDER, Site, wait_for


@pytest.fixture
def annex(site: Site) -> dict[str, Any]:
    """Order an annex of two units; return the reply."""
    return ordered(site)


@pytest.fixture
def by_ec2_fleet(site: Site) -> Iterator[dict[str, Any]]:
    """Order an annex of two units by EC2 Fleet; yield the reply."""
    before, site.asks = site.defaults, {"FleetAPI": None}
    site.defaults = replace(before, fleet_api=EC2_FLEET)
    yield ordered(site)
    for each in by_hand(site).describe_launch_templates()["LaunchTemplates"]:
        by_hand(site).delete_launch_template(LaunchTemplateId=each["LaunchTemplateId"])


def resized(site: Site, annex: dict[str, Any], units: int = 5) -> dict[str, Any]:
    reply = dict(site.resize(annex["AnnexID"], units))
    assert reply["Result"] == "Success", reply
    return reply


def fleets_of(site: Site) -> dict[str, dict[str, Any]]:
    return {str(each["id"]): each["config"] for each in site.live_fleets()}


def answered(site: Site, **changes: Any) -> dict[str, Any]:
    """Look at the account, and return the reply to -status."""
    journal = site.journal()
    try:
        index, report = AnnexIndex(site.engine(journal)), look(site)
        looks = {
            key: Snapshot(time.time(), {each.annex_id: each for each in report.annexes}, troubles=report.troubles)
            for key in _keys(index)
        }
        ad = {"Command": "CA_QUERY_ANNEXES", "RequestVersion": 1, **changes}
        return dict(query_annexes(ad, OWNER, index, site.defaults, time.time(), looks))
    finally:
        journal.close()


def _keys(index: AnnexIndex) -> set[str]:
    orders = [index.engine.state(each.command_id).order for each in index.all()]
    return {order.target.key for order in orders}  # type: ignore[attr-defined]


# Growth.


def test_an_annex_grows_by_a_further_fleet_of_its_own_machines_under_the_same_end(
    site: Site, annex: dict[str, Any]
) -> None:
    reply = site.resize("physics", 5, CommandID="mine")
    further = str(reply["BulkRequestID"])
    assert reply == {
        "MyType": "Reply", "TargetType": "Command", "RequestVersion": 1, "Result": "Success", "CommandID": "mine",
        "AnnexID": annex["AnnexID"], "BulkRequestID": further, "ClientToken": reply["ClientToken"],
        "EndOfLease": annex["EndOfLease"], "TargetCapacity": 5, "AddedCapacity": 3,
    }  # fmt: skip
    configs = fleets_of(site)
    assert configs.keys() == {annex["BulkRequestID"], further}
    leased = read_leased_token(reply["ClientToken"])
    assert leased is not None
    assert (leased.annex_id, leased.end_of_lease_s) == (annex["AnnexID"], annex["EndOfLease"])
    own = {"ClientToken": reply["ClientToken"], "TargetCapacity": 3, "ValidUntil": configs[further]["ValidUntil"]}
    assert configs[further] == {**configs[annex["BulkRequestID"]], **own}
    assert tags_of(site, further) == tags_of(site, annex["BulkRequestID"])
    assert writes(site) == ["RequestSpotFleet"]
    wait_for(lambda: len(instances_of(site, further)) == 3, "the machines of the further fleet")


def test_by_ec2_fleet_the_further_fleet_has_a_launch_template_of_its_own(
    site: Site, by_ec2_fleet: dict[str, Any]
) -> None:
    reply = resized(site, by_ec2_fleet)
    configs = fleets_of(site)
    assert configs.keys() == {by_ec2_fleet["BulkRequestID"], reply["BulkRequestID"]}
    further = configs[reply["BulkRequestID"]]
    assert further["TargetCapacitySpecification"]["TotalTargetCapacity"] == 3
    [launch] = further["LaunchTemplateConfigs"]
    assert launch["LaunchTemplateSpecification"]["LaunchTemplateName"] == reply["ClientToken"]
    assert writes(site) == ["CreateLaunchTemplate", "CreateFleet"]
    data = [
        by_hand(site).describe_launch_template_versions(LaunchTemplateName=token)["LaunchTemplateVersions"][0]
        for token in (by_ec2_fleet["ClientToken"], reply["ClientToken"])
    ]
    assert data[0]["LaunchTemplateData"] == data[1]["LaunchTemplateData"]


def test_the_further_fleet_is_of_the_users_template_as_it_was_read_for_the_order(site: Site) -> None:
    template = {"ImageId": "ami-12345678", "InstanceType": "m5.large"}
    by_hand(site).create_launch_template(LaunchTemplateName="mine", LaunchTemplateData=template)
    try:
        named = {"LaunchTemplateSpecification": {"LaunchTemplateName": "mine", "Version": "1"}}
        annex = ordered(site, FleetAPI="ec2-fleet", LaunchSpecifications=None, LaunchTemplateConfigs=[named])
        by_hand(site).delete_launch_template(LaunchTemplateName="mine")
        reply = resized(site, annex)
        reported = by_hand(site).describe_launch_template_versions(LaunchTemplateName=reply["ClientToken"])
        assert reported["LaunchTemplateVersions"][0]["LaunchTemplateData"]["ImageId"] == "ami-12345678"
    finally:
        for each in by_hand(site).describe_launch_templates()["LaunchTemplates"]:
            by_hand(site).delete_launch_template(LaunchTemplateId=each["LaunchTemplateId"])


def test_it_grows_under_the_end_to_which_the_lease_was_moved(site: Site, annex: dict[str, Any]) -> None:
    assert site.change("physics", LeaseExtension=600)["Result"] == "Success"
    reply = resized(site, annex)
    assert reply["EndOfLease"] == annex["EndOfLease"] + 600
    assert end_of(site, reply["BulkRequestID"]) == annex["EndOfLease"] + 600
    assert tags_of(site, reply["BulkRequestID"])["htcondor:annex-lease-end"] == utc(annex["EndOfLease"] + 600)


def test_it_grows_more_than_once_and_the_same_command_makes_one_fleet(site: Site, annex: dict[str, Any]) -> None:
    first = site.resize("physics", 3, CommandID="mine")
    assert site.resize("physics", 3, CommandID="mine") == first
    assert resized(site, annex, 6)["AddedCapacity"] == 3
    assert len(fleets_of(site)) == 3
    refused(site.resize("physics", 7, CommandID="mine"), "InvalidRequest", "with other options")
    refused(site.change("physics", LeaseExtension=60, CommandID="mine"), "InvalidRequest", "belongs to another command")


def test_machines_that_have_ended_are_ordered_once_more(site: Site, annex: dict[str, Any]) -> None:
    by_hand(site).cancel_spot_fleet_requests(SpotFleetRequestIds=[annex["BulkRequestID"]], TerminateInstances=False)
    wait_for(lambda: "running" in str(described(site, annex["BulkRequestID"])["SpotFleetRequestState"]), "its delay")
    by_hand(site).terminate_instances(InstanceIds=instances_of(site, annex["BulkRequestID"])[:1])
    assert resized(site, annex, 2)["AddedCapacity"] == 1


def test_an_annex_whose_machines_have_all_ended_can_grow_again(site: Site, annex: dict[str, Any]) -> None:
    end(site, annex)
    further = resized(site, annex, 2)
    assert further["AddedCapacity"] == 2
    assert site.change("physics", LeaseExtension=600)["Result"] == "Success"
    assert end_of(site, further["BulkRequestID"]) == annex["EndOfLease"] + 600


@pytest.mark.usefixtures("annex")
def test_the_size_that_it_has_orders_nothing(site: Site) -> None:
    reply = site.resize("physics", 2)
    assert (reply["Result"], reply["Warning"]) == ("Success", "it has 2 units already: nothing was ordered"), reply
    assert writes(site) == []


# Refusals.


@pytest.mark.parametrize("units", [None, 0, -1, True, "5", 2.5])
@pytest.mark.usefixtures("annex")
def test_a_size_is_a_number_above_0(site: Site, units: object) -> None:
    refused(site.resize("physics", units), "InvalidRequest", "TargetCapacity")
    assert writes(site) == []


@pytest.mark.usefixtures("annex")
def test_a_size_beyond_the_administrators_limit_is_refused(site: Site) -> None:
    site.defaults = replace(site.defaults, max_target_capacity=4)
    refused(site.resize("physics", 5), "InvalidRequest", "-resize is 5, the most allowed here is 4")


def test_an_annex_is_resized_by_its_owner_or_a_super_user_only(site: Site, annex: dict[str, Any]) -> None:
    assert site.resize(annex["AnnexID"], 5, BOB)["Result"] == "NotAuthorized"
    refused(site.resize("physics", 5, BOB), "InvalidRequest", "no record of the order")
    assert writes(site) == []
    site.defaults = replace(site.defaults, super_users=frozenset([BOB]))
    reply = site.resize(annex["AnnexID"], 5, BOB)
    assert reply["Result"] == "Success", reply
    assert tags_of(site, reply["BulkRequestID"])["htcondor:annex-owner"] == OWNER


@pytest.mark.usefixtures("annex")
def test_an_annex_with_too_little_of_its_lease_left_does_not_grow(site: Site) -> None:
    site.defaults = replace(site.defaults, shortest_lease_s=7200)
    refused(site.resize("physics", 5), "InvalidState", "in less than ANNEX_MIN_LEASE (2h)", "condor_annex -extend")
    assert writes(site) == []


def test_a_cancelled_annex_and_one_that_is_over_do_not_grow(site: Site, annex: dict[str, Any]) -> None:
    other = ordered(site, AnnexName="other")
    assert site.change("other", EndOfLease=int(site.now_s()) + 10, Now=True)["Result"] == "Success"
    wait_for(lambda: time.time() > end_of(site, other["BulkRequestID"]), "the end of its lease")
    refused(site.resize("other", 5), "InvalidState", "in less than ANNEX_MIN_LEASE")
    site.cancel("physics")
    refused(site.resize(annex["AnnexID"], 5), "InvalidState", "was cancelled")
    assert "RequestSpotFleet" not in writes(site)


@pytest.mark.usefixtures("annex")
def test_without_the_lease_function_at_work_no_further_fleet_is_made(site: Site) -> None:
    silence(site)
    reply = site.resize("physics", 5)
    assert reply["Result"] == "Failure", reply
    assert writes(site) == []
    assert len(fleets_of(site)) == 1


def test_a_resize_that_aws_refuses_leaves_the_annex_unchanged(site: Site, annex: dict[str, Any]) -> None:
    site.cloud.fault(operation="RequestSpotFleet", kind="denied", times=1000)
    assert site.resize("physics", 5)["Result"] == "Failure"
    assert fleets_of(site).keys() == {annex["BulkRequestID"]}
    assert answered(site)["Annexes"].count('"TargetCapacity": 2') == 1
    site.cloud.clear_faults()
    assert resized(site, annex)["AddedCapacity"] == 3


def test_an_annex_whose_order_is_unfinished_does_not_grow(site: Site) -> None:
    with site.dying(6):
        site.order(AnnexName="physics")
    refused(site.resize("physics", 5), "InvalidState", "still being ordered")


def test_an_annex_that_only_the_cloud_knows_does_not_grow(site: Site, annex: dict[str, Any]) -> None:
    site.home = site.home / "another"
    site.home.mkdir()
    refused(site.resize(annex["AnnexID"], 5, **KEYS), "InvalidRequest", "order a second annex")


def test_a_file_that_bounds_the_price_of_the_whole_fleet_is_not_doubled(site: Site) -> None:
    ordered(site, SpotMaxTotalPrice="1.00")
    refused(site.resize("physics", 5), "InvalidRequest", "SpotMaxTotalPrice bounds the price")


@pytest.mark.usefixtures("annex")
def test_two_resizes_at_one_moment_never_overlap(site: Site) -> None:
    journal, barrier = site.journal(), threading.Barrier(2)
    index = AnnexIndex(site.engine(journal))
    ad = {"Command": "CA_RESIZE_ANNEX", "RequestVersion": 1, "Annex": "physics", "TargetCapacity": 5}

    def resize(_: int) -> Any:
        barrier.wait()
        return resize_annex(ad, OWNER, index, site.step_context(), site.defaults, site.now_s())

    with ThreadPoolExecutor(2) as both:
        replies = list(both.map(resize, range(2)))
    journal.close()
    assert "Success" in {each["Result"] for each in replies}
    units = [each["TargetCapacity"] for each in fleets_of(site).values()]
    assert sum(units) == 5, replies


# Every action on an annex applies to all its fleets.


@pytest.fixture
def two(site: Site, annex: dict[str, Any]) -> list[str]:
    """Return the two fleets of an annex that has grown."""
    return [annex["BulkRequestID"], resized(site, annex)["BulkRequestID"]]


def test_a_cancellation_ends_all_its_fleets(site: Site, two: list[str]) -> None:
    assert site.cancel("physics")["Result"] == "Success"
    assert all("htcondor:annex-cancelled" in tags_of(site, each) for each in two)
    site.check_nothing_left()


def test_a_cancellation_without_the_journal_ends_all_its_fleets(
    site: Site, annex: dict[str, Any], two: list[str]
) -> None:
    site.home = site.home / "another"
    site.home.mkdir()
    site.defaults = replace(site.trusting(), lease_function_arn=site.arn)
    assert site.cancel(annex["AnnexID"], **KEYS)["Result"] == "Success"
    assert all("htcondor:annex-cancelled" in tags_of(site, each) for each in two)


def test_an_extension_moves_the_end_of_all_its_fleets(site: Site, annex: dict[str, Any], two: list[str]) -> None:
    assert site.change("physics", LeaseExtension=600)["Result"] == "Success"
    assert [end_of(site, each) for each in two] == [annex["EndOfLease"] + 600] * 2


def test_an_extension_takes_an_annex_of_which_one_fleet_is_gone(
    site: Site, annex: dict[str, Any], two: list[str]
) -> None:
    by_hand(site).cancel_spot_fleet_requests(SpotFleetRequestIds=two[:1], TerminateInstances=True)
    assert site.change("physics", LeaseExtension=600)["Result"] == "Success"
    assert end_of(site, two[1]) == annex["EndOfLease"] + 600


def test_the_lease_function_ends_all_its_fleets(site: Site, two: list[str]) -> None:
    assert site.change("physics", EndOfLease=int(site.now_s()) + 10, Now=True)["Result"] == "Success"
    wait_for(lambda: time.time() > end_of(site, two[1]), "the end of the shortened lease")
    site.beat()
    site.check_nothing_left()


def test_its_machines_join_by_the_object_of_the_annex_which_stays(joined: Site) -> None:
    annex = ordered(joined)
    resized(joined, annex)
    s3 = joined.cloud.client("s3", BYSTANDER)
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == [
        f"annex/{annex['AnnexID']}.tar.gz"
    ]
    joined.cloud.fault(operation="RequestSpotFleet", kind="denied", times=1000)
    assert joined.resize("physics", 9)["Result"] == "Failure"
    assert len(s3.list_objects_v2(Bucket=BUCKET)["Contents"]) == 1, "undoing a resize leaves the annex's object"


def test_status_counts_all_its_fleets(site: Site, annex: dict[str, Any], two: list[str]) -> None:
    wait_for(lambda: len(site.cloud.running_instances()) == 5, "its machines")
    for called in (annex["AnnexID"], *two):
        [line] = json.loads(answered(site, Annex=called)["Annexes"])
        assert (line["AnnexID"], line["TargetCapacity"], line["Instances"]) == (annex["AnnexID"], 5, 5)


def test_totals_and_history_show_one_annex(site: Site, annex: dict[str, Any], two: list[str]) -> None:
    journal = site.journal()
    index = AnnexIndex(site.engine(journal))
    totals = TotalsReader(index).totals(site.now_s())
    assert (totals.annexes, totals.units) == (1, 5)
    for called in ({}, *({"Annex": each} for each in (annex["AnnexID"], *two))):
        ad = {"Command": "CA_QUERY_HISTORY", "RequestVersion": 1, **called}
        [line] = json.loads(str(query_history(ad, OWNER, index, site.defaults, site.now_s())["History"]))
        assert (line["AnnexID"], line["TargetCapacity"]) == (annex["AnnexID"], 5)
    journal.close()


def test_reconciliation_ends_all_its_fleets_that_are_overdue(site: Site, annex: dict[str, Any], two: list[str]) -> None:
    report = look(site, ahead_s=annex["EndOfLease"] - time.time() + 1000)
    assert report.overdue == set(two)
    site.check_nothing_left()


@pytest.mark.usefixtures("annex")
def test_a_cancellation_in_the_middle_of_a_resize_ends_it_too(site: Site) -> None:
    home = site.home
    records = 8
    for at in range(1, records):
        with site.mortal(at, written=True):
            site.resize("physics", 5)
        assert site.cancel("physics")["Result"] == "Success"
        site.restart()
        site.check_nothing_left()
        site.home = home / str(at)
        site.home.mkdir()
        ordered(site)
