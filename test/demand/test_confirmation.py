"""Confirmation by the pool's own rules through ghosts, in a pool configured by `condor_annex -demand-config`."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from annexd.demand.confirmation import limit_once
from annexd.demand.ghost_ad import Ghost
from annexd.demand.ghost_negotiators import JobClause
from test.demand.confirmed import ConfirmingPool, Watch
from test.pool import DOMAIN
from test.pool.htcondor import TOP
from test.whole import WHOLE

RUNNING = 2  # JobStatus, proc.h
IDLE_AGE_S = 15
GPU_JOBS = "(RequestGPUs ?: 0) > 0"
OFFERS = {
    "small": JobClause("true", 1),
    "big": JobClause("true", 1),
    "gpu": JobClause(GPU_JOBS, 1),
    "other": JobClause("JobUniverse == 5", 1),
    "patient": JobClause("true", IDLE_AGE_S),
}
OF_OTHER = OFFERS["other"].negotiator
CONFIG = f"""
include : {TOP}/config.d/80annex-machines
GROUP_NAMES = group_fixed
GROUP_QUOTA_group_fixed = 3
LICENCE_LIMIT = 3
{OF_OTHER}.ALLOW_ADMINISTRATOR = nobody@else.where
"""


@pytest.fixture(scope="module")
def one_pool() -> Iterator[ConfirmingPool]:
    with ConfirmingPool(OFFERS, CONFIG, cores=4) as pool:
        yield pool


@pytest.fixture
def pool(one_pool: ConfirmingPool) -> Iterator[ConfirmingPool]:
    yield one_pool
    one_pool.clear()


@pytest.fixture
def watch(pool: ConfirmingPool) -> Iterator[Watch]:
    with Watch(pool) as watch:
        yield watch


def ghosts(offer: str, ad: str, count: int = 1) -> list[Ghost]:
    return [Ghost(offer, index, ad) for index in range(count)]


def test_the_plans_machines_are_confirmed_job_by_job(pool: ConfirmingPool, watch: Watch) -> None:
    wide, whole = pool.submit(5, request_cpus=3), pool.submit(2, request_cpus=8)
    watch.show(*ghosts("small", pool.photograph(), 5))
    found = watch.expect({"small": {wide: 5, whole: 2}})
    assert found.fault is None
    assert {schedd for schedd, _number in found.matches["small"]} == {pool.schedd_name()}


def test_nothing_is_confirmed_before_a_cycle_has_seen_the_ghosts(pool: ConfirmingPool, watch: Watch) -> None:
    pool.submit(1)
    began_s = int(time.time())
    watch.show(*ghosts("small", pool.photograph()))
    found = watch.read()
    assert found.fault is None
    assert found.cycles == 0 or time.time() >= began_s + 1, "a cycle that began later may count"
    assert watch.confirmed().cycles >= 1


def test_ghosts_do_not_keep_jobs_from_a_free_machine_of_the_pool(pool: ConfirmingPool, watch: Watch) -> None:
    """The pool's own negotiator prefers small machines, so if it saw these, it would never use the real one."""
    watch.show(*ghosts("small", pool.photograph(1), 3))
    watch.confirmed()
    cluster = pool.submit(3, "alice", "", **{"My.WantReal": True})
    running = [{"ClusterId": cluster, "JobStatus": RUNNING}] * 3
    pool.wait_for(lambda: pool.jobs("JobStatus") == running, "the jobs to run")
    assert "annex-ghost" not in pool.log("NEGOTIATOR")


def test_ghosts_of_a_killed_annexd_are_withdrawn_by_the_next_one(pool: ConfirmingPool) -> None:
    ad = pool.photograph()
    with Watch(pool) as killed:
        killed.show(*ghosts("small", ad, 3), *ghosts("big", ad))
    with Watch(pool) as next_one:
        next_one.show(*ghosts("small", ad))
        assert set(pool.ads()) == {"annex-ghost-small-0@annexd@annexd.test"}
        next_one.withdraw()
        assert not pool.ads()
    assert "annex-ghost" not in pool.tool("condor_status", "-startd", "-af", "Name").stdout  # series 25's daemon ads


