"""The pool's quotas, priorities and limits as seen by separate negotiators for machines that do not exist.

docs/demand.md has these results for administrators.  Each test is an experiment with stock daemons: if a release of
HTCondor behaves otherwise, the page is no longer true, and the test fails.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from test.demand.ghosts import Ghost, GhostNegotiator, GhostPool
from test.whole import WHOLE

LIGHT = "0.0001 * Cpus"
QUOTAS = """
GROUP_NAMES = group_fixed, group_share
GROUP_QUOTA_group_fixed = 3
GROUP_QUOTA_DYNAMIC_group_share = 0.25
LICENCE_LIMIT = 3
"""
pytestmark = WHOLE  # minutes of negotiation cycles: make demand
GPU_JOBS = "(RequestGPUs ?: 0) > 0"


@pytest.fixture(scope="module")
def one_pool() -> Iterator[GhostPool]:
    negotiators = [GhostNegotiator("small", "small"), GhostNegotiator("gpu", "gpu", jobs=GPU_JOBS)]
    with GhostPool([*negotiators, GhostNegotiator("big", "big")], QUOTAS, cores=4) as pool:
        yield pool


@pytest.fixture
def pool(one_pool: GhostPool) -> Iterator[GhostPool]:
    yield one_pool
    one_pool.clear()


def test_a_group_gets_ghosts_up_to_its_quota(pool: GhostPool) -> None:
    within, beyond = pool.submit(2, "alice"), pool.submit(5, "bob", "group_fixed", request_memory=2)
    pool.expect("small", {within: 2, beyond: 3}, Ghost("eight", "small"))


def test_a_quota_is_not_seen_with_ghosts_that_weigh_almost_nothing(pool: GhostPool) -> None:
    beyond = pool.submit(5, "bob", "group_fixed")
    pool.expect("small", {beyond: 5}, Ghost("light", "small", weight=LIGHT))


def test_the_real_machines_of_a_group_count_in_its_quota(pool: GhostPool) -> None:
    pool.run_for_real(2, "bob", "group_fixed")
    beyond = pool.submit(5, "bob", "group_fixed")
    pool.expect("small", {beyond: 1}, Ghost("eight", "small"))


def test_a_share_of_the_pool_is_a_share_of_the_ghosts_less_the_fixed_quotas(pool: GhostPool) -> None:
    """The share is (8 - 3) / 4 of one machine and (16 - 3) / 4 of two: the pool's own machines do not count."""
    cluster = pool.submit(9, "bob", "group_share")
    pool.expect("small", {cluster: 1}, Ghost("eight", "small"))
    pool.expect("small", {cluster: 3}, Ghost("another", "small"), Ghost("eight", "small"))


def test_the_factors_of_users_are_the_pools_own_and_can_be_copied(pool: GhostPool) -> None:
    """The ghost has nine cores, since half of eight may be a little more or less than four."""
    light, heavy = pool.submit(9, "alice"), pool.submit(9, "zoe", request_memory=2)
    pool.set_priority("", "-setfactor", "zoe", 1_000_000)
    pool.expect("small", {light: 4, heavy: 4}, Ghost("nine", "small", cpus=9))
    pool.set_priority("small", "-setfactor", "zoe", 1_000_000)
    pool.expect("small", {light: 8, heavy: 1}, Ghost("nine", "small", cpus=9))  # everybody gets one


def test_the_ceilings_of_users_are_copied_too(pool: GhostPool) -> None:
    cluster = pool.submit(8, "carol")
    pool.set_priority("", "-setceiling", "carol", 2)
    pool.expect("small", {cluster: 8}, Ghost("eight", "small"))
    pool.set_priority("small", "-setceiling", "carol", 2)
    pool.expect("small", {cluster: 2}, *(Ghost(f"two{n}", "small", cpus=2) for n in range(4)))


