"""No plan costs less than the limit, under which no job waits longer than promised."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annexd.demand.packing import Resources
from test.bench.demand.limit import least_dollars
from test.bench.demand.mixes import MEDIUM, MIXES, SMALL
from test.bench.demand.small import RUNS_S, handful, least_price
from test.bench.demand.trace import MAIN, Pool, Shape, Trace, TraceJob, TraceOffer

POOL = Pool()
OVERHEAD_S = POOL.boot_s + POOL.shutdown_s


def trace(*jobs: tuple[int, int, Resources], offers: tuple[TraceOffer, ...] = (SMALL,)) -> Trace:
    """Create a trace of jobs that arrive and run as given."""
    made = [
        TraceJob(number, "alice", MAIN, Shape(needs), arrives_s, runs_s)
        for number, (arrives_s, runs_s, needs) in enumerate(jobs)
    ]
    return Trace("test", tuple(made), offers)


def hours(dollars: float) -> float:
    """Return the hours of a small machine that cost this much."""
    return dollars / 0.096


def test_one_job_costs_its_machine_the_boot_the_run_and_the_shutdown() -> None:
    whole = Resources(2, 8192)
    assert hours(least_dollars(trace((0, 3600, whole)), 600)) == pytest.approx(1 + OVERHEAD_S / 3600)


def test_two_jobs_one_after_the_other_need_one_machine_and_at_once_two() -> None:
    whole = Resources(2, 8192)
    after = least_dollars(trace((0, 3600, whole), (3600, 3600, whole)), 600)
    at_once = least_dollars(trace((0, 3600, whole), (0, 3600, whole)), 600)
    assert hours(after) == pytest.approx(2 + OVERHEAD_S / 3600)
    assert hours(at_once) == pytest.approx(2 + 2 * OVERHEAD_S / 3600)


def test_a_machine_does_not_live_through_a_long_pause() -> None:
    whole = Resources(2, 8192)
    found = least_dollars(trace((0, 3600, whole), (40_000, 3600, whole)), 600)
    assert hours(found) == pytest.approx(2 + 2 * OVERHEAD_S / 3600)


def test_short_jobs_may_share_a_machine_as_long_as_none_waits_too_long() -> None:
    whole = Resources(2, 8192)
    found = least_dollars(trace(*[(0, 100, whole)] * 20), 700)
    assert hours(found) < (2_000 + 4 * OVERHEAD_S) / 3600
    assert hours(found) > (2_000 + 2 * OVERHEAD_S) / 3600


def test_two_jobs_of_sixty_per_cent_need_two_machines() -> None:
    most = Resources(5, 1024)
    found = least_dollars(trace((0, 3600, most), (0, 3600, most), offers=(MEDIUM,)), 600)
    assert found == pytest.approx(0.384 * 2 * (1 + OVERHEAD_S / 3600))


def test_jobs_far_apart_in_time_fill_no_machine_together() -> None:
    large, half = Resources(5, 1024), Resources(3, 1024)
    found = least_dollars(trace((0, 7200, large), (40_000, 7200, half), (40_000, 7200, half), offers=(MEDIUM,)), 600)
    apart, together = 0.384 * (4 + 2 * OVERHEAD_S / 3600), 0.384 * (2.75 + 2 * OVERHEAD_S / 3600)
    assert together < found <= apart
    assert found > 0.95 * apart


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.sampled_from(sorted(MIXES.keys() - {"a user over the quota"})), st.integers(0, 2**32))
def test_it_is_below_the_best_of_all_plans(mix: str, seed: int) -> None:
    few = handful(mix, seed)
    hours_paid = (RUNS_S + OVERHEAD_S) / 3600
    if not any(job.held for job in few.jobs):
        assert least_dollars(few, 600) <= least_price(few) / 1e6 * hours_paid * (1 + 1e-9)
