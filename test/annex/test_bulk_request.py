"""An order, from its ad to its reply, on the emulated AWS."""

import re
import threading
from dataclasses import replace
from typing import Any

import pytest

from annexd.annex.bulk_request import bulk_request
from annexd.annex.lease.heartbeat import CLOSED_DESCRIPTION
from annexd.annex.lease.identifiers import LeasedToken, read_leased_token
from annexd.annex.lease.lease import utc
from annexd.annex.request.defaults import Defaults
from annexd.annex.steps.check_lease_function import CHECK_AGAIN_S
from annexd.aws import ClientCache
from annexd.workflow import Journal, Json, Kind, RetryPolicy
from test.annex.ads import OWNER
from test.annex.fleets import tags_of
from test.annex.site import BYSTANDER, HANG_TIMEOUT_S, PACE, Site, wait_for
from test.replies import accepted
from test.workflow.store import Crash

CALLS = ["GetFunction", "FilterLogEvents", "RequestSpotFleet"]


def test_every_billed_resource_is_created_with_its_lease(site: Site) -> None:
    reply = site.order()
    assert reply["Result"] == "Success", reply
    assert site.operations() == CALLS
    site.check_all_leased()


def test_the_reply_says_all_that_the_requester_needs(site: Site) -> None:
    reply = site.order(CommandID="alice-1", ValidUntil="2017-01-01T00:00:00Z")
    [fleet] = site.live_fleets()
    assert reply == {
        "MyType": "Reply",
        "TargetType": "Command",
        "RequestVersion": 1,
        "Result": "Success",
        "CommandID": "alice-1",
        "BulkRequestID": fleet["id"],
        "ClientToken": fleet["config"]["ClientToken"],
        "AnnexID": reply["AnnexID"],
        "EndOfLease": reply["EndOfLease"],
        "Warning": "ValidUntil was ignored: it is set from ANNEX_PROVISIONING_DELAY",
    }
    assert str(fleet["config"]["ClientToken"]).startswith(f"{reply['AnnexID']}_")


def test_the_token_and_the_tags_of_the_fleet_say_whose_it_is_and_until_when(site: Site) -> None:
    reply = site.order()
    end_s = int(str(reply["EndOfLease"]))
    assert read_leased_token(reply["ClientToken"]) == LeasedToken(str(reply["AnnexID"]), end_s)
    assert tags_of(site, reply["BulkRequestID"]) == {
        "htcondor:annex-id": reply["AnnexID"],
        "htcondor:annex-owner": OWNER,
        "htcondor:annex-lease-end": utc(end_s),
    }


def test_the_lease_function_ends_what_this_order_began(site: Site) -> None:
    reply = site.order(EndOfLease=int(site.now_s()) + 15)
    assert reply["Result"] == "Success", reply
    assert len(site.cloud.running_instances()) == 2

    wait_for(lambda: site.now_s() > int(str(reply["EndOfLease"])), "the end of the lease")
    site.beat()
    site.check_nothing_left()


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize(
    ("kind", "when"),
    [
        ("throttle", "before"),
        ("internal", "before"),
        ("internal", "after"),
        ("reset", "before"),
        ("reset", "after"),
        ("hang", "before"),
        ("hang", "after"),
    ],
)
def test_a_call_that_fails_for_a_while_is_asked_again_and_done_once(
    site: Site, operation: str, kind: str, when: str
) -> None:
    site.cache = ClientCache(read_timeout=HANG_TIMEOUT_S)
    site.cloud.fault(operation, kind, times=1 if kind == "hang" else 2, when=when, hang_s=HANG_TIMEOUT_S * 2)
    reply = site.order(pace=RetryPolicy(base_s=0.01, cap_s=0.1))
    assert reply["Result"] == "Success", reply
    assert len(site.live_fleets()) == 1
    assert len(site.cloud.running_instances()) == 2
    site.check_all_leased()


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "denied"},
        {"kind": "error", "code": "MaxSpotFleetRequestCountExceeded"},
        {"kind": "error", "code": "ValidationException"},
    ],
    ids=["denied", "over a quota", "invalid"],
)
def test_a_final_no_is_asked_once_and_leaves_nothing(site: Site, operation: str, fault: dict[str, Any]) -> None:
    site.cloud.fault(operation, times=100, **fault)
    reply = site.order()
    assert reply["Result"] == "Failure"
    assert operation in str(reply["ErrorString"])
    assert site.operations().count(operation) == 1
    site.cloud.clear_faults()
    site.check_nothing_left()


