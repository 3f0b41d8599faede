"""The plan of machines for idle jobs, compared with the best of all plans where that can be computed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from annexd.demand.packing import JobGroup, MachineKind, Plan, Resources, plan

STEP = 2
DOLLAR = 1_000_000
SMALL = MachineKind("small", Resources(2, 4_000), DOLLAR, 50)
BIG = MachineKind("big", Resources(8, 16_000), 3 * DOLLAR, 50)
GPU = MachineKind("gpu", Resources(8, 32_000, gpus=4), 12 * DOLLAR, 50)


def jobs(name: str, count: int, cpus: int = 1, memory_mib: int = 1, gpus: int = 0) -> JobGroup:
    return JobGroup(name, count, Resources(cpus, memory_mib, gpus=gpus))


def planned(groups: Iterable[JobGroup], *kinds: MachineKind) -> Plan:
    return plan(groups, kinds, lambda _group, _kind: True)


def test_jobs_fill_the_machines_that_are_cheapest_for_all_of_them() -> None:
    assert planned([jobs("flood", 16)], SMALL, BIG).machines == {"big": 2}
    assert planned([jobs("pair", 2)], SMALL, BIG).machines == {"small": 1}
    assert planned([jobs("nine", 9)], SMALL, BIG).machines == {"big": 1, "small": 1}


def test_many_groups_of_one_job_fill_a_large_machine_as_one_group_of_many_would() -> None:
    assert planned([jobs(f"single{n}", 1) for n in range(16)], SMALL, BIG).machines == {"big": 2}


def test_at_the_same_price_for_a_job_the_smaller_machine_is_planned() -> None:
    large = MachineKind("a large one", Resources(8, 16_000), 4 * DOLLAR, 50)
    assert planned([jobs("flood", 16)], large, SMALL).machines == {"small": 8}
    third = MachineKind("of three", Resources(3, 6_000), DOLLAR * 3 // 2, 50)  # a price that floats cannot distinguish
    assert planned(
        [jobs("flood", 24)], MachineKind("a large one", Resources(12, 24_000), DOLLAR * 6, 50), third
    ).machines == {"of three": 8}


def test_memory_and_gpus_count_as_cores_do() -> None:
    assert planned([jobs("heavy", 4, memory_mib=9_000)], BIG).machines == {"big": 4}
    assert planned([jobs("accelerated", 6, gpus=1), jobs("plain", 2)], SMALL, GPU).machines == {"gpu": 2}


def test_a_rank_wins_over_the_price() -> None:
    preferred = MachineKind("preferred", Resources(2, 4_000), 100 * DOLLAR, 50, rank=1.0)
    assert planned([jobs("pair", 2)], SMALL, preferred).machines == {"preferred": 1}


def test_jobs_that_fit_nowhere_get_no_machine_and_are_named() -> None:
    found = planned([jobs("impossible", 5, cpus=64), jobs("pair", 2)], SMALL, BIG)
    assert (found.machines, found.unfit, found.above_max) == ({"small": 1}, {"impossible": 5}, {})


def test_jobs_beyond_the_offers_limits_are_named_and_distinguished() -> None:
    few = MachineKind("few", Resources(2, 4_000), DOLLAR, max_machines=2)
    found = planned([jobs("flood", 7)], few)
    assert (found.machines, found.unfit, found.above_max) == ({"few": 2}, {}, {"flood": 3})


def test_machines_that_exist_are_filled_before_any_is_planned() -> None:
    free = MachineKind("free slots", Resources(2, 4_000), 0, max_machines=0, present=3)
    found = planned([jobs("flood", 10)], free, SMALL)
    assert found.machines == {"small": 2}
    assert found.placed == {"flood": {"free slots": 6, "small": 4}}


def test_no_machine_is_planned_for_jobs_that_may_not_add_one() -> None:
    free = MachineKind("free slots", Resources(2, 4_000), 0, max_machines=0, present=1)
    old = JobGroup("old", 4, Resources(1, 1), may_add=False)
    found = planned([old, jobs("new", 2)], free, SMALL)
    assert found.placed["old"].keys() <= {"free slots"}
    assert found.machines == {"small": 1}


def test_an_offer_whose_classad_does_not_match_is_not_used() -> None:
    found = plan([jobs("picky", 2)], [SMALL, BIG], lambda _group, kind: kind == BIG)
    assert found.machines == {"big": 1}


def test_a_job_that_needs_nothing_takes_one_machine_with_all_of_its_kind() -> None:
    assert planned([jobs("nothing", 1_000, cpus=0, memory_mib=0)], SMALL).machines == {"small": 1}


def test_a_hundred_thousand_jobs_in_two_thousand_groups_are_planned_in_seconds() -> None:
    """The thread's own time is limited; it is 2 s on an idle machine.  A whole decision may take 20 s."""
    kinds = [MachineKind(str(n), Resources(1 << n % 7, 2_000 << n % 6), DOLLAR + n, 10_000) for n in range(20)]
    groups = [jobs(str(n), 50, cpus=1 << n % 4, memory_mib=500 + 7 * n % 8_000) for n in range(2_000)]
    begin = time.thread_time()
    found = planned(groups, *kinds)
    assert time.thread_time() - begin < 10
    assert sum(found.machines.values()) > 1_000
    assert not found.unfit


