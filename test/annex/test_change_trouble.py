"""A change of a lease's end that AWS refuses, loses, delays or forgets is completed, or it is undone."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from annexd.annex.lease.lease import utc
from annexd.workflow import Kind
from test.annex.changes import ordered, refused, silence
from test.annex.fleets import by_hand, end_of, tag, writes
from test.annex.site import PACE, SETTLE_S, Site, wait_for

HASTY = replace(PACE, forward_deadline_s=0.08)  # a step of a change may take two and a half times that


@pytest.fixture
def annex(site: Site) -> Iterator[dict[str, Any]]:
    yield ordered(site)
    site.cloud.behave(tags_late_s=0.0)


def test_keys_without_the_right_to_tag_are_reported_and_nothing_changes(site: Site, annex: dict[str, Any]) -> None:
    for change in ({"LeaseExtension": 600}, {"EndOfLease": annex["EndOfLease"] - 600}):
        site.cloud.fault("CreateTags", "denied")
        reply = site.change("physics", **change)
        refused(reply, "Failure", "these keys lack the right to tag fleets (ec2:CreateTags")
        assert reply["EndOfLease"] == annex["EndOfLease"], "the end that it has"
    assert end_of(site, annex["BulkRequestID"]) == annex["EndOfLease"]
    assert site.change("physics", LeaseExtension=600)["Result"] == "Success", "and it can be asked for again"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("by_s", [600, -600], ids=["extend", "shorten"])
def test_an_answer_that_is_lost_is_asked_for_again_and_the_end_moves_once(
    site: Site, annex: dict[str, Any], by_s: int, when: str
) -> None:
    site.cloud.fault("CreateTags", "reset", times=2, when=when)
    change = {"LeaseExtension": by_s} if by_s > 0 else {"EndOfLease": annex["EndOfLease"] + by_s}
    assert site.change("physics", **change)["Result"] == "Success"
    assert end_of(site, annex["BulkRequestID"]) == annex["EndOfLease"] + by_s


@pytest.mark.parametrize("operation", ["DescribeSpotFleetRequests", "CreateTags", "GetFunction", "FilterLogEvents"])
@pytest.mark.parametrize("kind", ["throttle", "internal"])
def test_a_call_that_fails_for_a_while_is_made_again(
    site: Site, annex: dict[str, Any], operation: str, kind: str
) -> None:
    site.cloud.fault(operation, kind, times=2)
    assert site.change("physics", LeaseExtension=600)["Result"] == "Success"
    assert end_of(site, annex["BulkRequestID"]) == annex["EndOfLease"] + 600


def test_after_a_lost_answer_the_next_change_waits_for_what_may_still_come(site: Site, annex: dict[str, Any]) -> None:
    site.cloud.fault("CreateTags", "reset", times=1)
    began_s = time.time()
    assert site.change("physics", LeaseExtension=600)["Result"] == "Success"
    reply = site.change("physics", EndOfLease=annex["EndOfLease"])
    assert reply["Result"] == "Success", reply
    assert time.time() - began_s > SETTLE_S
    assert end_of(site, annex["BulkRequestID"]) == annex["EndOfLease"]


def test_a_tag_that_shows_late_is_waited_for(site: Site, annex: dict[str, Any]) -> None:
    site.cloud.behave(tags_late_s=0.4)
    began_s = time.time()
    assert site.change("physics", LeaseExtension=600)["Result"] == "Success"
    assert time.time() - began_s > 0.4
    assert end_of(site, annex["BulkRequestID"]) == annex["EndOfLease"] + 600


@pytest.mark.usefixtures("annex")
def test_a_tag_that_shows_a_little_late_does_not_count_as_lost(site: Site) -> None:
    """Any tag may do so on AWS.  If it counted as lost, the next change would wait for a write that cannot come."""
    site.cloud.behave(tags_late_s=0.1)
    for _ in range(2):
        reply = site.change("physics", LeaseExtension=600)
        assert reply["Result"] == "Success"
        journal = site.journal()
        kinds = {record.kind for record in journal.history(str(reply["CommandID"]))}
        journal.close()
        assert Kind.UNKNOWN not in kinds


def test_a_tag_that_aws_took_and_lost_is_written_again(site: Site, annex: dict[str, Any]) -> None:
    site.cloud.fault("CreateTags", "lost")
    assert site.change("physics", LeaseExtension=600)["Result"] == "Success"
    assert writes(site).count("CreateTags") > 1
    assert end_of(site, annex["BulkRequestID"]) == annex["EndOfLease"] + 600


# Undo.


def test_an_extension_that_was_not_seen_in_time_is_taken_back(site: Site, annex: dict[str, Any]) -> None:
    site.patience = 0.0
    site.cloud.behave(tags_late_s=15.0)
    context = replace(site.step_context(), settle_s=18.0)
    site.step_context = lambda: context  # type: ignore[method-assign]
    reply = site.change("physics", pace=HASTY, LeaseExtension=600)
    refused(reply, "Failure", "does not show its new end yet")
    written_s = time.monotonic()
    wait_for(lambda: time.monotonic() > written_s + 15.5, "the last of its writes to show")
    assert end_of(site, annex["BulkRequestID"]) == annex["EndOfLease"] + 600
    site.cloud.behave(tags_late_s=0.0)
    site.restart()
    assert end_of(site, annex["BulkRequestID"]) == annex["EndOfLease"]
    assert writes(site).count("CreateTags") >= 2


def test_shortening_is_never_taken_back(site: Site, annex: dict[str, Any]) -> None:
    site.patience = 0.0
    site.cloud.behave(tags_late_s=15.0)
    end_s = annex["EndOfLease"] - 600
    assert site.change("physics", pace=HASTY, EndOfLease=end_s)["Result"] == "Failure"
    wait_for(lambda: end_of(site, annex["BulkRequestID"]) == end_s, "the earlier end to show")


def test_an_undo_does_not_take_a_denied_look_for_an_annex_that_is_gone(site: Site, annex: dict[str, Any]) -> None:
    site.cloud.fault("CreateTags", "reset", times=1000, when="after")
    site.cloud.fault("DescribeSpotFleetRequests", "denied", times=1000, skip=2)
    reply = site.change("physics", pace=replace(HASTY, undo_patience_s=5.0), LeaseExtension=600)
    refused(reply, "Failure", "move_end could not be undone yet, will retry", "was denied")
    site.cloud.clear_faults()
    site.restart()
    assert end_of(site, annex["BulkRequestID"]) == annex["EndOfLease"]


def test_an_undo_leaves_what_somebody_else_has_moved_meanwhile(site: Site, annex: dict[str, Any]) -> None:
    site.cloud.fault("CreateTags", "reset", times=1000)
    site.change("physics", pace=replace(HASTY, undo_patience_s=0.1), LeaseExtension=600)
    site.cloud.clear_faults()
    tag(site, annex["BulkRequestID"], end=utc(annex["EndOfLease"] - 300))
    site.restart()
    assert end_of(site, annex["BulkRequestID"]) == annex["EndOfLease"] - 300


def test_an_undo_of_an_annex_that_is_gone_is_done(site: Site, annex: dict[str, Any]) -> None:
    site.cloud.fault("CreateTags", "reset", times=1000, when="after")
    site.cloud.fault("DescribeSpotFleetRequests", "internal", times=1000, skip=2)
    site.change("physics", pace=replace(HASTY, undo_patience_s=0.1), LeaseExtension=600)
    site.cloud.clear_faults()
    by_hand(site).cancel_spot_fleet_requests(SpotFleetRequestIds=[annex["BulkRequestID"]], TerminateInstances=True)
    site.cloud.forget_fleet(annex["BulkRequestID"])
    assert [result for result, _ in site.restart()] == ["Failure"]


# While time passes.


READ = 5  # records of a change until it has read where the lease ends


def test_a_heartbeat_that_lapses_before_the_tag_is_written_extends_nothing(site: Site, annex: dict[str, Any]) -> None:
    with site.dying(READ):
        site.change("physics", LeaseExtension=600)
    silence(site)
    site.away_s = 70.0
    [(result, error)] = site.restart()
    assert (result, "has not been called by its rule" in error) == ("Failure", True), error
    assert writes(site) == []
    assert end_of(site, annex["BulkRequestID"]) == annex["EndOfLease"]


def test_shortening_goes_on_whatever_became_of_the_heartbeat(site: Site, annex: dict[str, Any]) -> None:
    with site.dying(READ):
        site.change("physics", EndOfLease=annex["EndOfLease"] - 600)
    silence(site)
    site.away_s = 70.0
    assert site.restart() == [("Success", "")]
    assert end_of(site, annex["BulkRequestID"]) == annex["EndOfLease"] - 600


def test_an_extension_that_comes_too_late_after_a_restart_extends_nothing(site: Site, annex: dict[str, Any]) -> None:
    with site.dying(READ):
        site.change("physics", LeaseExtension=600)
    site.away_s = 3600 - 100.0
    [(result, error)] = site.restart()
    assert (result, "too late" in error) == ("InvalidState", True), error
    assert end_of(site, annex["BulkRequestID"]) == annex["EndOfLease"]


def test_a_cancellation_between_read_and_write_wins(site: Site, annex: dict[str, Any]) -> None:
    with site.dying(READ):
        site.change("physics", LeaseExtension=600)
    tag(site, annex["BulkRequestID"], cancelled=utc(time.time()))
    [(result, error)] = site.restart()
    assert (result, "was cancelled" in error) == ("InvalidState", True), error
