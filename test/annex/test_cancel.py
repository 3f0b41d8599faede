"""Cancellation of an annex: a tag that nothing overrides ends its lease, and its fleets end at once."""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from annexd.annex.bulk_request import bulk_request
from annexd.annex.cancel import cancel_annex
from annexd.annex.index import AnnexIndex
from annexd.annex.lease.lease import end_in_tag, utc
from annexd.workflow import Engine, Kind, RetryPolicy, State
from test.annex.ads import OWNER
from test.annex.changes import end, ordered, refused, silence
from test.annex.fleets import BOB, KEYS, by_hand, end_of, fleet, look, tag, tags_of, writes
from test.annex.site import PACE, Site, wait_for

IMPATIENT = replace(PACE, patience_s=0.2, undo_patience_s=0.2, stuck_base_s=0.05)
CANCELLED = "htcondor:annex-cancelled"


@pytest.fixture
def annex(site: Site) -> dict[str, Any]:
    """Order an annex for an hour; return the reply."""
    return ordered(site)


def check_ended(site: Site, annex: dict[str, Any]) -> None:
    """Check that it is tagged, its fleet is cancelled, and its instances end without the lease function."""
    assert CANCELLED in tags_of(site, annex["BulkRequestID"])
    assert end_of(site, annex["BulkRequestID"]) <= site.now_s() + 1
    site.check_nothing_left()


@pytest.mark.parametrize("called", ["AnnexID", "BulkRequestID", "name"])
def test_it_is_ended_at_once_and_tagged_for_the_lease_function(site: Site, annex: dict[str, Any], called: str) -> None:
    reply = site.cancel("physics" if called == "name" else annex[called])
    assert (reply["Result"], reply["AnnexID"]) == ("Success", annex["AnnexID"]), reply
    assert reply["BulkRequestID"] == annex["BulkRequestID"]
    assert reply["EndOfLease"] == end_in_tag(tags_of(site, annex["BulkRequestID"])[CANCELLED])
    assert writes(site)[:2] == ["CreateTags", "CancelSpotFleetRequests"], "the tag first, even if annexd dies then"
    check_ended(site, annex)


@pytest.mark.usefixtures("annex")
def test_nobody_elses_annex_is_touched(site: Site) -> None:
    other = ordered(site, AnnexName="other")
    before = tags_of(site, other["BulkRequestID"])
    site.cancel("physics")
    assert [each["id"] for each in site.live_fleets()] == [other["BulkRequestID"]]
    assert tags_of(site, other["BulkRequestID"]) == before


def test_it_needs_no_lease_function(site: Site, annex: dict[str, Any]) -> None:
    silence(site)
    assert site.cancel("physics")["Result"] == "Success"
    check_ended(site, annex)


def test_it_needs_no_right_to_tag(site: Site, annex: dict[str, Any]) -> None:
    site.cloud.fault("CreateTags", "denied", times=1000)
    assert site.cancel("physics")["Result"] == "Success"
    assert CANCELLED not in tags_of(site, annex["BulkRequestID"])
    site.check_nothing_left()


@pytest.mark.parametrize("may_tag", [True, False], ids=["may tag", "may not tag"])
@pytest.mark.parametrize("variant", ["acted-upon", "refused", "no-effect"])
def test_a_fleet_after_its_provisioning_delay_is_ended_in_each_variant(
    site: Site, annex: dict[str, Any], variant: str, may_tag: bool
) -> None:
    site.cloud.behave(second_cancel=variant)
    by_hand(site).cancel_spot_fleet_requests(SpotFleetRequestIds=[annex["BulkRequestID"]], TerminateInstances=False)
    if not may_tag:
        site.cloud.fault("CreateTags", "denied", times=1000)
    reply = site.cancel("physics")
    site.cloud.behave(second_cancel="acted-upon")
    assert reply["Result"] == "Success", reply
    site.check_nothing_left()


def test_instances_that_these_keys_cannot_end_are_left_to_the_lease_function(site: Site, annex: dict[str, Any]) -> None:
    site.cloud.behave(second_cancel="no-effect")
    by_hand(site).cancel_spot_fleet_requests(SpotFleetRequestIds=[annex["BulkRequestID"]], TerminateInstances=False)
    site.cloud.fault("TerminateInstances", "denied", times=1)
    assert site.cancel("physics")["Result"] == "Success"
    assert len(site.cloud.running_instances()) == 2
    site.beat()
    site.cloud.behave(second_cancel="acted-upon")
    site.check_nothing_left()


