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
