"""The exact packing that judges plans, compared with every division of a few jobs among machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from test.demand.least import Least, Machine, Need, least

BOTH = frozenset({"small", "big"})
SMALL = Machine("small", (2, 4_000, 0), 2)
BIG = Machine("big", (8, 9_000, 1), 7)
TEN = Machine("small", (100, 10, 0), 1)


def of_memory(*sizes: int) -> Counter[Need]:
    return Counter(Need((1, size, 0), BOTH) for size in sizes)


def test_it_finds_what_placing_the_largest_first_does_not() -> None:
    assert least(of_memory(4, 4, 3, 3, 3, 3), [TEN]) == Least(2, 2)


def test_no_machine_is_needed_for_jobs_that_none_can_run() -> None:
    assert least(Counter({Need((3, 1, 0), frozenset({"small"})): 5, Need((1, 1, 2), BOTH): 1}), [SMALL, BIG]) == Least()


def test_it_prefers_the_cheapest_machines_and_then_the_fewest() -> None:
    cores = Counter({Need((1, 1, 0), BOTH): 8})
    assert least(cores, [SMALL, BIG]) == Least(7, 1)
    assert least(cores, [SMALL, Machine("big", (8, 9_000, 1), 8)]) == Least(8, 1)
    assert least(cores, [SMALL, Machine("big", (8, 9_000, 1), 9)]) == Least(8, 4)


needs = st.builds(
    Need,
    st.tuples(st.integers(1, 4), st.integers(1, 9_500), st.integers(0, 1)),
    st.frozensets(st.sampled_from(["small", "big"])),
)


@given(st.lists(needs, max_size=6))
def test_no_division_of_the_jobs_is_cheaper_and_one_is_as_cheap(jobs: list[Need]) -> None:
    machines = [SMALL, BIG]
    possible = [each for each in jobs if _cheapest([each], machines)]
    prices = [[_cheapest(part, machines) for part in parts] for parts in _divisions(possible)]
    best = min(Least(sum(found), len(found)) for each in prices if all(found := [price or 0 for price in each]))
    assert least(Counter(jobs), machines) == best


def _cheapest(part: Sequence[Need], machines: Sequence[Machine]) -> int | None:
    """Return the price of the cheapest machine that holds these jobs; None without one."""
    sums = [sum(sizes) for sizes in zip(*(each.sizes for each in part), strict=True)]
    prices = [
        machine.price
        for machine in machines
        if all(machine.offer in each.offers for each in part)
        and all(needed <= has for needed, has in zip(sums, machine.sizes, strict=True))
    ]
    return min(prices, default=None)


def _divisions(jobs: Sequence[Need]) -> Iterator[list[list[Need]]]:
    """Yield every way to divide the jobs into parts."""
    if not jobs:
        yield []
        return
    for parts in _divisions(jobs[1:]):
        yield [[jobs[0]], *parts]
        for number, part in enumerate(parts):
            yield [*parts[:number], [jobs[0], *part], *parts[number + 1 :]]