# Permissions and names.


def test_only_its_owner_or_a_super_user_may_cancel_it(site: Site, annex: dict[str, Any]) -> None:
    assert site.cancel(annex["AnnexID"], BOB)["Result"] == "NotAuthorized"
    assert site.cancel("physics", BOB)["Result"] == "InvalidRequest", "names are each user's own"
    assert writes(site) == []
    site.defaults = replace(site.defaults, super_users=frozenset([BOB]))
    assert site.cancel(annex["AnnexID"], BOB)["Result"] == "Success"


def test_a_name_of_two_annexes_says_which_there_are(site: Site, annex: dict[str, Any]) -> None:
    other = ordered(site)
    refused(site.cancel("physics"), "InvalidRequest", annex["AnnexID"], other["AnnexID"])
    site.cancel(annex["AnnexID"])
    assert site.cancel("physics")["AnnexID"] == other["AnnexID"], "now it is the name of one that lives"


def test_a_super_user_names_an_annex_as_status_shows_it(site: Site, annex: dict[str, Any]) -> None:
    assert site.cancel("physics", BOB)["Result"] != "Success", "it is the name of another's"
    site.defaults = replace(site.defaults, super_users=frozenset([BOB]))
    other = ordered(site)
    two = site.cancel("physics", BOB)
    refused(two, "InvalidRequest", f"{annex['AnnexID']} (of {OWNER}, ", f"{other['AnnexID']} (of {OWNER}, ")
    site.cancel(annex["AnnexID"])
    assert site.cancel("physics", BOB)["AnnexID"] == other["AnnexID"]


STUCK = replace(PACE, undo_patience_s=0.1, stuck_base_s=60.0)


def stuck_order(site: Site) -> dict[str, Any]:
    """Return the reply to an order that created its fleet, failed, and cannot end the fleet."""
    site.cloud.fault("CancelSpotFleetRequests", "internal", times=1000)
    site.cloud.fault("RequestSpotFleet", "reset", times=1, when="after")
    site.cloud.fault("RequestSpotFleet", "denied", times=1000)
    stuck = site.order(STUCK)
    assert stuck["Result"] == "Failure"
    return dict(stuck)


def test_an_order_that_is_stuck_in_its_undo_is_cancelled_and_tried_at_once(site: Site) -> None:
    stuck = stuck_order(site)
    reply = site.cancel(str(stuck["AnnexID"]), pace=IMPATIENT, CommandID="mine")
    refused(dict(reply), "UnknownError", "its order is being undone")
    site.cloud.clear_faults()
    site.restart()
    assert site.cancel(str(stuck["AnnexID"]), CommandID="mine")["Result"] == "Success"
    site.check_nothing_left()


def test_an_order_that_is_under_way_takes_no_further_step_and_is_undone(site: Site) -> None:
    site.cloud.fault("FilterLogEvents", "hang", hang_s=60.0)
    journal, replies = site.journal(), list[dict[str, Any]]()
    index = AnnexIndex(site.engine(journal, replace(PACE, cap_s=0.5)))  # its forty attempts last longer than the undo

    def order() -> None:
        reply = bulk_request(
            site.ad(AnnexName="physics"),
            OWNER,
            index.engine,
            site.defaults,
            site.now_s(),
            bundle_sources=site.bundle_sources,
        )
        replies.append(dict(reply))

    ordering = threading.Thread(target=order)
    ordering.start()
    wait_for(lambda: bool(index.called("physics", OWNER)) and not site.cloud.faults(), "the order to be under way")
    ad = {"Command": "CA_CANCEL_ANNEX", "RequestVersion": 1, "Annex": "physics"}
    [known] = index.called("physics", OWNER)
    with ThreadPoolExecutor(1) as pool:
        cancelling = pool.submit(cancel_annex, ad, OWNER, index, site.step_context(), site.defaults, site.now_s())
        wait_for(
            lambda: any(each.kind is Kind.STOPPED for each in journal.history(known.command_id)),
            "the cancellation to stop the order",
        )
        site.cloud.end_hangs()
        cancelled = cancelling.result()
    ordering.join()
    journal.close()
    assert cancelled["Result"] == "Success", cancelled
    assert (replies[0]["Result"], "cancelled by alice" in replies[0]["ErrorString"]) == ("Failure", True)
    assert "RequestSpotFleet" not in site.operations()
    site.check_nothing_left()


