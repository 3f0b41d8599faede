"""An annexd that knows nothing sees everything of annexd's, ends what is overdue, and touches nothing else."""

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from typing import Any

import pytest

from annexd.annex.lease.lease import tags, utc
from annexd.annex.reconcile import OVERDUE_S
from annexd.annex.request.account_target import own_target
from annexd.annex.request.defaults import Defaults
from annexd.workflow import Refused
from test.annex.ads import OWNER
from test.annex.clouds import deployed
from test.annex.fleets import by_hand, fleet, instances_of, look, stamp, tag, writes
from test.annex.site import BYSTANDER, Site, wait_for
from test.cloud.orders import request

__all__ = ["deployed"]  # a cloud of its own: instances run on in it

LATE_S = 1000 + OVERDUE_S + 60  # from now on, until a lease of 1,000 s is overdue


@pytest.fixture
def living(site: Site) -> str:
    """Request a fleet whose lease lasts 1,000 s; return its ID."""
    fleet_id = fleet(site, "annex-1", lease_s=1000)
    site.cloud.clear_audit()
    return fleet_id


def test_a_correct_annex_is_counted_and_left_alone(site: Site) -> None:
    reply = site.order()
    site.cloud.clear_audit()
    report = look(site)
    assert (set(report.fleets), len(report.instances)) == ({str(reply["BulkRequestID"])}, 2)
    assert (report.overdue, report.ended, report.faults, report.enforcer.fault) == (frozenset(), (), (), "")
    [annex] = report.annexes
    assert (annex.annex_id, annex.owner, annex.fleet_id, annex.instances) == (
        reply["AnnexID"],
        OWNER,
        reply["BulkRequestID"],
        2,
    )
    assert annex.end_of_lease_s == annex.ordered_end_s == reply["EndOfLease"]
    assert writes(site) == []


def test_it_says_the_present_end_and_the_ordered_one(site: Site, living: str) -> None:
    [before] = look(site).annexes
    moved_s = int(time.time()) + 5000
    tag(site, living, end=utc(moved_s))
    [after] = look(site).annexes
    assert (after.ordered_end_s, before.end_of_lease_s) == (before.ordered_end_s, before.ordered_end_s)
    assert after.end_of_lease_s == moved_s


def test_it_says_when_the_lease_function_saw_it_last(site: Site, living: str) -> None:
    [unseen] = look(site).annexes
    assert unseen.enforcer_seen_s is None, "no run since it was made"
    wait_for(lambda: int(time.time()) > created_s(site, living), "the next second, since ticks have whole ones")
    began_s = int(time.time())
    site.beat()
    [seen] = look(site).annexes
    assert began_s <= (seen.enforcer_seen_s or 0) <= time.time()


def created_s(site: Site, fleet_id: str) -> float:
    [seen] = by_hand(site).describe_spot_fleet_requests(SpotFleetRequestIds=[fleet_id])["SpotFleetRequestConfigs"]
    return float(seen["CreateTime"].timestamp())


# Annexes that the lease function did not end.


def test_annexd_ends_an_annex_that_three_runs_did_not_end(site: Site, living: str) -> None:
    early = look(site, ahead_s=LATE_S - 120)
    assert (early.overdue, early.ended, writes(site)) == (frozenset(), (), [])
    report = look(site, ahead_s=LATE_S)
    assert report.overdue == {living}
    assert report.ended == (f"{living} was overdue, since the lease function did not end it: annexd has ended it",)
    site.check_nothing_left()
    assert look(site, ahead_s=LATE_S).ended == ()


@pytest.mark.parametrize("variant", ["acted-upon", "refused", "no-effect"])
def test_a_fleet_that_was_cancelled_without_its_instances_is_ended_in_each_variant(
    site: Site, living: str, variant: str
) -> None:
    site.cloud.behave(second_cancel=variant)
    by_hand(site).cancel_spot_fleet_requests(SpotFleetRequestIds=[living], TerminateInstances=False)
    assert look(site).overdue == frozenset()
    assert look(site, ahead_s=LATE_S).overdue == {living}
    site.check_nothing_left()
    site.cloud.behave(second_cancel="acted-upon")


def test_a_moved_end_is_the_one_that_counts(site: Site, living: str) -> None:
    tag(site, living, end=utc(time.time() + 5000))
    assert look(site, ahead_s=LATE_S).overdue == frozenset()
    tag(site, living, end=utc(time.time() - OVERDUE_S - 60))
    assert look(site).overdue == {living}


def test_a_cancelled_annex_is_overdue_from_its_cancellation_on(site: Site, living: str) -> None:
    assert look(site, ahead_s=OVERDUE_S + 60, cancelled={"annex-2": time.time()}).overdue == frozenset()
    assert look(site, ahead_s=OVERDUE_S - 60, cancelled={"annex-1": time.time()}).overdue == frozenset()
    tag(site, living, cancelled=utc(time.time()))
    assert look(site, ahead_s=OVERDUE_S + 60).overdue == {living}