def test_condor_userprio_and_schedds_find_the_pools_own_negotiator_alone(pool: ConfirmingPool) -> None:
    names = pool.tool("condor_status", "-negotiator", "-af", "Name").stdout.split()
    assert [name.partition("@")[0] for name in names] == ["main"]


@WHOLE
def test_an_answer_is_not_believed_once_its_jobs_are_gone(pool: ConfirmingPool, watch: Watch) -> None:
    """The negotiator leaves the old list in the ghost's ad."""
    cluster = pool.submit(3)
    ghost = ghosts("small", pool.photograph())
    watch.show(*ghost)
    watch.expect({"small": {cluster: 3}})
    pool.remove_jobs()
    watch.show(*ghost, state="one machine more is alive")
    found = watch.confirmed(cycles=2)
    assert pool.ads()["annex-ghost-small-0@annexd@annexd.test"]["OfflineMatches"]
    assert not found.matches["small"]


@WHOLE
def test_factors_and_ceilings_of_the_pools_negotiator_are_copied(pool: ConfirmingPool, watch: Watch) -> None:
    users = [f"user{number}" for number in range(11)]
    for number, user in enumerate(users):
        pool.userprio("-setfactor", user, 2000 + number)
    pool.userprio("-setceiling", "carol", 2)
    state = watch.copy_accounting()
    assert state.changed >= 3 * 12  # negotiators, users
    assert state.fault is not None
    assert state.fault.startswith(f"negotiator {OF_OTHER} does not take priority factors and ceilings: ")
    assert state.fault.count("ALLOW_ADMINISTRATOR") == 1, "the others take them"
    assert state.limited == {"group_fixed", f"carol@{DOMAIN}"}
    for offer in ("small", "gpu", "patient"):
        known = watch.standings(offer)
        assert [known[user].factor for user in users] == [2000 + number for number in range(11)]
    assert watch.copy_accounting().changed == 0
    cluster = pool.submit(8, "carol")
    watch.show(*ghosts("small", pool.photograph(2), 4))
    watch.expect({"small": {cluster: 2}})


@WHOLE
def test_a_group_gets_no_more_than_its_quota_with_what_it_has(pool: ConfirmingPool, watch: Watch) -> None:
    pool.run_for_real(2, "bob", "group_fixed")
    within, beyond = pool.submit(2, "alice"), pool.submit(5, "bob", "group_fixed", request_memory=2)
    watch.show(*ghosts("small", pool.photograph()))
    watch.expect({"small": {within: 2, beyond: 1}})


@WHOLE
def test_a_user_over_quota_gets_nothing(pool: ConfirmingPool, watch: Watch) -> None:
    pool.run_for_real(3, "bob", "group_fixed")
    within = pool.submit(2, "alice")
    pool.submit(5, "bob", "group_fixed", request_memory=2)
    watch.show(*ghosts("small", pool.photograph()))
    watch.expect({"small": {within: 2}})
    assert watch.confirmed(cycles=3).matches["small"].keys() == {(pool.schedd_name(), pool.autoclusters()[within])}


@WHOLE
def test_a_limit_that_two_negotiators_give_is_given_once(pool: ConfirmingPool, watch: Watch) -> None:
    limited, free = pool.submit(8, concurrency_limits="licence"), pool.submit(2, request_memory=2)
    ad = pool.photograph()
    watch.show(*ghosts("small", ad, 2), *ghosts("other", ad, 2))
    found = watch.expect({"small": {limited: 3, free: 2}, "other": {limited: 3, free: 2}})
    key = (pool.schedd_name(), pool.autoclusters()[limited])
    once = limit_once(found, {key: ["licence"]})
    assert sum(counts[key] for counts in once.values()) == 3
    assert sum(sum(counts.values()) for counts in once.values()) == 3 + 2 * 2