def test_a_ceiling_below_the_smallest_ghost_stops_its_user_altogether(pool: GhostPool) -> None:
    """The negotiator compares the rest of the ceiling with the weight of the smallest machine, before any is split."""
    pool.submit(8, "carol")
    pool.set_priority("small", "-setceiling", "carol", 2)
    pool.expect("small", {}, Ghost("eight", "small"))


def test_a_concurrency_limit_holds_with_what_runs_on_real_machines(pool: GhostPool) -> None:
    free = pool.submit(6, "alice", concurrency_limits="licence")
    pool.expect("small", {free: 3}, Ghost("eight", "small"))
    pool.run_for_real(2, "bob", concurrency_limits="licence")
    pool.expect("small", {free: 1}, Ghost("eight", "small"))


def test_each_negotiator_gives_a_limit_and_a_quota_once_more(pool: GhostPool) -> None:
    limited = pool.submit(8, "alice", concurrency_limits="licence")
    quota = pool.submit(8, "bob", "group_fixed", request_memory=2)
    pool.expect("small", {limited: 3, quota: 3}, Ghost("eight", "small"))
    pool.expect("big", {limited: 3, quota: 3}, Ghost("sixteen", "big", cpus=16))


def test_users_with_the_same_jobs_share_an_autocluster_and_cannot_be_distinguished(pool: GhostPool) -> None:
    alice, bob = pool.submit(3, "alice"), pool.submit(3, "bob")
    pool.advertise(Ghost("eight", "small"))
    records = pool.wait_for(lambda: pool.matched()["eight"].records, "matches")
    pool.wait_for(lambda: {alice, bob} <= pool.autoclusters().keys(), "the negotiator to ask about the jobs of both")
    known = pool.autoclusters()
    assert {known[alice], known[bob]} == {each.autocluster for each in records} == {known[bob]}


def test_a_negotiator_matches_the_ghosts_and_jobs_of_its_own_offer_alone(pool: GhostPool) -> None:
    plain, gpu = pool.submit(1, "alice"), pool.submit(1, "bob", request_gpus=1)
    pool.expect("small", {plain: 1}, Ghost("eight", "small"))
    pool.expect("gpu", {gpu: 1}, Ghost("accelerated", "gpu", gpus=4))
    pool.expect("gpu", {}, Ghost("unowned", "none", gpus=4))


def test_the_pools_own_negotiator_counts_no_ghost(pool: GhostPool) -> None:
    pool.run_for_real(1, "dora")
    pool.submit(4, "dora")
    pool.advertise(Ghost("eight", "small"))
    pool.wait_for(lambda: pool.in_use("small", "dora") > 1, "the ghost negotiator to charge for ghosts")
    pool.wait_for(lambda: pool.in_use("", "dora") == 1, "the pool's own negotiator to charge for what runs")
    pool.wait_for_cycles(1, "")
    assert pool.in_use("", "dora") == 1


def test_a_negotiators_name_is_its_local_name_whatever_negotiator_name_says(pool: GhostPool) -> None:
    names = pool.tool("condor_status", "-negotiator", "-af", "Name").stdout.split()
    locals_ = {f"NEGOTIATOR_{name}" for name in ("SMALL", "BIG", "GPU")}
    assert {name.partition("@")[0] for name in names} == {"main", *locals_}


def test_series_25_offers_20_jobs_of_a_user_and_series_23_all(pool: GhostPool) -> None:
    flood = pool.submit(30, "alice")
    is_limited = pool.htcondor.version.startswith("25.")
    pool.expect("big", {flood: 20 if is_limited else 30}, Ghost("large", "big", cpus=64))


def test_jobs_behind_the_limit_are_seen_by_a_negotiator_that_asks_for_them_alone(pool: GhostPool) -> None:
    pool.submit(30, "alice")
    hidden = pool.submit(2, "alice", request_gpus=1)
    pool.expect("gpu", {hidden: 2}, Ghost("accelerated", "gpu", gpus=4, start="(TARGET.RequestGPUs ?: 0) > 0"))
