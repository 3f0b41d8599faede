"""The annexes that annexd knows, shown from its journal and its last look, without a call to AWS."""

import time
from dataclasses import replace
from typing import Any

import pytest

from annexd.annex.index import AnnexIndex
from annexd.annex.lease.lease import utc
from annexd.annex.request.order import FleetOrder
from annexd.annex.status import PoolSnapshot, known_annexes
from test.annex.ads import OWNER
from test.annex.clouds import deployed
from test.annex.fleets import BOB, by_hand, fleet, instances_of, stamp, tag
from test.annex.looks import ask, listed, looked
from test.annex.site import PACE, Site, wait_for

__all__ = ["deployed"]  # a cloud of its own: AWS lists ended fleets for two days


def test_status_shows_an_annex_with_lease_owner_and_instances(site: Site) -> None:
    reply = site.order(AnnexName="physics")
    began_s = int(time.time())
    [annex] = listed(site, looks=looked(site))
    assert began_s <= annex.pop("SeenTime") <= time.time()
    assert annex == {
        "AnnexID": reply["AnnexID"], "AnnexName": "physics", "Owner": OWNER, "CommandID": reply["CommandID"],
        "BulkRequestID": reply["BulkRequestID"], "TargetCapacity": 2, "EndOfLease": reply["EndOfLease"],
        "OrderedEndOfLease": reply["EndOfLease"], "State": "leased", "Instances": 2, "EnforcerSeenTime": None,
        "Trouble": None, "SeenFault": None, "Running": 2, "Launching": True, "Booted": None, "Joined": None,
        "Claimed": None, "PoolSeenTime": None, "PoolFault": None, "FailedTime": None, "EstimatedCost": None,
        "UnpricedInstances": None,
    }  # fmt: skip
    for looks in ({}, looked(site, ago_s=60.0)):
        [unseen] = listed(site, looks=looks)
        assert (unseen["Instances"], unseen["SeenTime"], unseen["EnforcerSeenTime"]) == (None, None, None)


def test_the_present_end_is_shown_beside_the_ordered_one(site: Site) -> None:
    reply = site.order(AnnexName="physics")
    ordered_s = reply["EndOfLease"]
    moved = site.change("physics", LeaseExtension=600)
    for looks in ({}, looked(site)):
        [annex] = listed(site, looks=looks)
        assert (annex["EndOfLease"], annex["OrderedEndOfLease"]) == (moved["EndOfLease"], ordered_s)


def test_an_end_that_another_annexd_moved_is_shown_once_seen(site: Site) -> None:
    reply = site.order(AnnexName="physics")
    end_s = int(str(reply["EndOfLease"])) + 7200
    tag(site, str(reply["BulkRequestID"]), end=utc(end_s))
    [unseen] = listed(site)
    [seen] = listed(site, looks=looked(site))
    assert (unseen["EndOfLease"], seen["EndOfLease"]) == (reply["EndOfLease"], end_s)
    site.away_s = 3700.0
    looks = {key: replace(each, at_s=site.now_s()) for key, each in looked(site).items()}
    assert [annex["State"] for annex in listed(site, looks=looks)] == ["leased"]


def test_a_look_from_before_a_change_does_not_show_the_old_end(site: Site) -> None:
    site.order(AnnexName="physics")
    old = looked(site)
    moved = site.change("physics", LeaseExtension=600)
    [annex] = listed(site, looks=old)
    assert (annex["EndOfLease"], annex["Instances"]) == (moved["EndOfLease"], None)


def test_the_last_run_of_the_lease_function_is_shown_after_its_first(site: Site) -> None:
    site.order()
    made_s = int(time.time())
    assert [annex["EnforcerSeenTime"] for annex in listed(site, looks=looked(site))] == [None]
    wait_for(lambda: int(time.time()) > made_s, "the next second, since ticks have whole ones")
    began_s = int(time.time())
    site.beat()
    [annex] = listed(site, looks=looked(site))
    assert began_s <= annex["EnforcerSeenTime"] <= time.time()