needs = st.builds(Resources, st.integers(1, 8), st.integers(1, 16_000), gpus=st.integers(0, 1))
mixes = st.lists(needs, min_size=1, max_size=7)


def groups_of(mix: Sequence[Resources]) -> list[JobGroup]:
    return [JobGroup(str(number), 1, each) for number, each in enumerate(mix)]


@given(mixes)
def test_with_one_offer_it_takes_at_most_one_step_more_than_the_best_plan(mix: list[Resources]) -> None:
    possible = [each for each in mix if each.fits_into(BIG.has)]
    found = planned(groups_of(mix), BIG)
    assert sum(found.unfit.values()) == len(mix) - len(possible)
    assert found.machines.get("big", 0) <= fewest(possible, BIG.has) + STEP


@given(mixes)
def test_with_several_offers_it_costs_at_most_one_step_more_than_the_best_plan(mix: list[Resources]) -> None:
    kinds = {kind.offer: kind for kind in (SMALL, BIG, GPU)}
    found = planned(groups_of(mix), *kinds.values())
    cost = sum(kinds[offer].micro_dollars_per_hour * count for offer, count in found.machines.items())
    assert not found.unfit
    assert cost <= cheapest(mix, list(kinds.values())) + STEP * GPU.micro_dollars_per_hour


def fewest(mix: Sequence[Resources], has: Resources) -> int:
    return min(map(len, partitions(mix, [has])), default=0)


def cheapest(mix: Sequence[Resources], kinds: Sequence[MachineKind]) -> int:
    """Return the price of the best of all partitions, each part in the cheapest machine that holds it."""
    sizes = [kind.has for kind in kinds]
    return min(sum(price(part, kinds) for part in parts) for parts in partitions(mix, sizes))


def price(part: Resources, kinds: Sequence[MachineKind]) -> int:
    return min(kind.micro_dollars_per_hour for kind in kinds if part.fits_into(kind.has))


def partitions(mix: Sequence[Resources], sizes: Sequence[Resources]) -> Iterator[list[Resources]]:
    """Yield every way to divide the jobs into parts that fit a machine, as the sums of the parts."""
    if not mix:
        yield []
        return
    first, *rest = mix
    for parts in partitions(rest, sizes):
        yield [first, *parts]
        for number, part in enumerate(parts):
            both = part.without(first, -1)
            if any(both.fits_into(has) for has in sizes):
                yield [*parts[:number], both, *parts[number + 1 :]]
