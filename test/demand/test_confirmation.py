"""What annexd asks the pool's rules by ghosts, in a pool configured by `condor_annex -demand-config`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from annexd.demand.ghost_ad import Ghost
from annexd.demand.ghost_negotiators import JobClause
from test.demand.confirmed import ConfirmingPool, Watch

OFFERS = {"small": JobClause("true", 0), "big": JobClause("true", 0), "gpu": JobClause("(RequestGPUs ?: 0) > 0", 0)}


@pytest.fixture(scope="module")
def one_pool() -> Iterator[ConfirmingPool]:
    with ConfirmingPool(OFFERS) as pool:
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


def test_factors_and_ceilings_of_the_pools_negotiator_are_copied(pool: ConfirmingPool, watch: Watch) -> None:
    users = [f"user{number}" for number in range(11)]
    for number, user in enumerate(users):
        pool.userprio("-setfactor", user, 2000 + number)
    pool.userprio("-setceiling", "carol", 2)
    state = watch.copy_accounting()
    assert (state.fault, state.changed) == (None, 2 * 12)  # negotiators, users
    assert watch.copy_accounting().changed == 0
    for offer in OFFERS:
        known = watch.standings(offer)
        assert [known[user].factor for user in users] == [2000 + number for number in range(11)]
    cluster = pool.submit(8, "carol")
    watch.show(*ghosts("small", pool.photograph(2), 4))
    watch.expect({"small": {cluster: 2}})
