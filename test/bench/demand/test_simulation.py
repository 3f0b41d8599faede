"""The simulated pool behaves as a pool does, so the costs of rules in it are credible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from annexd.demand.packing import Resources
from test.bench.demand.mixes import MEDIUM, MIXES, SMALL, T4
from test.bench.demand.rules import Annexd
from test.bench.demand.simulation import Outcome, simulate
from test.bench.demand.trace import MAIN, Pool, Shape, Trace, TraceJob, TraceOffer
from test.bench.demand.view import Rule, View

ONE_CORE = Shape(Resources(1, 1024))
POOL = Pool()
DECIDED_S = POOL.age_s + POOL.interval_s // 2  # when the jobs that arrived at the beginning are decided
STARTED_S = DECIDED_S + POOL.boot_s + 30  # with the next negotiation


def job(number: int, runs_s: int = 3600, arrives_s: int = 0, user: str = "alice", shape: Shape = ONE_CORE) -> TraceJob:
    return TraceJob(number, user, MAIN, shape, arrives_s, runs_s)


def once(orders: Mapping[str, int]) -> Rule:
    """Return a rule that orders these when a job is old enough for the first time, and nothing afterwards."""
    left = [orders]
    return lambda view: left.pop() if left and view.groups else {}


def played(*jobs: TraceJob, offers: tuple[TraceOffer, ...] = (SMALL,), orders: int = 1, pool: Pool = POOL) -> Outcome:
    return simulate(Trace("test", jobs, offers), once({offers[0].name: orders}), pool)


def test_a_machine_is_paid_for_from_its_order_to_its_idle_shutdown() -> None:
    found = played(job(0))
    paid_s = STARTED_S - DECIDED_S + 3600 + POOL.shutdown_s
    assert found.spans == {0: (STARTED_S, STARTED_S + 3600)}
    assert found.dollars == pytest.approx(0.096 * paid_s / 3600)
    assert found.waited_s == {0: STARTED_S}


def test_a_machine_that_gets_no_job_ends_after_its_idle_shutdown() -> None:
    found = played(job(0), orders=3)
    used_s = STARTED_S - DECIDED_S + 3600 + POOL.shutdown_s
    unused_s = POOL.boot_s + POOL.shutdown_s
    assert found.dollars == pytest.approx(0.096 * (used_s + 2 * unused_s) / 3600)


def test_at_least_a_minute_is_paid() -> None:
    found = played(job(0), pool=Pool(boot_s=1, shutdown_s=10))
    assert found.spans == {}
    assert found.dollars == pytest.approx(0.096 / 60)


def test_the_end_of_a_lease_sends_jobs_back_to_the_queue_and_what_they_did_is_lost() -> None:
    found = simulate(Trace("test", (job(0),), (SMALL,)), Annexd(asks_negotiator=False), Pool(lease_s=2000))
    assert found.evicted > 1
    assert not found.spans
    assert found.machines.total() > 10


def test_jobs_wait_where_nothing_is_left_and_a_claim_is_used_again_at_once() -> None:
    found = played(*(job(number, runs_s=100) for number in range(5)))
    assert sorted(span[0] - STARTED_S for span in found.spans.values()) == [0, 0, 100, 100, 200]


def test_a_quota_is_kept_and_users_with_fewer_cores_come_first() -> None:
    jobs = [job(number, user="alice") for number in range(6)] + [job(9, user="bob")]
    trace = Trace("test", tuple(jobs), (MEDIUM,), quotas={"alice": 2})
    found = simulate(trace, once({MEDIUM.name: 1}))
    begins = [found.spans[number][0] for number in range(6)]
    assert [begins.count(STARTED_S + hours * 3600) for hours in range(3)] == [2, 2, 2]
    assert found.spans[9][0] == STARTED_S


def test_a_schedd_that_offers_two_jobs_a_negotiation_fills_a_machine_in_several() -> None:
    trace = Trace("test", tuple(job(number) for number in range(6)), (MEDIUM,), offered=2)
    found = simulate(trace, once({MEDIUM.name: 1}))
    assert sorted(span[0] - STARTED_S for span in found.spans.values()) == [0, 0, 60, 60, 120, 120]


def test_a_job_that_is_held_is_not_in_the_queue_until_its_release() -> None:
    seen: list[int] = []

    def watching(view: View) -> Mapping[str, int]:
        if view.groups:
            seen.append(view.now_s)
        return {SMALL.name: 1} if len(seen) == 1 else {}

    held = replace(job(0), held=(10, 1000))
    found = simulate(Trace("test", (held,), (SMALL,)), watching)
    assert seen[0] == 1000 + POOL.age_s + 50
    assert found.waited_s == {0: found.spans[0][0] - 1000}


def test_a_machine_with_gpus_runs_jobs_that_ask_for_one_of_its_capability_alone() -> None:
    gpu = Shape(Resources(1, 1024, gpus=1), 7.0)
    assert T4.runs(gpu)
    assert not T4.runs(ONE_CORE)
    assert not T4.runs(replace(gpu, capability=8.0))
    assert not MEDIUM.runs(gpu)


def test_small_machines_are_filled_before_large_ones() -> None:
    trace = Trace("test", (job(0), job(1)), (MEDIUM, SMALL))
    found = simulate(trace, once({MEDIUM.name: 1, SMALL.name: 1}))
    seconds = STARTED_S - DECIDED_S + 3600 + POOL.shutdown_s
    unused_s = POOL.boot_s + POOL.shutdown_s
    assert found.dollars == pytest.approx((0.096 * seconds + 0.384 * unused_s) / 3600)


@pytest.mark.parametrize("mix", MIXES)
def test_a_seed_makes_the_same_trace_and_the_same_outcome_again(mix: str) -> None:
    trace = MIXES[mix](7)
    assert trace == MIXES[mix](7)
    assert trace.jobs != MIXES[mix](8).jobs
    few = replace(trace, jobs=trace.jobs[:40])
    assert simulate(few, Annexd()) == simulate(few, Annexd())
