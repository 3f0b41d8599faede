"""The end of a lease is moved on the fleet itself, and a change succeeds only once the fleet shows the new end."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from annexd.annex.bulk_request import bulk_request
from annexd.annex.change import change_lease
from annexd.annex.index import AnnexIndex
from annexd.annex.lease.lease import utc
from test.annex.ads import OWNER
from test.annex.changes import end, ordered, refused, silence
from test.annex.fleets import BOB, KEYS, by_hand, end_of, fleet, tag, tags_of, writes
from test.annex.site import PACE, Site, wait_for

HOUR_S = 3600
CHANGES: dict[str, dict[str, Any]] = {"extend": {"LeaseExtension": 600}, "shorten": {"EndOfLease": 0, "Now": True}}


@pytest.fixture
def annex(site: Site) -> dict[str, Any]:
    """Order an annex for an hour; return the reply."""
    return ordered(site)


# The effect of a change.


@pytest.mark.parametrize("called", ["AnnexID", "BulkRequestID", "name"])
def test_an_extension_counts_from_the_present_end_and_is_seen_on_the_fleet(
    site: Site, annex: dict[str, Any], called: str
) -> None:
    token = annex["ClientToken"]
    reply = site.change("physics" if called == "name" else annex[called], LeaseExtension=HOUR_S, CommandID="mine")
    end_s = annex["EndOfLease"] + HOUR_S
    assert reply == {
        "MyType": "Reply", "TargetType": "Command", "RequestVersion": 1, "Result": "Success", "CommandID": "mine",
        "AnnexID": annex["AnnexID"], "BulkRequestID": annex["BulkRequestID"], "EndOfLease": end_s,
        "OrderedEndOfLease": annex["EndOfLease"],
    }  # fmt: skip
    assert end_of(site, annex["BulkRequestID"]) == end_s
    assert writes(site) == ["CreateTags"]
    [live] = site.live_fleets()
    assert live["config"]["ClientToken"] == token


@pytest.mark.parametrize("by_s", [2 * HOUR_S, -1200], ids=["later", "earlier"])
def test_an_end_can_be_said_as_a_time(site: Site, annex: dict[str, Any], by_s: int) -> None:
    end_s = annex["EndOfLease"] + by_s
    reply = site.change("physics", EndOfLease=end_s)
    assert (reply["Result"], reply["EndOfLease"]) == ("Success", end_s), reply
    assert tags_of(site, annex["BulkRequestID"])["htcondor:annex-lease-end"] == utc(end_s)


def test_an_unchanged_end_writes_nothing(site: Site, annex: dict[str, Any]) -> None:
    assert site.change("physics", EndOfLease=annex["EndOfLease"])["Result"] == "Success"
    assert writes(site) == []


def test_an_end_that_was_moved_by_hand_is_the_one_that_counts(site: Site, annex: dict[str, Any]) -> None:
    tag(site, annex["BulkRequestID"], end=utc(annex["EndOfLease"] + 1000))
    reply = site.change("physics", LeaseExtension=600)
    assert reply["EndOfLease"] == annex["EndOfLease"] + 1600


@pytest.mark.parametrize("written", ["", "tomorrow", "2026-11-22T16:20:00", "2026-11-22 16:20:00Z", "99999999999"])
def test_an_unreadable_moved_end_counts_as_none(site: Site, annex: dict[str, Any], written: str) -> None:
    tag(site, annex["BulkRequestID"], end=written)
    assert site.change("physics", LeaseExtension=600)["EndOfLease"] == annex["EndOfLease"] + 600


def test_the_lease_function_ends_it_at_the_moved_end_and_not_before(site: Site, annex: dict[str, Any]) -> None:
    other = ordered(site, AnnexName="other", EndOfLease=int(site.now_s()) + 600)
    assert site.change("other", LeaseExtension=HOUR_S)["Result"] == "Success"
    assert site.change("physics", EndOfLease=int(site.now_s()) + 10, Now=True)["Result"] == "Success"
    wait_for(lambda: time.time() > end_of(site, annex["BulkRequestID"]), "the end of the shortened lease")
    site.beat()
    assert [each["id"] for each in site.live_fleets()] == [other["BulkRequestID"]]


# Permissions and names.


def test_only_its_owner_or_a_super_user_may_change_it(site: Site, annex: dict[str, Any]) -> None:
    assert site.change(annex["AnnexID"], BOB, LeaseExtension=600)["Result"] == "NotAuthorized"
    assert site.change("physics", BOB, LeaseExtension=600)["Result"] == "InvalidRequest", "names are each user's own"
    assert writes(site) == []
    site.defaults = replace(site.defaults, super_users=frozenset([BOB]))
    assert site.change(annex["AnnexID"], BOB, LeaseExtension=600)["Result"] == "Success"


def test_a_name_of_two_says_which_there_are(site: Site, annex: dict[str, Any]) -> None:
    other = ordered(site)
    refused(site.change("physics", LeaseExtension=600), "InvalidRequest", annex["AnnexID"], other["AnnexID"])


def test_an_annex_that_the_journal_does_not_know_can_be_shortened_and_not_extended(
    site: Site, annex: dict[str, Any]
) -> None:
    site.home = site.home / "another"
    site.home.mkdir()
    site.defaults = replace(site.trusting(), lease_function_arn=site.arn)
    called, end_s = annex["AnnexID"], annex["EndOfLease"]
    refused(site.change(called, LeaseExtension=600, **KEYS), "InvalidState", "can only be shortened or cancelled")
    refused(site.change(called, EndOfLease=end_s + 60, **KEYS), "InvalidState", "can only be shortened or cancelled")
    assert writes(site) == []
    reply = site.change(called, EndOfLease=end_s - 600, **KEYS)
    assert (reply["Result"], reply["EndOfLease"]) == ("Success", end_s - 600), reply
    assert end_of(site, annex["BulkRequestID"]) == end_s - 600
    refused(site.change("annex-unknown", EndOfLease=end_s, **KEYS), "InvalidRequest", "AWS shows these keys none")


def test_an_annex_found_in_the_cloud_belongs_to_its_owner(site: Site) -> None:
    site.defaults = replace(site.trusting(), lease_function_arn=site.arn)
    its_tags = [{"Key": "htcondor:annex-owner", "Value": BOB}]
    fleet(site, "annex-1", 4000, its_tags=its_tags)
    end_s = int(time.time()) + 2000
    assert site.change("annex-1", EndOfLease=end_s, **KEYS)["Result"] == "NotAuthorized"
    assert site.change("annex-1", BOB, EndOfLease=end_s, **KEYS)["Result"] == "InvalidRequest", "Bob has no such files"
    site.defaults = replace(site.defaults, super_users=frozenset([OWNER]))
    assert site.change("annex-1", EndOfLease=end_s, **KEYS)["Result"] == "Success"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "a change needs either LeaseExtension or EndOfLease (-extend or -until)"),
        ({"LeaseExtension": 600, "EndOfLease": 2_000_000_000}, "needs either LeaseExtension or EndOfLease"),
        ({"LeaseExtension": 0}, "LeaseExtension must be a number of seconds from 1 to"),
        ({"LeaseExtension": -5}, "LeaseExtension must be"),
        ({"LeaseExtension": True}, "LeaseExtension must be"),
        ({"LeaseExtension": 10**30}, "LeaseExtension must be"),
        ({"EndOfLease": "tomorrow"}, "EndOfLease must be in seconds since the epoch"),
        ({"EndOfLease": 1_000}, "in the past: -cancel ends an annex at once"),
        ({"EndOfLease": 3_999_999_999}, "longer than ANNEX_MAX_LEASE (30d)"),
        ({"LeaseExtension": 40 * 86400}, "longer than ANNEX_MAX_LEASE (30d)"),
        ({"LeaseExtension": 600, "Now": "yes"}, "Now must be true or false"),
        ({"LeaseExtension": 600, "ForceX": True}, "ForceX is not an attribute of CA_CHANGE_LEASE"),
        ({"LeaseExtension": 600, "PublicKeyFile": "/home/alice/public"}, "key files come in pairs"),
        ({"LeaseExtension": 600, "annex": None}, "Annex is missing"),
        ({"LeaseExtension": 600, "annex": "x' || true"}, "Annex must be an annex ID"),
        ({"LeaseExtension": 600, "RequestVersion": 2}, "RequestVersion must be 1"),
    ],
)
@pytest.mark.usefixtures("annex")
def test_a_wrong_command_reports_its_faults(site: Site, changes: dict[str, Any], message: str) -> None:
    refused(site.change(**{"annex": "physics", **changes}), "InvalidRequest", message)
    assert site.operations() == []


def test_the_same_command_gets_the_same_answer_and_no_other_commands(site: Site, annex: dict[str, Any]) -> None:
    first = site.change("physics", LeaseExtension=600, CommandID="mine")
    site.cloud.clear_audit()
    assert site.change("physics", LeaseExtension=600, CommandID="mine") == first
    assert site.operations() == []
    refused(site.change("physics", LeaseExtension=700, CommandID="mine"), "InvalidRequest", "other options")
    assert site.change("physics", BOB, LeaseExtension=600, CommandID="mine")["Result"] == "NotAuthorized"
    for reply in (
        site.cancel("physics", CommandID="mine"),
        site.order(CommandID="mine"),
        site.change("physics", LeaseExtension=600, CommandID=annex["CommandID"]),
    ):
        refused(reply, "InvalidRequest", "belongs to another command")
    assert end_of(site, annex["BulkRequestID"]) == annex["EndOfLease"] + 600


# Changes that come too late, or have nothing to change.


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_within_two_minutes_of_the_end_comes_too_late(site: Site, change: str) -> None:
    ordered(site, EndOfLease=int(site.now_s()) + 110)
    late: dict[str, Any] = {"EndOfLease": int(site.now_s()) + 60} if change == "shorten" else {}
    changes = CHANGES[change] | late
    refused(site.change("physics", **changes), "InvalidState", "too late: the lease ends at", "needs 120 s before")
    assert writes(site) == []


@pytest.mark.usefixtures("annex")
def test_an_end_too_soon_for_the_machines_to_learn_of_it_needs_now(site: Site) -> None:
    end_s = int(site.now_s()) + 500
    refused(
        site.change("physics", EndOfLease=end_s),
        "InvalidRequest",
        "away, but the machines need up to 10m",
        "add -now to end the lease anyway",
    )
    assert writes(site) == []
    reply = site.change("physics", EndOfLease=end_s, Now=True)
    assert (reply["Result"], reply["EndOfLease"]) == ("Success", end_s)


def test_a_cancelled_annex_stays_cancelled(site: Site, annex: dict[str, Any]) -> None:
    site.cloud.fault("CancelSpotFleetRequests", "throttle", times=1000)
    assert site.cancel("physics", pace=replace(PACE, patience_s=0.1))["Result"] == "UnknownError", "it is under way"
    refused(site.change(annex["AnnexID"], LeaseExtension=600), "InvalidState", "was cancelled: its end cannot be moved")
    site.cloud.clear_faults()
    assert site.cancel("physics")["Result"] == "Success"
    changes: list[dict[str, Any]] = [{"LeaseExtension": 600}, {"EndOfLease": int(site.now_s()) + 700}]
    for change in changes:
        refused(site.change(annex["AnnexID"], **change), "InvalidState", "is cancelled: its lease ended at")


def test_an_annex_that_was_cancelled_by_a_tag_alone_is_not_extended(site: Site, annex: dict[str, Any]) -> None:
    tag(site, annex["BulkRequestID"], cancelled="yes")
    refused(site.change("physics", LeaseExtension=600), "InvalidState", "was cancelled: its end cannot be moved")
    assert writes(site) == []


def test_a_fleet_that_is_half_ended_is_too_late_to_change(site: Site, annex: dict[str, Any]) -> None:
    fleet_id = annex["BulkRequestID"]
    by_hand(site).cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet_id], TerminateInstances=True)
    reply = site.change("physics", LeaseExtension=600)
    refused(reply, "InvalidState", f"too late: {fleet_id} of annex", "is cancelled")
    assert writes(site) == []


def test_a_fleet_after_its_provisioning_delay_is_changed_as_any_other(site: Site, annex: dict[str, Any]) -> None:
    fleet_id = annex["BulkRequestID"]
    by_hand(site).cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet_id], TerminateInstances=False)
    assert site.change("physics", LeaseExtension=600)["Result"] == "Success"


def test_a_failed_or_ended_annex_has_no_end_to_move(site: Site, annex: dict[str, Any]) -> None:
    site.cloud.fault("RequestSpotFleet", "denied", times=9)
    failed = site.order()
    site.cloud.clear_faults()
    refused(site.change(str(failed["AnnexID"]), LeaseExtension=600), "InvalidState", "its order failed")
    end(site, annex)
    site.away_s = HOUR_S + 60.0
    refused(site.change(annex["AnnexID"], LeaseExtension=600), "InvalidState", "is over: its lease ended at")


def test_a_fleet_that_aws_has_forgotten_has_no_end_to_move(site: Site, annex: dict[str, Any]) -> None:
    by_hand(site).cancel_spot_fleet_requests(SpotFleetRequestIds=[annex["BulkRequestID"]], TerminateInstances=True)
    site.cloud.forget_fleet(annex["BulkRequestID"])
    refused(site.change("physics", LeaseExtension=600), "Failure", "AWS shows these keys nothing of annex")


def in_one_daemon(site: Site, act: Callable[[Callable[..., Any], Callable[..., Any]], None]) -> None:
    """Call `act(order, change)`: one daemon serves both functions, from as many threads as `act` starts."""
    journal = site.journal()
    index = AnnexIndex(site.engine(journal))

    def order(**changes: Any) -> Any:
        return bulk_request(
            site.ad(**changes), OWNER, index.engine, site.defaults, site.now_s(), bundle_sources=site.bundle_sources
        )

    def change(annex: str, **changes: Any) -> Any:
        ad = {"Command": "CA_CHANGE_LEASE", "RequestVersion": 1, "Annex": annex, **changes}
        return change_lease(ad, OWNER, index, site.step_context(), site.defaults, site.now_s())

    try:
        act(order, change)
    finally:
        journal.close()


def test_a_change_of_an_order_under_way_waits_for_it(site: Site) -> None:
    site.cloud.fault("RequestSpotFleet", "hang", hang_s=1.0)
    replies: dict[str, Any] = {}

    def act(order: Callable[..., Any], change: Callable[..., Any]) -> None:
        ordering = threading.Thread(target=lambda: replies.update(ordered=order(AnnexName="physics")))
        ordering.start()
        wait_for(lambda: not site.cloud.faults(), "the order to be under way")
        replies["changed"] = change("physics", LeaseExtension=600)
        ordering.join()

    in_one_daemon(site, act)
    assert (replies["ordered"]["Result"], replies["changed"]["Result"]) == ("Success", "Success"), replies
    assert replies["changed"]["EndOfLease"] == replies["ordered"]["EndOfLease"] + 600
    assert end_of(site, replies["ordered"]["BulkRequestID"]) == replies["changed"]["EndOfLease"]


def test_two_changes_at_once_are_carried_out_one_after_the_other(site: Site, annex: dict[str, Any]) -> None:
    replies: list[Any] = []

    def act(_: Callable[..., Any], change: Callable[..., Any]) -> None:
        with ThreadPoolExecutor(3) as pool:
            replies.extend(pool.map(lambda _: change("physics", LeaseExtension=600), range(3)))

    in_one_daemon(site, act)
    assert [reply["Result"] for reply in replies] == ["Success"] * 3, replies
    ends = sorted(reply["EndOfLease"] - annex["EndOfLease"] for reply in replies)
    assert ends == [600, 1200, 1800], "none is lost, and each counts from the end that the one before it left"
    assert end_of(site, annex["BulkRequestID"]) == annex["EndOfLease"] + 1800


# A longer lease costs money.


def test_an_extension_needs_the_heartbeat_and_shortening_does_not(site: Site, annex: dict[str, Any]) -> None:
    silence(site)
    for change in ({"LeaseExtension": 600}, {"EndOfLease": annex["EndOfLease"] + 600}):
        refused(site.change("physics", **change), "Failure", "has not been called by its rule")
    assert writes(site) == []
    assert site.change("physics", EndOfLease=annex["EndOfLease"] - 600)["Result"] == "Success"
    assert "GetFunction" not in site.operations()[-4:]


@pytest.mark.usefixtures("annex")
def test_an_extension_beyond_the_stacks_max_lease_is_refused(site: Site) -> None:
    site.defaults = replace(site.defaults, max_lease_s=100 * 86400)
    reply = site.change("physics", LeaseExtension=30 * 86400)
    refused(reply, "InvalidRequest", "is longer than the lease function allows (30d, the stack's parameter MaxLease)")
    assert writes(site) == []
    assert site.change("physics", LeaseExtension=30 * 86400 - HOUR_S - 60)["Result"] == "Success"


def test_annexds_own_limit_holds_for_the_end_that_the_cloud_shows(site: Site, annex: dict[str, Any]) -> None:
    """The end may have been moved by hand, or by another annexd."""
    site.defaults = replace(site.defaults, max_lease_s=86400)
    tag(site, annex["BulkRequestID"], end=utc(site.now_s() + 86000))
    refused(site.change("physics", LeaseExtension=HOUR_S), "InvalidRequest", "longer than ANNEX_MAX_LEASE (1d)")
    assert writes(site) == []
