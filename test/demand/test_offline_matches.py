"""A negotiator's records in the ads of machines that do not exist, which no manual of HTCondor describes.

annexd learns from them what the pool's own negotiator would do with more machines.  If a release of HTCondor changes
any of this, a test here fails; docs/demand.md describes what depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from test.demand.ghosts import Ghost, GhostNegotiator, GhostPool, Matched, Record

IDLE = 1  # JobStatus, proc.h
MANY = {"WantAdRevaluate": "true", "GhostMultiplier": "50"}


@pytest.fixture(scope="module")
def one_pool() -> Iterator[GhostPool]:
    with GhostPool([GhostNegotiator("small", "small")]) as pool:
        yield pool


@pytest.fixture
def pool(one_pool: GhostPool) -> Iterator[GhostPool]:
    yield one_pool
    one_pool.clear()


def two_clusters(pool: GhostPool) -> tuple[int, int]:
    return pool.submit(3), pool.submit(5, request_memory=2)


def test_a_match_is_recorded_with_its_schedd_autocluster_and_count_and_starts_nothing(pool: GhostPool) -> None:
    cluster = pool.submit(3)
    pool.advertise(Ghost("plain", "small", packs=False))
    found = pool.wait_for_matches("small", 1)
    assert found == {"plain": Matched(3, (Record(pool.address("SCHEDD"), pool.autoclusters()[cluster], 3),))}
    assert {job["JobStatus"] for job in pool.jobs("JobStatus")} == {IDLE}


def test_a_ghost_that_stands_for_many_is_matched_by_each_autocluster_once(pool: GhostPool) -> None:
    few, many = two_clusters(pool)
    pool.advertise(Ghost("many", "small", packs=False, more=MANY))
    ghost = pool.wait_for_matches("small", 2)["many"]
    known = pool.autoclusters()
    assert {each.autocluster: each.count for each in ghost.records} == {known[few]: 3, known[many]: 5}
    assert ghost.count == 8


@pytest.mark.parametrize("lacking", sorted(MANY))
def test_for_that_it_needs_both_the_reevaluation_and_the_multiplier(pool: GhostPool, lacking: str) -> None:
    two_clusters(pool)
    more = {name: value for name, value in MANY.items() if name != lacking}
    pool.advertise(Ghost("half", "small", cpus=1, packs=False, more=more))
    pool.wait_for_matches("small", 1)


def test_jobs_are_packed_into_ghosts_with_a_consumption_policy_with_one_record_a_job(pool: GhostPool) -> None:
    wide, whole = pool.submit(5, request_cpus=3), pool.submit(2, request_cpus=8)
    pool.advertise(*(Ghost(f"bin{n}", "small", more={"WantAdRevaluate": "true"}) for n in range(5)))
    bins = pool.wait_for_matches("small", 2, 2, 1, 1, 1).values()
    known = pool.autoclusters()
    packed = sorted(sorted(each.autocluster for each in ghost.records) for ghost in bins)
    assert packed == sorted([[known[wide]], [known[wide]] * 2, [known[wide]] * 2, [known[whole]], [known[whole]]])


def test_each_of_those_records_repeats_the_count_of_the_whole_request(pool: GhostPool) -> None:
    pool.submit(3)
    pool.advertise(Ghost("bin", "small"))
    ghost = pool.wait_for_matches("small", 3)["bin"]
    assert [each.count for each in ghost.records] == [3, 3, 3]
    assert ghost.count == 9


def test_the_next_cycle_begins_a_new_list(pool: GhostPool) -> None:
    pool.submit(3)
    pool.advertise(Ghost("bin", "small"))
    first = pool.wait_for_matches("small", 3)
    assert pool.wait_for_matches("small", 3) == first


def test_records_outlive_their_jobs_until_the_ghost_is_advertised_again(pool: GhostPool) -> None:
    pool.submit(3)
    pool.advertise(Ghost("bin", "small"))
    pool.wait_for_matches("small", 3)
    pool.remove_jobs()
    pool.wait_for_cycles(1, "small")
    assert pool.matched()["bin"].records
    pool.advertise(Ghost("bin", "small"))
    assert pool.matched() == {"bin": Matched(0)}


def test_a_ghost_that_weighs_almost_nothing_is_matched_and_one_without_weight_is_not(pool: GhostPool) -> None:
    pool.submit(3)
    pool.advertise(Ghost("light", "small", weight="0.0001 * Cpus"))
    pool.wait_for_matches("small", 3)
    pool.clear()
    pool.submit(3)
    pool.advertise(Ghost("nothing", "small", weight="0"))
    pool.wait_for_cycles(1, "small")
    assert pool.matched() == {"nothing": Matched(0)}


def test_a_withdrawn_ghost_leaves_nothing_if_it_is_named(pool: GhostPool) -> None:
    """In series 25 the collector also creates an ad of type StartD from it, which a constraint alone does not reach."""
    ghost = Ghost("left", "small")
    pool.advertise(ghost)
    pool.withdraw(ghost)
    pool.wait_for(lambda: not pool.ads(), "the ghost to be gone")
    assert pool.tool("condor_status", "-startd", "-constraint", 'Machine == "left"', "-af", "Name").stdout == ""