def test_a_cancellation_that_only_the_journal_knows_counts_too(site: Site, living: str) -> None:
    assert look(site, ahead_s=OVERDUE_S + 60, cancelled={"annex-1": time.time()}).overdue == {living}


def test_the_reconciler_leaves_a_running_workflow_alone(site: Site, living: str) -> None:
    report = look(site, busy={"annex-1"}, ahead_s=LATE_S)
    assert (report.overdue, set(report.fleets), writes(site)) == (frozenset(), {living}, [])


def test_one_annex_that_cannot_be_ended_keeps_no_other_from_it(site: Site, living: str) -> None:
    fleet(site, "annex-2", lease_s=1000)
    site.cloud.fault("CancelSpotFleetRequests", "denied")
    report = look(site, ahead_s=LATE_S)
    assert (len(report.overdue), len(report.ended), len(report.faults)) == (2, 1, 1)
    assert "is overdue: CancelSpotFleetRequests" in report.faults[0]
    assert "was denied" in report.faults[0]
    assert len(look(site, ahead_s=LATE_S).ended) == 1
    del living


# Fleets that are in no list.


def test_an_annex_of_several_fleets_is_seen_by_those_that_live(site: Site) -> None:
    ended, unlisted = fleet(site, "annex-7", lease_s=1000), fleet(site, "annex-7", lease_s=1000)
    by_hand(site).cancel_spot_fleet_requests(SpotFleetRequestIds=[ended], TerminateInstances=True)
    stamp(site, unlisted, "annex-7", time.time() + 1000)
    site.cloud.forget_fleet(unlisted)
    wait_for(lambda: instances_of(site, ended) == [], "the end of the first fleet")
    [annex] = look(site).annexes
    assert (annex.fleet_id, annex.instances) == (unlisted, 2)


def test_stamped_instances_of_a_fleet_that_is_gone_are_seen_and_ended(site: Site, living: str) -> None:
    end_s = int(time.time()) + 1000
    stamp(site, living, "annex-1", end_s)
    site.cloud.forget_fleet(living)
    report = look(site)
    [annex] = report.annexes
    assert (annex.annex_id, annex.fleet_id, annex.instances, annex.ordered_end_s) == ("annex-1", living, 2, None)
    assert annex.end_of_lease_s == end_s
    assert (report.overdue, writes(site)) == (frozenset(), [])
    ended = look(site, ahead_s=LATE_S)
    assert (set(ended.overdue), ended.faults) == ({living}, ())
    wait_for(lambda: site.cloud.running_instances() == [], "its instances to be gone")


@pytest.mark.parametrize("written", [{"id": "annex-1"}, {"fleet": "sfr-of-another", "id": "annex-1"}, {"fleet": "own"}])
def test_instances_without_a_whole_stamp_of_their_own_fleet_are_spared(
    site: Site, living: str, written: dict[str, str]
) -> None:
    """Tags can be copied, to a template or from another instance; the one that AWS sets cannot."""
    values = {key: living if value == "own" else value for key, value in written.items()}
    for instance_id in instances_of(site, living):
        tag(site, instance_id, end=utc(time.time() - 5000), **values)
    site.cloud.forget_fleet(living)
    site.cloud.clear_audit()
    report = look(site, ahead_s=100_000)
    assert (report.instances, report.annexes, writes(site)) == (frozenset(), (), [])


def test_foreign_instances_with_copied_stamps_are_spared(site: Site) -> None:
    foreign = request(by_hand(site), 2)
    stamp(site, foreign, "annex-1", time.time() - 5000)
    site.cloud.clear_audit()
    report = look(site, ahead_s=100_000)
    assert (report.instances, report.overdue, writes(site)) == (frozenset(), frozenset(), [])


def test_a_fleet_that_a_list_leaves_out_is_asked_for_by_its_id(site: Site, living: str) -> None:
    """Its stamp may be outdated: the lease may have been extended, and the lease function dead since then."""
    stamp(site, living, "annex-1", time.time() + 1000)
    tag(site, living, end=utc(time.time() + 50_000))
    site.cloud.fault("DescribeSpotFleetRequests", "omit", matching=living, times=1)
    report = look(site, ahead_s=LATE_S)
    assert (report.overdue, set(report.fleets), writes(site)) == (frozenset(), {living}, [])


@pytest.mark.parametrize("kind", ["denied", "internal"])
def test_an_unreadable_fleet_of_stamped_instances_proves_nothing(site: Site, living: str, kind: str) -> None:
    stamp(site, living, "annex-1", time.time() + 1000)
    site.cloud.fault("DescribeSpotFleetRequests", "omit", matching=living, times=1)
    site.cloud.fault("DescribeSpotFleetRequests", kind, skip=1)
    with pytest.raises(Exception, match="DescribeSpotFleetRequests"):
        look(site, ahead_s=LATE_S)
    assert writes(site) == []


