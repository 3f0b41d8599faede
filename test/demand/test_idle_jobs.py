"""Idle jobs as the schedds count them, and their last known state while a schedd or collector does not respond."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from annexd.condor import bindings
from annexd.daemoncore.pool.outbound import OutboundFailed
from annexd.demand import idle_jobs
from annexd.demand.idle_jobs import (
    KEPT_S,
    Directory,
    IdleGroup,
    Numbering,
    QueuePicture,
    ScheddAd,
    ScheddAnswer,
    ScheddFault,
    ScheddPicture,
    after_answer,
    after_round,
    without_collector,
)
from annexd.demand.job_groups import GroupRow, fairest, rows_of
from annexd.demand.job_place import JobPlace, place_of
from annexd.demand.pool_watch import PoolWorkers, QueueQuestion, fault_of
from test.demand import fragile_worker
from test.demand.ghosts import Ghost, GhostNegotiator
from test.demand.schedds import CuttingRelay, TwoSchedds
from test.pool import DOMAIN

NOW_S, INTERVAL_S = 1_000_000.0, 60.0
OLD_S = NOW_S - 3600
SCHEDD = ScheddAd("submit", "<10.0.0.1:9618>", OLD_S, NOW_S + 900)
SETTLED = Directory((SCHEDD,), OLD_S)
NOW = QueueQuestion(idle_age_s=0, interval_s=0.01)  # for pools that were started a moment ago


def group(count: int = 3, autocluster: int = 7, kind: str = "a", schedd: str = "submit") -> IdleGroup:
    key = idle_jobs.key_of(schedd, autocluster, "alice@test")
    return IdleGroup(key, schedd, autocluster, "alice@test", count, NOW_S - 300, "1.0", "[ RequestCpus = 1 ]", kind)


def answered(before: ScheddPicture | None, *groups: IdleGroup, at_s: float = NOW_S) -> ScheddPicture:
    return after_answer(before, SCHEDD, ScheddAnswer(groups), at_s, INTERVAL_S)


def picture(*schedds: ScheddPicture, at_s: float = NOW_S) -> QueuePicture:
    return after_round(QueuePicture(), SETTLED, schedds, at_s, INTERVAL_S)


# The known state.


def test_a_schedd_that_does_not_answer_keeps_its_groups_and_nothing_is_ordered_for_them() -> None:
    good = answered(None, group())
    late = after_answer(good, SCHEDD, ScheddFault("no answer within 30 s"), NOW_S + 60, INTERVAL_S)
    assert (late.groups, late.asked_s, late.fault) == (good.groups, NOW_S, "no answer within 30 s")
    found = picture(late, at_s=NOW_S + 60)
    assert found.is_complete(NOW_S + 60)
    assert [each.count for each in found.groups()] == [3]
    assert found.may_order_for(NOW_S + 60) == frozenset()


def test_a_fault_at_one_schedd_stops_no_order_for_the_jobs_of_another() -> None:
    other = replace(SCHEDD, name="other")
    failed = after_answer(None, other, ScheddFault("no answer"), NOW_S, INTERVAL_S)
    assert picture(answered(None, group()), failed).may_order_for(NOW_S) == {group().key}


def test_an_answer_without_jobs_is_one() -> None:
    empty = answered(answered(None, group()), at_s=NOW_S + 60)
    assert (empty.groups, empty.fault) == ((), None)


def test_groups_without_an_answer_for_an_hour_no_longer_keep_machines_from_others() -> None:
    good = answered(None, group())
    late = after_answer(good, SCHEDD, ScheddFault("no answer"), NOW_S + KEPT_S + 1, INTERVAL_S)
    assert late.groups == ()


def test_an_answer_older_than_three_intervals_decides_nothing() -> None:
    found = picture(answered(None, group()))
    assert found.is_complete(NOW_S + 180)
    assert found.may_order_for(NOW_S + 180) == {group().key}
    assert not found.is_complete(NOW_S + 181)
    assert found.may_order_for(NOW_S + 181) == frozenset()


def test_a_schedd_that_has_just_started_is_not_believed() -> None:
    good = answered(None, group())
    restarted = replace(SCHEDD, started_s=NOW_S + 50)
    found = after_answer(good, restarted, ScheddAnswer(()), NOW_S + 60, INTERVAL_S)
    assert (found.groups, found.fault) == (good.groups, "it started 10 s ago")
    later = after_answer(found, restarted, ScheddAnswer(()), NOW_S + 170, INTERVAL_S)
    assert (later.groups, later.fault) == ((), None)


def test_new_numbers_of_autoclusters_are_a_fault_for_one_interval() -> None:
    good = answered(None, group(autocluster=7, kind="a"), group(autocluster=8, kind="b"))
    renumbered = answered(good, group(autocluster=7, kind="b"), at_s=NOW_S + 60)
    assert renumbered.fault == "its autoclusters have new numbers"
    assert answered(renumbered, group(autocluster=7, kind="b"), at_s=NOW_S + 120).fault is None


def test_confirmations_of_old_numbers_are_void_once_after_a_restart_or_new_numbers() -> None:
    numbering, good = Numbering(), answered(None, group(autocluster=7, kind="a"))
    assert numbering.changes([good]) == 0
    assert numbering.changes([good, replace(good, name="another", numbered_s=NOW_S)]) == 0, "a schedd that is new"
    restarted = replace(SCHEDD, started_s=NOW_S + 50)
    young = after_answer(good, restarted, ScheddAnswer(()), NOW_S + 60, INTERVAL_S)
    assert numbering.changes([young]) == 1
    known = after_answer(young, restarted, ScheddAnswer((group(autocluster=7, kind="a"),)), NOW_S + 180, INTERVAL_S)
    assert numbering.changes([known]) == 1
    after = after_answer(known, restarted, ScheddAnswer((group(autocluster=7, kind="b"),)), NOW_S + 240, INTERVAL_S)
    assert numbering.changes([known, after]) == 2, "as one of two questions shows it"
    assert numbering.changes([after, after]) == 2


def test_a_group_that_comes_back_under_another_number_is_no_fault() -> None:
    good = answered(None, group(autocluster=7, kind="a"))
    assert answered(good, group(autocluster=12, kind="a"), at_s=NOW_S + 60).fault is None


def test_a_group_keeps_the_time_since_which_it_waits() -> None:
    later = replace(group(), oldest_s=NOW_S - 240)
    assert answered(answered(None, group()), later, at_s=NOW_S + 60).groups[0].oldest_s == NOW_S - 300


def test_a_schedd_that_vanished_is_a_fault_until_its_ad_would_have_expired() -> None:
    before = picture(answered(None, group()))
    gone = after_round(before, Directory((), OLD_S), [], NOW_S + 60, INTERVAL_S)
    assert [each.fault for each in gone.schedds] == ["the collector no longer shows it"]
    assert list(gone.groups()) == [group()]
    assert after_round(gone, Directory((), OLD_S), [], NOW_S + 900, INTERVAL_S).schedds == ()


def test_without_a_collector_everything_is_kept_and_nothing_is_decided() -> None:
    before = picture(answered(None, group()))
    found = without_collector(before, "cm: no answer", NOW_S + 60, INTERVAL_S)
    assert (found.schedds, found.fault, found.asked_s) == (before.schedds, "cm: no answer", NOW_S)
    assert not found.is_complete(NOW_S + 60)


def test_a_collector_that_has_just_started_does_not_make_schedds_vanish() -> None:
    before = picture(answered(None, group()))
    found = after_round(before, Directory((), NOW_S + 1000), [], NOW_S + 1001, INTERVAL_S)
    assert found.fault == "the collector started 1 s ago"
    assert list(found.groups()) == [group()]
    assert not found.is_complete(NOW_S + 1001)


def test_a_refusal_is_a_state_of_its_own() -> None:
    refused = fault_of(
        'Failed to fetch ads from schedd, errmsg=SECMAN:2010:Received "DENIED" from server for user a@b.'
    )
    assert refused.is_refused
    assert "ALLOW_READ" in refused.text
    assert not fault_of("Failed to fetch ads from schedd, errmsg=").is_refused
    assert fault_of("Failed to fetch ads from schedd, errmsg=").text == "the connection ended before the answer did"


def test_a_user_with_very_many_kinds_of_jobs_hides_no_other_user() -> None:
    many = [GroupRow(n, "mallory", 1000, f"{n}.0", "[]", "", []) for n in range(50)]
    few = [GroupRow(100 + n, "alice", 1, f"{100 + n}.0", "[]", "", []) for n in range(3)]
    kept = fairest(many + few, most=10)
    assert [row.user for row in kept].count("alice") == 3
    assert len(kept) == 10


def test_an_accounting_group_of_thousands_of_characters_is_left_out_and_shown_in_part() -> None:
    groups = ["physics", "x" * 50_000]
    text = '[ User = "alice@test"; AccountingGroup = "{}"; JobCount = 2; JobIds = "1.0 1.1"; Requirements = true ]'
    found = rows_of("ap", [bindings.parse_ad(text.format(each)) for each in groups], None)
    assert [row.user for row in found.rows] == ["physics@test"]
    assert found.left_out is not None
    assert found.left_out.startswith("2 jobs of xxx")
    assert len(found.left_out) < 1000


def test_a_job_that_lacks_what_most_have_hides_no_other() -> None:
    text = '[ User = "{}@test"; JobCount = 2; JobIds = "1.0 1.1" {}]'
    whole = "; Requirements = TARGET.HasCVMFS; RequestCpus = 1; RequestMemory = 2"
    ads = [bindings.parse_ad(text.format(*each)) for each in (("mallory", ""), ("alice", whole))]
    found = rows_of("ap", ads, None)
    assert {row.user for row in found.rows} == {"mallory@test", "alice@test"}
    assert found.refers_to == {"HasCVMFS"}


# A job's place.


def job(**changed: object) -> dict[str, object]:
    usual = {"JobStatus": 1, "JobUniverse": 5, "EnteredCurrentStatus": NOW_S - 400, "User": "alice@test"}
    return {**usual, "AutoClusterId": 7, **changed}


@pytest.mark.parametrize(
    ("changed", "why_not"),
    [
        ({"JobStatus": 2}, "the job runs"),
        ({"JobStatus": 5, "HoldReason": "by alice"}, "the job is held: by alice"),
        ({"JobUniverse": 7}, "no negotiator seeks a machine for a job of universe 7"),
        ({"EnteredCurrentStatus": NOW_S - 100}, "the job is idle for 100 s and counts in 200 s (IDLE_AGE 300)"),
        ({"Requirements": "x" * 70_000}, "its Requirements have 70000 characters, and no more than 64000 are read"),
    ],
)
def test_why_a_job_does_not_count_yet(changed: dict[str, object], why_not: str) -> None:
    assert place_of("submit", job(**changed), 300, NOW_S) == JobPlace(None, why_not)


def test_a_job_that_counts_names_its_group() -> None:
    assert place_of("submit", job(), 300, NOW_S) == JobPlace("submit#7#alice@test")
    grouped = place_of("submit", job(AccountingGroup="physics.bob"), 300, NOW_S)
    assert grouped == JobPlace("submit#7#physics.bob@test")


# A real pool.


@pytest.fixture(scope="module")
def pool() -> Iterator[TwoSchedds]:
    with TwoSchedds([GhostNegotiator("small", "small")]) as pool:
        pool.submit(3)
        pool.submit(2, "bob", request_memory=2, concurrency_limits="Disks:2, net", **{"My.WantAnnex": "true"})
        held = pool.submit(1)
        pool.tool("condor_hold", str(held))
        pool.submit_to(pool.second, 4, universe="local")
        pool.submit_to(pool.second, 2, request_memory=3)
        yield pool


def counts(found: QueuePicture) -> dict[tuple[str, str], int]:
    totals: dict[tuple[str, str], int] = {}
    for each in found.groups():
        place = each.schedd.partition("@")[0], each.user.partition("@")[0]
        totals[place] = totals.get(place, 0) + each.count
    return totals


def test_idle_jobs_of_all_schedds_and_users_are_counted_and_no_others(pool: TwoSchedds) -> None:
    found = pool.ask(NOW)
    first = pool.first.partition("@")[0]
    user = pool.second and next(each.user for each in found.groups() if each.schedd == pool.second)
    assert counts(found) == {(first, "alice"): 3, (first, "bob"): 2, ("second", user.partition("@")[0]): 2}
    assert [each.fault for each in found.schedds] == [None, None]
    assert {"Arch", "Memory", "Disk"} <= found.refers_to()


def test_a_group_names_the_autocluster_of_a_ghosts_record_and_has_what_its_requirements_need(pool: TwoSchedds) -> None:
    pool.advertise(Ghost("plain", "small", packs=False, start="TARGET.WantAnnex =?= true"))
    [record] = pool.wait_for_matches("small", 1)["plain"].records
    found = pool.ask(NOW)
    [bobs] = [each for each in found.groups() if each.user.startswith("bob@")]
    assert (record.autocluster, record.count) == (bobs.autocluster, bobs.count)
    assert record.scheduler == found.by_name[bobs.schedd].address
    assert "RequestMemory = 2" in bobs.ad
    assert "FileSystemDomain" in bobs.ad
    assert bobs.limits == ("disks", "net")


def test_jobs_that_differ_in_what_a_machine_reads_of_them_are_in_different_groups(pool: TwoSchedds) -> None:
    machine = "[ Requirements = Start; Start = TARGET.Shift =?= MY.Shift; Shift = 1 ]"
    cluster = pool.submit(2, "carol", **{"My.Shift": "$(ProcId)"})
    [carols] = [each for each in pool.ask(NOW).groups() if each.user.startswith("carol@")]
    assert (carols.count, carols.first_job) == (2, f"{cluster}.0")
    apart = [each for each in pool.ask(replace(NOW, machines=(machine,))).groups() if each.user.startswith("carol@")]
    assert sorted(each.ad.count("Shift = 1") for each in apart) == [0, 1]
    assert len({each.key for each in apart}) == 2
    without_start = pool.ask(replace(NOW, machines=("[ Cpus = 4; Memory = 8000 ]", machine)))
    assert [each.fault for each in without_start.schedds] == [None, None], "an AD may say less than a machine does"
    assert {each.ad for each in without_start.groups()} >= {each.ad for each in apart}


def test_a_schedd_of_another_pool_counts_for_the_users_whose_jobs_flock_here(pool: TwoSchedds) -> None:
    address = pool.ask(NOW).by_name[pool.first].address
    names = {"Name": f"alice@{DOMAIN}", "ScheddName": "elsewhere", "ScheddIpAddr": address, "MyAddress": address}
    ad = "\n".join(f'{name} = "{text}"' for name, text in ({"MyType": "Submitter"} | names).items())
    assert pool.tool("condor_advertise", "UPDATE_SUBMITTOR_AD", stdin=f"{ad}\nIdleJobs = 3\n").returncode == 0
    found = pool.wait_for(lambda: pool.ask(NOW).by_name.get("elsewhere"), "the schedd of another pool")
    assert [(each.user, each.count) for each in found.groups] == [(f"alice@{DOMAIN}", 3)]
    invalidation = 'MyType = "Query"\nTargetType = "Submitter"\nRequirements = ScheddName == "elsewhere"\n'
    pool.tool("condor_advertise", "INVALIDATE_SUBMITTOR_ADS", stdin=invalidation)
    pool.wait_for(lambda: "elsewhere" not in pool.ask(NOW).by_name, "its ad to be gone")


def test_only_jobs_of_some_offer_and_of_the_age_are_counted(pool: TwoSchedds) -> None:
    clauses = ("WantAnnex", "error", "WantAnnex =?= 17")
    assert [each.user.partition("@")[0] for each in pool.ask(replace(NOW, jobs=clauses)).groups()] == ["bob"]
    assert list(pool.ask(replace(NOW, idle_age_s=3600)).groups()) == []


def test_a_stopped_schedd_delays_no_other_and_keeps_what_it_said(pool: TwoSchedds) -> None:
    async def run(workers: PoolWorkers) -> tuple[QueuePicture, float]:
        watch = pool.watch(workers, NOW, query_s=15.0)  # the bindings themselves give up after 20 s
        before = await watch.ask()
        os.kill(pid, signal.SIGSTOP)
        try:
            began_s = time.monotonic()
            after = await watch.ask()
            assert [each.groups for each in after.schedds] == [each.groups for each in before.schedds]
            return after, time.monotonic() - began_s
        finally:
            os.kill(pid, signal.SIGCONT)

    pid = pool.pid("SECOND")
    found, took_s = pool.with_workers(run)
    assert {each.name: each.fault for each in found.schedds} == {
        pool.first: None,
        pool.second: "no answer within 15 s",
    }
    assert took_s < 45


def test_a_job_with_a_huge_ad_is_left_out_and_it_is_said_whose_it_is(pool: TwoSchedds) -> None:
    cluster = pool.submit(1, "erin", **{"My.Huge": f'"{"x" * 70_000}"', "requirements": "size(MY.Huge) > 1"})
    found = pool.ask(NOW)
    pool.tool("condor_rm", str(cluster))
    assert found.by_name[pool.first].left_out == f"1 jobs of erin@{DOMAIN}"
    assert not [each for each in found.groups() if each.user.startswith("erin@")]


def test_an_answer_that_is_cut_off_is_a_fault_and_never_a_shorter_list(pool: TwoSchedds) -> None:
    cluster = pool.submit(300, "dave", **{"My.Own": "$(ProcId)", "requirements": "MY.Own >= 0"})
    found = pool.ask(NOW)
    [known] = [each for each in found.schedds if each.name == pool.first]
    assert len(known.groups) > 300
    for after_bytes in (20_000, 60_000):
        with CuttingRelay(pool.port, after_bytes) as relay:
            address = re.sub(rf"127\.0\.0\.1(:|-){pool.port}", rf"127.0.0.1\g<1>{relay.port}", known.address)
            with pytest.raises(OutboundFailed, match="Failed to fetch ads"):
                pool.with_workers(partial(_group_jobs, address))
            assert relay.passed == after_bytes
    pool.tool("condor_rm", str(cluster))


async def _group_jobs(address: str, workers: PoolWorkers) -> object:
    arguments = {"schedd": "submit", "address": address, "constraint": idle_jobs.constraint(["true"], 0)}
    lists: dict[str, object] = {"attributes": [], "machines": [], "clauses": [], "submitters": None}
    async with workers.one() as worker:
        return await worker.call("group_jobs", arguments | lists)


def test_ads_that_are_too_much_for_their_reader_cost_only_the_jobs_of_their_user(pool: TwoSchedds) -> None:
    huge = {"My.Huge": f'"$(ProcId){"x" * 2**20}"', "requirements": "size(MY.Huge) > 1"}
    first = pool.first
    cluster = pool.submit(20, "mallory", **huge)

    async def run(workers: PoolWorkers) -> QueuePicture:
        return await pool.watch(workers, NOW).ask()

    found = pool.with_workers(run, fragile_worker.__name__)
    pool.tool("condor_rm", str(cluster))
    assert found.by_name[first].fault is None
    assert found.by_name[first].left_out == f"the jobs of mallory@{DOMAIN}, whose ads cannot be read"
    assert {each.user for each in found.by_name[first].groups} >= {f"alice@{DOMAIN}", f"bob@{DOMAIN}"}


def test_a_schedd_that_refuses_says_so_and_one_that_started_again_is_not_believed_at_once(pool: TwoSchedds) -> None:
    second = pool.second
    pool.configure("SECOND.DENY_READ = *")
    refused = pool.wait_for(lambda: _state(pool.ask(NOW), second, "ALLOW_READ"), "a refusal")
    assert refused.is_refused
    pool.configure("SECOND.DENY_READ =")
    os.kill(pool.pid("SECOND"), signal.SIGKILL)
    patient = replace(NOW, interval_s=600.0)
    started = pool.wait_for(lambda: _state(pool.ask(patient), second, "it started"), "the schedd to start again")
    assert not started.groups
    assert pool.ask(patient).fault is not None  # the collector is as young
    pool.wait_for(lambda: pool.ask(NOW).by_name[second].groups, "its jobs")


def _state(found: QueuePicture, schedd: str, fault: str) -> ScheddPicture | None:
    known = found.by_name.get(schedd)
    return known if known is not None and known.fault is not None and fault in known.fault else None
