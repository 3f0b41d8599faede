"""Twelve mixes of real jobs: annexd orders at most a step more than an exact packing, and each possible job ends.

`make test` runs three of them with one seed, `make demand` all of them with several seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from test.demand.least import Least
from test.demand.mixed_site import PATIENCE_S, RUNNING, MixedSite
from test.demand.mixes import MIXES, STEP, Batch
from test.whole import WHOLE

SEEDS = range(3)
IN_SHORT = {("memory-heavy", 0), ("impossible", 0), ("over-the-quota", 0)}
STAGES = (0, 1)


def plays() -> Iterator[object]:
    for name in MIXES:
        for seed in SEEDS:
            marks = () if (name, seed) in IN_SHORT else (WHOLE,)
            yield pytest.param(name, seed, id=f"{name}-{seed}", marks=marks)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("name", "seed"), list(plays()))
def test_of_a_mix_all_that_can_run_ends_on_the_machines_of_an_exact_packing_and_a_step(name: str, seed: int) -> None:
    mix = MIXES[name]
    batches = mix.of(seed)
    with MixedSite(mix) as site:
        for stage in STAGES:
            so_far = [each for each in batches if each.stage <= stage]
            if any(each.stage == stage for each in batches):
                site.begin(stage, batches)
                _see_all_run_that_can(site, so_far)
                site.settle()
                _judge(site, mix.least(so_far))
        site.gate.touch()
        possible = sum(each.count for each in batches if each.offers)
        site.wait(lambda: site.outputs() == ["done\n"] * possible, "all to end", 2 * PATIENCE_S)
        _judge(site, mix.least(batches))
        print(f"{name} {seed}: {mix.least(batches)}, ordered {site.ordered()}")


def _see_all_run_that_can(site: MixedSite, batches: Sequence[Batch]) -> None:
    wanted = sum(each.running for each in batches)
    if not site.mix.is_short:
        site.wait(lambda: site.statuses().count(RUNNING) >= wanted, f"{wanted} jobs to run", PATIENCE_S)
    impossible = sum(each.count for each in batches if not each.offers)
    site.wait(lambda: site.without_offer() == impossible, f"{impossible} impossible jobs", PATIENCE_S)


def _judge(site: MixedSite, least: Least) -> None:
    found, orders = site.ordered_least(), site.ordered()
    dearest = max(each.price for each in site.mix.offers)
    assert all(size <= STEP for sizes in orders.values() for size in sizes), f"a step is {STEP}: {orders}"
    assert found.price <= (least.price + STEP * dearest if least.price else 0), f"{orders}, and {least} would do"
    if not site.mix.is_short and not site.gate.exists():
        assert found.price >= least.price, f"{orders} cannot hold what runs: {least}"