@WHOLE
def test_gpu_jobs_behind_many_others_of_the_user_are_seen(pool: ConfirmingPool, watch: Watch) -> None:
    plain = pool.submit(30)
    gpu = pool.submit(2, request_gpus=1)
    ad = pool.photograph(64)
    watch.show(*ghosts("small", ad), *ghosts("gpu", pool.photograph(8, gpus=4, start="(TARGET.RequestGPUs ?: 0) > 0")))
    is_limited = pool.htcondor.version.startswith("25.")
    found = watch.expect({"small": {plain: 20 if is_limited else 30}, "gpu": {gpu: 2}})
    users = {autocluster: {"nobody"} for counts in found.matches.values() for autocluster in counts}
    assert found.kept_back("small", users) == ({(pool.schedd_name(), "nobody")} if is_limited else set())
    assert not found.kept_back("gpu", users)


@WHOLE
def test_jobs_count_from_their_idle_age(pool: ConfirmingPool, watch: Watch) -> None:
    began_s = time.time()
    cluster = pool.submit(2)
    watch.show(*ghosts("patient", pool.photograph()))
    found = watch.confirmed()
    if time.time() < began_s + IDLE_AGE_S - 1:
        assert not found.matches["patient"]
    watch.expect({"patient": {cluster: 2}})
    assert time.time() >= began_s + IDLE_AGE_S - 1


@WHOLE
def test_users_are_not_charged_for_ghosts(pool: ConfirmingPool, watch: Watch) -> None:
    pool.run_for_real(1, "dora")
    cluster = pool.submit(4, "dora")
    watch.show(*ghosts("small", pool.photograph()))
    watch.expect({"small": {cluster: 4}})
    pool.wait_for_cycles(1, "")
    assert pool.in_use("", "dora") == 1


@WHOLE
def test_a_negotiator_that_is_off_is_a_fault_and_not_an_answer(pool: ConfirmingPool, watch: Watch) -> None:
    cluster = pool.submit(3)
    watch.show(*ghosts("small", pool.photograph()))
    watch.expect({"small": {cluster: 3}})
    name = OFFERS["small"].negotiator
    assert pool.tool("condor_off", "-fast", "-daemon", name).returncode == 0
    found = watch.fault()
    assert f"negotiator {name} does not answer" in str(found.fault)
    assert (found.cycles, dict(found.matches), set(found.faults)) == (0, {}, {"small"})
    assert pool.tool("condor_on", "-daemon", name).returncode == 0
    pool.wait_for(lambda: watch.read().fault is None, "the negotiator to answer")
    watch.expect({"small": {cluster: 3}})


@WHOLE
def test_a_collector_that_has_lost_the_ghosts_is_a_fault_until_they_are_shown_again(
    pool: ConfirmingPool, watch: Watch
) -> None:
    cluster = pool.submit(3)
    ghost = ghosts("small", pool.photograph())
    watch.show(*ghost)
    watch.expect({"small": {cluster: 3}})
    pool.withdraw_ghosts()
    assert "has lost 1 of 1 machines" in str(watch.fault().fault)
    watch.show(*ghost)
    watch.expect({"small": {cluster: 3}})


@WHOLE
def test_a_negotiator_without_cycles_is_a_fault_in_time(pool: ConfirmingPool) -> None:
    with Watch(pool, stale_s=0.0) as impatient:
        impatient.show(*ghosts("small", pool.photograph()))
        found = impatient.fault()
    assert "has completed no cycle for 0 s" in str(found.fault)


@WHOLE
def test_a_collector_that_does_not_answer_is_a_fault(pool: ConfirmingPool) -> None:
    with Watch(pool, collector="127.0.0.1:1") as watch:
        found = watch.read()
    assert "127.0.0.1:1" in str(found.fault)


@WHOLE
def test_condor_preen_keeps_the_accountants(pool: ConfirmingPool) -> None:
    files = list((pool.directory / "spool").glob("AccountantAnnex*.log"))
    assert len(files) == len({clause.key for clause in OFFERS.values()})
    listed = pool.tool("condor_preen", "-verbose", "-remove").stdout
    assert all(file.exists() for file in files), listed