def test_a_super_user_with_working_keys_can_end_an_annex_that_is_stuck_without_them(site: Site) -> None:
    stuck = stuck_order(site)
    site.cloud.clear_faults()
    keys, site.keys = site.keys, {}
    annex = str(stuck["AnnexID"])
    assert site.cancel(annex, pace=IMPATIENT)["Result"] == "UnknownError", "accepted, and not given up for a file"
    site.keys = {f"/backup{path}": content for path, content in keys.items()}
    site.readers.add(BOB)
    moved: dict[str, Any] = {"PublicKeyFile": "/backup/home/alice/public", "SecretKeyFile": "/backup/home/alice/secret"}
    assert site.cancel(annex, BOB, **moved)["Result"] == "NotAuthorized"
    site.defaults = replace(site.defaults, super_users=frozenset([BOB]))
    assert site.cancel(annex, BOB, **moved)["Result"] == "Success"
    site.check_nothing_left()


def test_a_super_user_gives_up_an_undo_and_learns_what_may_be_left(site: Site) -> None:
    stuck = stuck_order(site)
    annex = str(stuck["AnnexID"])
    assert site.cancel(annex, ForceX=True)["Result"] == "NotAuthorized", "its owner may not"
    site.defaults = replace(site.defaults, super_users=frozenset([BOB]))
    reply = site.cancel(annex, BOB, ForceX=True)
    assert reply["Result"] == "Success"
    for message in (f"fleet with client token {stuck['ClientToken']}", "ends with its lease, at 20"):
        assert message in str(reply["Warning"]), reply
    refused(dict(site.cancel(annex, BOB, ForceX=True)), "InvalidState", "is stuck")
    site.cloud.clear_faults()
    assert site.restart() == [], "nothing of it goes on"
    message = str(site.cancel(annex)["ErrorString"])
    assert ("given up by bob@example.org" in message, "its order failed and was undone" in message) == (True, False), (
        message
    )


def test_an_order_that_is_not_stuck_is_not_given_up(site: Site, annex: dict[str, Any]) -> None:
    site.defaults = replace(site.defaults, super_users=frozenset([OWNER]))
    refused(
        dict(site.cancel(annex["AnnexID"], ForceX=True)), "InvalidState", "-forcex gives up only what cannot be undone"
    )


def test_an_order_that_failed_has_nothing_to_cancel(site: Site) -> None:
    site.cloud.fault("RequestSpotFleet", "denied", times=1000)
    failed = site.order()
    refused(dict(site.cancel(str(failed["AnnexID"]))), "InvalidState", "its order failed and was undone")


def test_an_annex_that_is_over_says_so(site: Site, annex: dict[str, Any]) -> None:
    end(site, annex)
    site.cloud.clear_audit()
    site.away_s = 3700.0
    refused(dict(site.cancel("physics")), "InvalidState", f"annex {annex['AnnexID']} is over: its lease ended at")
    assert writes(site) == []


def test_an_annex_that_was_extended_is_not_over_before_its_new_end(site: Site, annex: dict[str, Any]) -> None:
    assert site.change("physics", LeaseExtension=3600)["Result"] == "Success"
    site.away_s = 3700.0
    assert site.cancel("physics")["Result"] == "Success"
    check_ended(site, annex)


def test_an_unknown_annex_is_not_found(site: Site) -> None:
    message = "annexd knows no annex annex-1 of yours; with keys (files, a profile)"
    refused(dict(site.cancel("annex-1")), "InvalidRequest", message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annex": None}, "Annex is missing"),
        ({"annex": "x' || true"}, "Annex must be an annex ID"),
        ({"annex": 5}, "Annex must be a string"),
        ({"Annexx": "x"}, "Annexx is not an attribute of CA_CANCEL_ANNEX"),
        ({"LeaseExtension": 5}, "LeaseExtension is not an attribute of CA_CANCEL_ANNEX"),
        ({"RequestVersion": 2}, "RequestVersion must be 1"),
        ({"PublicKeyFile": "/home/alice/public"}, "SecretKeyFile is missing: key files come in pairs"),
        ({"CommandID": "no spaces"}, "CommandID must be"),
    ],
)
@pytest.mark.usefixtures("annex")
def test_a_wrong_command_reports_its_faults(site: Site, changes: dict[str, Any], message: str) -> None:
    refused(dict(site.cancel(**{"annex": "physics", **changes})), "InvalidRequest", message)
    assert writes(site) == []