def test_a_fleet_whose_answer_never_comes_is_found_by_its_token_and_ended(site: Site) -> None:
    site.cloud.fault("RequestSpotFleet", "reset", times=1000, when="after")
    reply = site.order(pace=RetryPolicy(base_s=0.01, cap_s=0.1, forward_deadline_s=0.5))
    assert reply["Result"] == "Failure"
    assert "gave up after" in str(reply["ErrorString"])
    assert len(site.cloud.effects("fleet requested")) == 1
    site.cloud.clear_faults()
    site.check_nothing_left()


@pytest.mark.parametrize("operation", ["DescribeSpotFleetRequests", "CancelSpotFleetRequests", "DescribeInstances"])
@pytest.mark.parametrize(("kind", "when"), [("internal", "before"), ("reset", "after")])
def test_an_undo_that_fails_for_a_while_goes_on_until_nothing_is_left(
    site: Site, operation: str, kind: str, when: str
) -> None:
    site.cloud.fault("RequestSpotFleet", "reset", times=1, when="after")
    site.cloud.fault("RequestSpotFleet", "denied", times=1000)
    site.cloud.fault(operation, kind, times=2, when=when)
    assert site.order()["Result"] == "Failure"
    site.cloud.clear_faults()
    site.check_nothing_left()


def test_a_fleet_that_cannot_be_ended_is_stuck_and_keeps_its_lease(site: Site) -> None:
    site.cloud.fault("RequestSpotFleet", "reset", times=1, when="after")
    site.cloud.fault("RequestSpotFleet", "denied", times=1000)
    site.cloud.fault("CancelSpotFleetRequests", "denied", times=1000)
    reply = site.order()
    assert reply["Result"] == "Failure"
    assert "request_fleet could not be undone yet" in str(reply["ErrorString"])
    assert len(site.live_fleets()) == 1
    site.check_all_leased()
    site.cloud.clear_faults()
    [(result, _)] = site.restart()
    assert result == "Failure"
    site.check_nothing_left()


def test_a_cancel_that_fails_inside_a_good_answer_is_not_taken_for_one(site: Site) -> None:
    site.cloud.fault("RequestSpotFleet", "reset", times=1, when="after")
    site.cloud.fault("RequestSpotFleet", "denied", times=1000)
    site.cloud.fault("CancelSpotFleetRequests", "partial", times=3)
    assert site.order(pace=replace(PACE, undo_patience_s=60.0))["Result"] == "Failure"
    assert site.operations().count("CancelSpotFleetRequests") >= 4
    site.cloud.clear_faults()
    site.check_nothing_left()


def test_instances_of_a_fleet_that_somebody_cancelled_without_them_are_ended_too(site: Site) -> None:
    site.cloud.fault("RequestSpotFleet", "reset", times=1, when="after")
    site.cloud.fault("RequestSpotFleet", "denied", times=1000)
    site.cloud.fault("CancelSpotFleetRequests", "denied", times=1)
    site.order(pace=RetryPolicy(base_s=0.01, stuck_base_s=60.0))
    [fleet] = site.live_fleets()
    site.cloud.client("ec2").cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet["id"]], TerminateInstances=False)
    assert len(site.cloud.running_instances()) == 2
    site.cloud.clear_faults()
    site.restart()
    site.check_nothing_left()


def test_the_same_command_id_gets_the_same_answer_and_no_second_fleet(site: Site) -> None:
    ad = site.ad(CommandID="alice-1", EndOfLease=int(site.now_s()) + 3600)
    first = site.order(**ad)
    assert site.order(**ad) == first
    assert len(site.live_fleets()) == 1