def test_each_state_has_its_word(site: Site) -> None:
    leased, cancelled = site.order(), site.order(AnnexName="mine")
    site.cancel("mine")
    site.cloud.fault("CancelSpotFleetRequests", "throttle", times=1000)
    site.cloud.fault("RequestSpotFleet", "reset", times=1, when="after")
    site.cloud.fault("RequestSpotFleet", "denied", times=1000)
    undoing = site.order(replace(PACE, undo_patience_s=0.1, stuck_base_s=60.0))
    site.cloud.clear_faults()
    site.cloud.fault("RequestSpotFleet", "denied", times=1000)
    failed = site.order()
    message = {annex["AnnexID"]: annex["State"] for annex in listed(site)}
    assert message == {
        leased["AnnexID"]: "leased",
        cancelled["AnnexID"]: "cancelled",
        undoing["AnnexID"]: "undoing",
        failed["AnnexID"]: "failed",
    }
    site.away_s = 3700.0
    assert [annex["State"] for annex in listed(site, Annex=leased["AnnexID"])] == ["over"]
    site.away_s = 3600.0 + 3700.0
    assert sorted(annex["State"] for annex in listed(site)) == ["failed", "undoing"]


def test_an_order_that_failed_is_shown_for_a_day_with_its_reason_but_not_in_the_collector(site: Site) -> None:
    site.cloud.fault("RequestSpotFleet", "denied", times=1000)
    reply = site.order()
    site.away_s = 86_000.0
    [failed] = listed(site)
    assert (failed["AnnexID"], failed["State"]) == (reply["AnnexID"], "failed")
    assert failed["Trouble"]
    assert failed["Trouble"] in str(reply["ErrorString"])
    assert abs(failed["FailedTime"] - time.time()) < 60
    journal = site.journal()
    assert known_annexes(AnnexIndex(site.engine(journal)), time.time(), {}, PoolSnapshot()) == []
    journal.close()
    site.away_s = 86_500.0
    assert listed(site) == []
    [asked_for] = listed(site, Annex=reply["AnnexID"])
    assert asked_for["Trouble"] == failed["Trouble"]


def test_a_user_sees_their_own_annexes_and_a_super_user_sees_all(site: Site) -> None:
    reply = site.order(AnnexName="physics")
    for changes in ({}, {"Annex": reply["AnnexID"]}, {"Annex": reply["BulkRequestID"]}, {"Annex": "physics"}):
        assert len(listed(site, **changes)) == 1
        assert listed(site, BOB, **changes) == []
    site.defaults = replace(site.defaults, super_users=frozenset([BOB]))
    assert len(listed(site, BOB)) == 1


def test_an_annex_known_only_to_the_cloud_is_shown_to_its_owner(site: Site) -> None:
    fleet_id = fleet(site, "annex-1", lease_s=1000)
    [annex] = listed(site, looks=looked(site))
    assert (annex["State"], annex["AnnexID"], annex["BulkRequestID"]) == ("adopted", "annex-1", fleet_id)
    assert (annex["Instances"], annex["TargetCapacity"]) == (2, None)
    assert annex["OrderedEndOfLease"] == annex["EndOfLease"]
    tag(site, fleet_id, end=utc(time.time() + 5000))
    [moved] = listed(site, looks=looked(site))
    assert (moved["OrderedEndOfLease"], moved["EndOfLease"] - annex["EndOfLease"] > 3900) == (annex["EndOfLease"], True)
    assert listed(site, BOB, looks=looked(site)) == []


def test_instances_of_a_vanished_fleet_are_reported(site: Site) -> None:
    site.defaults = replace(site.defaults, super_users=frozenset([OWNER]))
    fleet_id = fleet(site, "annex-9", lease_s=1000)
    stamp(site, fleet_id, "annex-9", time.time() + 1000)
    site.cloud.forget_fleet(fleet_id)
    [annex] = listed(site, looks=looked(site))
    assert (annex["AnnexID"], annex["BulkRequestID"], annex["Instances"]) == ("annex-9", fleet_id, 2)
    by_hand(site).terminate_instances(InstanceIds=instances_of(site, fleet_id))


def test_an_account_is_found_again_by_the_order_that_names_it(site: Site) -> None:
    site.order()
    journal = site.journal()
    [state] = AnnexIndex(site.engine(journal)).engine.accepted()[1]
    journal.close()
    order = state.order_as(FleetOrder)
    assert order is not None
    assert order.target.key in looked(site)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Annex": "a b"}, "Annex must be an annex ID"),
        ({"Colour": 1}, "Colour is not an attribute of CA_QUERY_ANNEXES"),
        ({"RequestVersion": 7}, "RequestVersion must be 1"),
    ],
)
def test_a_wrong_question_reports_its_faults(site: Site, changes: dict[str, Any], message: str) -> None:
    reply = ask(site, **changes)
    assert (reply["Result"], message in reply["ErrorString"]) == ("InvalidRequest", True)