# Repetitions, and all kinds of trouble.


def test_cancelling_twice_is_cancelling_once(site: Site, annex: dict[str, Any]) -> None:
    first = site.cancel("physics")
    site.cloud.clear_audit()
    again = site.cancel(annex["AnnexID"])
    assert (again["Result"], again["EndOfLease"]) == ("Success", first["EndOfLease"])
    assert again["Warning"] == "it was cancelled before"
    assert site.operations() == []


class MeetingRoll(AnnexIndex):
    """Holds a thread that has read the cancellation until a second one has read it too, for at most 0.5 s."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._meeting = threading.Barrier(2)

    def cancellation(self, annex_id: str) -> State | None:
        found = super().cancellation(annex_id)
        with contextlib.suppress(threading.BrokenBarrierError):
            self._meeting.wait(timeout=0.5)
        return found


def test_two_who_cancel_at_once_share_one_cancellation(site: Site, annex: dict[str, Any]) -> None:
    journal = site.journal()
    index = MeetingRoll(site.engine(journal))
    ad = {"Command": "CA_CANCEL_ANNEX", "RequestVersion": 1, "Annex": annex["AnnexID"]}
    with ThreadPoolExecutor(2) as pool:
        asked = [
            pool.submit(cancel_annex, ad, OWNER, index, site.step_context(), site.defaults, site.now_s())
            for _ in range(2)
        ]
    replies = [one.result() for one in asked]
    journal.close()
    assert [reply["Result"] for reply in replies] == ["Success", "Success"]
    assert len({reply["CommandID"] for reply in replies}) == 1, replies
    check_ended(site, annex)


def test_the_same_command_gets_the_same_answer_and_no_other_commands(site: Site, annex: dict[str, Any]) -> None:
    first = site.cancel("physics", CommandID="mine")
    assert site.cancel("physics", CommandID="mine") == first
    refused(dict(site.cancel("anything", CommandID="mine")), "InvalidRequest", "other options")
    assert site.cancel("physics", BOB, CommandID="mine")["Result"] == "NotAuthorized"
    for reply in (
        site.cancel("physics", CommandID=annex["CommandID"]),
        site.order(CommandID="mine"),
        site.change("physics", LeaseExtension=600, CommandID="mine"),
    ):
        refused(dict(reply), "InvalidRequest", "belongs to another command")


@pytest.mark.parametrize("operation", ["CreateTags", "CancelSpotFleetRequests", "DescribeSpotFleetRequests"])
@pytest.mark.parametrize(("kind", "when"), [("reset", "before"), ("reset", "after"), ("throttle", "before")])
def test_a_call_that_fails_for_a_while_is_made_again(
    site: Site, annex: dict[str, Any], operation: str, kind: str, when: str
) -> None:
    site.cloud.fault(operation, kind, times=2, when=when)
    assert site.cancel("physics")["Result"] == "Success"
    check_ended(site, annex)


def test_a_cancellation_that_fails_inside_a_good_answer_is_not_taken_for_one(site: Site, annex: dict[str, Any]) -> None:
    site.cloud.fault("CancelSpotFleetRequests", "partial", times=2)
    assert site.cancel("physics")["Result"] == "Success"
    check_ended(site, annex)


@pytest.mark.parametrize("kind", ["late", "lost"])
def test_a_tag_that_does_not_show_is_waited_for_or_written_again(site: Site, annex: dict[str, Any], kind: str) -> None:
    site.cloud.fault("CreateTags", kind, lag_s=0.3)
    assert site.cancel("physics")["Result"] == "Success"
    check_ended(site, annex)


def test_a_fleet_that_ec2_does_not_show_yet_is_waited_for(site: Site, annex: dict[str, Any]) -> None:
    site.cloud.fault("DescribeSpotFleetRequests", "error", code="InvalidSpotFleetRequestId.NotFound", times=1)
    assert site.cancel("physics")["Result"] == "Success"
    check_ended(site, annex)


def test_an_outage_is_waited_for_and_reported_to_the_client(site: Site, annex: dict[str, Any]) -> None:
    site.cloud.fault("CancelSpotFleetRequests", "internal", times=1000)
    reply = site.cancel("physics", pace=IMPATIENT, CommandID="mine")
    refused(dict(reply), "UnknownError", f"annex {annex['AnnexID']} is not cancelled yet, and annexd keeps trying")
    assert CANCELLED in tags_of(site, annex["BulkRequestID"]), "the lease function ends it meanwhile"
    site.cloud.clear_faults()
    assert site.restart() == [("Success", "")]
    assert site.cancel("physics", CommandID="mine")["Result"] == "Success"
    check_ended(site, annex)


def test_a_final_refusal_is_reported_and_the_cancellation_can_be_repeated(site: Site, annex: dict[str, Any]) -> None:
    site.cloud.fault("CancelSpotFleetRequests", "denied", times=1)
    refused(dict(site.cancel("physics")), "Failure", "was denied")
    assert site.cancel("physics")["Result"] == "Success"
    check_ended(site, annex)


def test_an_end_that_is_moved_after_the_cancellation_changes_nothing(site: Site, annex: dict[str, Any]) -> None:
    site.cancel("physics")
    tag(site, annex["BulkRequestID"], end=utc(time.time() + 90_000))
    check_ended(site, annex)


def test_a_cancellation_ends_nothing_if_nothing_is_left(site: Site, annex: dict[str, Any]) -> None:
    by_hand(site).cancel_spot_fleet_requests(SpotFleetRequestIds=[annex["BulkRequestID"]], TerminateInstances=True)
    wait_for(lambda: not look(site).annexes, "the annex to be ended by hand")
    site.cloud.clear_audit()
    assert site.cancel("physics")["Result"] == "Success"
    assert writes(site) == ["CreateTags"]
    other = ordered(site)
    by_hand(site).cancel_spot_fleet_requests(SpotFleetRequestIds=[other["BulkRequestID"]], TerminateInstances=True)
    site.cloud.forget_fleet(other["BulkRequestID"])
    reply = site.cancel(other["AnnexID"])
    refused(dict(reply), "Failure", "AWS shows these keys nothing of annex")


@pytest.mark.usefixtures("annex")
def test_a_cancellation_accepts_the_new_place_of_a_moved_key_file(site: Site) -> None:
    site.keys = {f"/new{path}": content for path, content in site.keys.items()}
    refused(dict(site.cancel("physics", pace=IMPATIENT)), "UnknownError", "PublicKeyFile cannot be used")
    moved: dict[str, Any] = {"PublicKeyFile": "/new/home/alice/public", "SecretKeyFile": "/new/home/alice/secret"}
    assert site.cancel("physics", **moved)["Result"] == "Success"


# Without the journal, and with reconciliation.


def on_another_disk(site: Site) -> None:
    site.home = site.home / "another"
    site.home.mkdir()
    site.defaults = replace(site.trusting(), lease_function_arn=site.arn)


def test_an_annexd_that_lost_its_disk_finds_it_in_the_cloud(site: Site, annex: dict[str, Any]) -> None:
    on_another_disk(site)
    assert site.cancel(annex["AnnexID"])["Result"] == "InvalidRequest", "without keys it can look nowhere"
    assert site.cancel("annex-unknown", **KEYS)["Result"] == "InvalidRequest"
    reply = site.cancel(annex["AnnexID"], **KEYS)
    assert (reply["Result"], reply["AnnexID"]) == ("Success", annex["AnnexID"])
    check_ended(site, annex)


def test_a_living_annex_found_in_the_cloud_belongs_to_its_owner(site: Site, annex: dict[str, Any]) -> None:
    on_another_disk(site)
    carols = [{"Key": "htcondor:annex-owner", "Value": "Carol _carol@example.org_"}]
    fleet(site, "annex-1", lease_s=1000, its_tags=carols)
    assert site.cancel("annex-1", **KEYS)["Result"] == "NotAuthorized"
    site.defaults = replace(site.defaults, super_users=frozenset([OWNER]))
    assert site.cancel("annex-1", **KEYS)["Result"] == "Success"
    by_hand(site).cancel_spot_fleet_requests(SpotFleetRequestIds=[annex["BulkRequestID"]], TerminateInstances=True)
    wait_for(lambda: annex["AnnexID"] not in {each.annex_id for each in look(site).annexes}, "its end by hand")
    refused(dict(site.cancel(annex["AnnexID"], **KEYS)), "InvalidState", "nothing of it is left")


def test_ends_are_known_after_a_restart(site: Site, annex: dict[str, Any]) -> None:
    reply = site.cancel("physics")
    journal = site.journal()
    ends = AnnexIndex(site.engine(journal, RetryPolicy())).cancelled_ends()
    journal.close()
    assert ends == {annex["AnnexID"]: reply["EndOfLease"]}