@pytest.mark.parametrize("changes", [{"TargetCapacity": 7}, {"SpotPrice": "0.9"}, {"LeaseDuration": 7200}])
def test_the_same_command_id_with_another_content_is_refused_and_orders_nothing(
    site: Site, changes: dict[str, Any]
) -> None:
    ad = site.ad(CommandID="alice-1", LeaseDuration=3600)
    first = site.order(**ad)
    again = site.order(**{**ad, **changes})
    assert (again["Result"], "other options or another file" in str(again["ErrorString"])) == ("InvalidRequest", True)
    assert len(site.live_fleets()) == 1
    later = {**ad, "EndOfLease": ad["EndOfLease"] + 60}
    assert site.order(**later) == first, "the same duration, asked for a minute later"


def test_the_command_id_of_another_user_is_not_authorized(site: Site) -> None:
    site.order(CommandID="alice-1")
    journal = site.journal()
    reply = bulk_request(site.ad(CommandID="alice-1"), "mallory@example.org", site.engine(journal), Defaults(), 0.0)
    journal.close()
    assert reply["Result"] == "NotAuthorized"
    assert "BulkRequestID" not in reply


def test_the_same_command_id_while_it_runs_joins_it(site: Site) -> None:
    journal = site.journal()
    engine, replies = site.engine(journal), []
    ad = site.ad(CommandID="alice-1")
    workers = [
        threading.Thread(target=lambda: replies.append(bulk_request(ad, OWNER, engine, Defaults(), site.now_s())))
        for _ in range(6)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=30)
    journal.close()
    assert len(replies) == 6
    assert all(reply == replies[0] for reply in replies)
    assert len(site.live_fleets()) == 1


def test_a_bad_request_is_answered_and_never_written_down(site: Site) -> None:
    reply = site.order(EndOfLease=None, CommandID="alice-1")
    assert reply["Result"] == "InvalidRequest"
    assert "EndOfLease is missing" in str(reply["ErrorString"])
    assert reply["CommandID"] == "alice-1"
    assert site.operations() == []
    accepted(site.order(CommandID="alice-1"))


def test_the_daemon_that_stops_says_so_and_the_next_one_goes_on(site: Site) -> None:
    journal = site.journal()
    engine = site.engine(journal)
    ad = site.ad(CommandID="alice-1")
    reply = bulk_request(ad, OWNER, engine, Defaults(), site.now_s(), accepted=lambda _: engine.pause())
    journal.close()
    assert reply["Result"] == "UnknownError"
    assert "ask again with this CommandID" in str(reply["ErrorString"])
    assert site.restart() == [("Success", "")]
    accepted(site.order(**ad))
    assert len(site.live_fleets()) == 1


def test_unreadable_keys_are_reported_and_nothing_is_sent(site: Site) -> None:
    site.keys.clear()
    reply = site.order()
    assert reply["Result"] == "InvalidRequest"
    message = "PublicKeyFile cannot be used: /home/alice/public cannot be opened: Permission denied"
    assert message in str(reply["ErrorString"])
    assert site.operations() == []


def test_no_secret_is_in_the_reply_or_in_the_journal(site: Site) -> None:
    site.cloud.fault("RequestSpotFleet", "denied", times=9)
    reply = site.order()
    secret = site.keys["/home/alice/secret"]
    assert secret.decode() not in str(reply)
    for file in site.home.iterdir():
        assert secret not in file.read_bytes()


def test_an_unknown_lease_function_is_reported_before_anything_is_created(site: Site) -> None:
    reply = site.order(LeaseFunctionARN=site.arn[:-3] + "xxx")
    assert "does not exist, so nothing would end a lease: condor_annex -setup creates it" in str(reply["ErrorString"])
    assert site.operations() == ["GetFunction"]


def test_an_unreachable_aws_is_reported_and_leaves_no_unfinished_work(site: Site) -> None:
    reply = site.order(
        pace=RetryPolicy(base_s=0.01, forward_deadline_s=0.2),
        ServiceURL="http://127.0.0.1:9",
        LogsURL="http://127.0.0.1:9",
        LambdaURL="http://127.0.0.1:9",
        STSURL="http://127.0.0.1:9",
    )
    assert "got no clear answer" in str(reply["ErrorString"])
    assert site.restart() == []


