"""The peers' rules order what their sources say, and annexd's at most one step more than the best of all plans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annexd.demand.packing import Resources
from test.bench.demand.mixes import MEDIUM, MIXES, SMALL, T4
from test.bench.demand.rules import Annexd, cores_counted, third_of_need
from test.bench.demand.simulation import simulate
from test.bench.demand.small import handful, least_price
from test.bench.demand.trace import MAIN, Shape, TraceOffer
from test.bench.demand.view import IdleJobs, OfferView, View

STEP = 2
NOW_S = 10_000
SEEDS = st.integers(0, 2**32)


def jobs(count: int, needs: Resources, idle_s: int = 400, schedd: str = MAIN, capability: float = 0.0) -> IdleJobs:
    return IdleJobs("alice", schedd, 1, Shape(needs, capability), (NOW_S - idle_s,) * count)


def machines(
    offer: TraceOffer, flying: int = 0, unused: int = 0, busy: int = 0, left: Mapping[Resources, int] | None = None
) -> OfferView:
    return OfferView(offer, flying, unused, busy, Counter(left or {}))


def view(groups: Sequence[IdleJobs], *offers: OfferView) -> View:
    return View(NOW_S, groups, groups, offers, lambda _: {}, None)


@pytest.mark.parametrize(
    ("idle", "offer", "ordered"),
    [
        (jobs(17, Resources(1, 1)), machines(MEDIUM), 3),  # rounded up
        (jobs(17, Resources(1, 1)), machines(MEDIUM, flying=1, unused=1), 1),  # less those without a job
        (jobs(17, Resources(1, 1)), machines(MEDIUM, busy=5), 3),  # what busy ones have left is not counted
        (jobs(4, Resources(1, 30 * 1024)), machines(MEDIUM), 1),  # memory is not counted
        (jobs(4, Resources(1, 1, gpus=1)), machines(T4), 1),  # nor are GPUs
        (jobs(4, Resources(64, 1)), machines(MEDIUM), 32),  # nor whether it fits
        (jobs(17, Resources(1, 1), schedd="ap2"), machines(MEDIUM), 0),  # only one schedd counts
    ],
)
def test_googles_autoscaler_counts_cores(idle: IdleJobs, offer: OfferView, ordered: int) -> None:
    assert cores_counted(view([idle], offer)) == {offer.offer.name: ordered}


@pytest.mark.parametrize(
    ("idle", "offer", "ordered"),
    [
        (jobs(96, Resources(1, 1)), machines(MEDIUM), 4),  # a third of twelve
        (jobs(96, Resources(1, 1)), machines(MEDIUM, flying=3), 1),  # machines on their way are part of the third
        (jobs(96, Resources(1, 1), idle_s=700), machines(MEDIUM), 8),  # a reserve for old jobs
        (jobs(8, Resources(1, 1)), machines(MEDIUM), 1),  # at least one
        (jobs(96, Resources(1, 1)), machines(MEDIUM, busy=6, left={Resources(1, 4_000): 6}), 1),  # half of two
        (jobs(96, Resources(1, 1)), machines(MEDIUM, busy=6, left={Resources(1, 2_000): 6}), 4),  # too little memory
        (jobs(9, Resources(8, 64 * 1024)), machines(MEDIUM), 0),  # jobs that do not fit
    ],
)
def test_glideinwms_asks_for_a_third_of_the_need(idle: IdleJobs, offer: OfferView, ordered: int) -> None:
    assert third_of_need(view([idle], offer)) == {offer.offer.name: ordered}


def test_glideinwms_divides_jobs_among_the_entries_that_match() -> None:
    both = view([jobs(96, Resources(1, 1))], machines(MEDIUM), machines(SMALL), machines(T4))
    assert third_of_need(both) == {MEDIUM.name: 2, SMALL.name: 8, T4.name: 0}


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.sampled_from(list(MIXES)), SEEDS)
def test_annexd_orders_at_most_one_step_above_the_best_of_all_plans_and_runs_all_jobs_that_can(
    mix: str, seed: int
) -> None:
    trace = handful(mix, seed)
    found = simulate(trace, Annexd(step=STEP))
    prices = {offer.name: offer.micro_dollars_per_hour for offer in trace.offers}
    price = sum(prices[name] * count for name, count in found.machines.items())
    assert price <= least_price(trace) + STEP * max(prices.values())
    assert found.spans.keys() == {job.number for job in trace.possible()}


@settings(deadline=None, max_examples=20, derandomize=True)
@given(SEEDS)
def test_annexd_orders_nothing_for_jobs_that_no_machine_can_run(seed: int) -> None:
    trace = handful("impossible ones", seed)
    possible = {job.number for job in trace.possible()}
    only = [job for job in trace.jobs if job.number not in possible]
    ordered: Counter[str] = Counter()

    def watching(seen: View) -> Mapping[str, int]:
        orders = Annexd(asks_negotiator=False)(seen)
        ordered.update(orders)
        return orders

    groups = [IdleJobs(job.user, job.schedd, job.number, job.shape, (0,)) for job in only]
    watching(view(groups, *(machines(offer) for offer in trace.offers)))
    assert not ordered