# Fleets that are not annexd's, or cannot be read.


OLD = [{"Key": "htcondor:annex-lease-end", "Value": "2020-01-01T00:00:00Z"}]
LOOK_ALIKES: dict[str, Callable[[Site], object]] = {
    "a token of another form": lambda site: fleet(site, "annex-1", 0, token=f"annex-1_{secrets.token_hex(8)}"),
    "a token with a duration": lambda site: fleet(site, "annex-1", 0, token="annex-1_0000003600_0123456789abcdef"),
    "a copy of our request": lambda site: fleet(site, "annex-1", 0, token=secrets.token_hex(8)),
    "a fleet with our tags only": lambda site: fleet(site, "annex-1", 0, token="mine", its_tags=OLD),
}


@pytest.mark.parametrize("kind", LOOK_ALIKES)
def test_look_alikes_are_never_touched(site: Site, kind: str) -> None:
    LOOK_ALIKES[kind](site)
    site.cloud.clear_audit()
    report = look(site, ahead_s=100_000)
    assert (report.fleets, report.instances, report.annexes, writes(site)) == (frozenset(), frozenset(), (), [])


@pytest.mark.parametrize("its_tags", [[], tags("annex-of-others", "eve", 1_700_000_000)], ids=["none", "another's"])
def test_tags_say_nothing_of_whose_fleet_it_is(site: Site, its_tags: Any) -> None:
    """Its token does, and nobody can change that afterwards."""
    fleet_id = fleet(site, "annex-1", 1000, its_tags=its_tags or [{"Key": "project", "Value": "x"}])
    [annex] = look(site).annexes
    assert (annex.annex_id, annex.fleet_id) == ("annex-1", fleet_id)


def test_an_unreadable_account_is_reported_and_left_alone(site: Site, living: str) -> None:
    for operation in ("DescribeSpotFleetRequests", "DescribeInstances"):
        site.cloud.fault(operation, "denied")
        with pytest.raises(Refused, match=f"{operation} was denied"):
            look(site, ahead_s=LATE_S)
    assert writes(site) == []
    del living


# The lease function.


def test_a_lease_function_that_takes_no_orders_is_reported_and_the_annexes_are_seen(site: Site, living: str) -> None:
    functions = site.cloud.client("lambda", BYSTANDER)
    functions.put_function_concurrency(FunctionName=site.arn, ReservedConcurrentExecutions=0)
    report = look(site)
    functions.delete_function_concurrency(FunctionName=site.arn)
    assert "its reserved concurrency is 0" in report.enforcer.fault
    assert (report.enforcer.receipt, set(report.fleets)) == (None, {living})
    assert look(site).enforcer.fault == ""


def test_a_silent_lease_function_is_reported(site: Site) -> None:
    assert re.search(r"was last called by its rule 2\d minutes ago", look(site, ahead_s=1200).enforcer.fault)
    assert "last called" not in look(site).enforcer.fault


def test_annexes_that_it_could_not_end_cause_a_warning(site: Site, living: str) -> None:
    tag(site, living, end=utc(time.time() - 3 * 300 - 60))
    for operation in ("CancelSpotFleetRequests", "TerminateInstances"):
        site.cloud.fault(operation, "error", code="IncorrectState", times=1000)
    site.beat()
    site.cloud.clear_faults()
    enforcer = look(site).enforcer
    assert "could not end 3 fleets or instances that are over" in enforcer.warning
    assert living in enforcer.warning


def test_the_end_of_support_is_of_the_deployed_runtime(site: Site) -> None:
    assert look(site, today=date(2026, 11, 22)).enforcer.warning == ""
    assert "support of python3.13" in look(site, today=date(2029, 6, 1)).enforcer.warning


def test_annexds_own_target_has_every_endpoint_that_is_configured() -> None:
    urls = {
        "ec2_url": "http://e",
        "lambda_url": "http://l",
        "s3_url": "http://s",
        "sts_url": "http://t",
        "logs_url": "http://g",
        "ssm_url": "http://m",
    }
    arn = "arn:aws:lambda:us-east-1:123456789012:function:lease"
    target = own_target(
        Defaults(
            ec2_url="http://e",
            lambda_url="http://l",
            s3_url="http://s",
            sts_url="http://t",
            logs_url="http://g",
            ssm_url="http://m",
            lease_function_arn=arn,
            allow_default_credentials=True,
        )
    )
    assert target is not None
    assert asdict(target.endpoints) == urls | {"region": "us-east-1"}
    assert own_target(Defaults(lease_function_arn=arn)) is None, "keys that are not lent"