def test_a_daemon_that_was_away_during_the_provisioning_finds_the_fleet_that_it_had_asked_for(site: Site) -> None:
    site.cloud.fault("RequestSpotFleet", "reset", times=1, when="after")
    _die_after_the_first_lost_answer(site)
    site.away_s = 600.0
    assert site.restart() == [("Success", "")]
    assert len(site.live_fleets()) == 1


def test_a_daemon_that_was_away_during_the_provisioning_does_not_ask_late(site: Site) -> None:
    site.cloud.fault("RequestSpotFleet", "reset", times=1, when="before")
    _die_after_the_first_lost_answer(site)
    site.away_s = 600.0
    [(result, error)] = site.restart()
    assert (result, "within the provisioning delay" in error) == ("Failure", True)
    site.check_nothing_left()


def test_a_daemon_that_was_away_past_the_lease_leaves_nothing(site: Site) -> None:
    site.cloud.fault("RequestSpotFleet", "reset", times=1, when="after")
    _die_after_the_first_lost_answer(site)
    site.away_s = 7200.0
    [(result, error)] = site.restart()
    assert (result, "the lease ended" in error) == ("Failure", True)
    site.check_nothing_left()


# Between the check and the request.


CHECKED = 5  # records of an order until its lease function was checked, without an object to put


def test_a_fresh_check_is_not_repeated(site: Site) -> None:
    with site.dying(CHECKED):
        site.order()
    site.away_s = CHECK_AGAIN_S - 40
    site.cloud.clear_audit()
    assert site.restart() == [("Success", "")]
    assert site.operations() == ["RequestSpotFleet"]


def test_a_check_older_than_a_minute_is_repeated(site: Site) -> None:
    with site.dying(CHECKED):
        site.order()
    site.away_s = CHECK_AGAIN_S + 10
    site.cloud.clear_audit()
    assert site.restart() == [("Success", "")]
    assert site.operations() == CALLS


@pytest.mark.parametrize("lapse", ["silent", "closed"])
def test_a_lease_function_that_lapses_between_check_and_request_gets_no_instances(site: Site, lapse: str) -> None:
    with site.dying(CHECKED):
        site.order()
    functions = site.cloud.client("lambda", BYSTANDER)
    if lapse == "silent":
        site.cloud.client("logs", BYSTANDER).delete_log_group(logGroupName="/aws/lambda/HTCondorAnnexLease")
    else:
        functions.update_function_configuration(FunctionName=site.arn, Description=CLOSED_DESCRIPTION)
    site.away_s = CHECK_AGAIN_S + 10
    outcomes = site.restart()
    if lapse == "closed":
        waiter = functions.get_waiter("function_updated_v2")
        waiter.wait(FunctionName=site.arn, WaiterConfig={"Delay": 0.1})
        functions.update_function_configuration(FunctionName=site.arn, Description="Ends every annex")
    [(result, error)] = outcomes
    message = "has not been called by its rule" if lapse == "silent" else "is closed"
    assert (result, message in error) == ("Failure", True), error
    assert site.cloud.effects("fleet requested") == []


def test_a_lease_longer_than_the_stacks_max_lease_is_refused_in_the_words_of_its_parameter(site: Site) -> None:
    site.defaults = replace(site.defaults, max_lease_s=100 * 86400)
    reply = site.order(EndOfLease=int(site.now_s()) + 31 * 86400)
    assert reply["Result"] == "InvalidRequest"
    message = (
        r"a lease of (31d|30d23h59m\d+s) is longer than the lease function allows \(30d, the stack's parameter Max"
    )
    assert re.search(message, str(reply["ErrorString"])), reply
    assert site.operations() == CALLS[:2]
    assert site.order(EndOfLease=int(site.now_s()) + 30 * 86400)["Result"] == "Success"


def _die_after_the_first_lost_answer(site: Site) -> None:
    journal = site.journal(DyingJournal)
    with pytest.raises(Crash):
        bulk_request(site.ad(), OWNER, site.engine(journal), Defaults(), site.now_s())
    journal.close()


class DyingJournal(Journal):
    """Ends the daemon once it has recorded that a response was lost."""

    def append(self, command_id: str, step: str, kind: Kind, body: Json, reserved: Json | None = None) -> None:
        super().append(command_id, step, kind, body, reserved)
        if kind is Kind.UNKNOWN:
            raise Crash
