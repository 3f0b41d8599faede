"""annexd's estimate matches the bill of the emulator's meter within the stated error, or it is unknown."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexd.annex.cost import cost_of
from annexd.annex.fleet.capacity_pool import CapacityPool, Launch
from annexd.annex.spending import KNOWN_S, MOST_CHANGES, Prices
from annexd.annex.usage import MOST_POOLS, Usage
from annexd.workflow import from_json, to_json
from test.cloud.instances import Instance, Timing
from test.cloud.prices import Market
from test.cloud.tags import TagLog

START_S = 1_795_000_000.0
BEGUN = Usage(START_S - 60, int(START_S) + 40 * 86_400)
LOOK_S, DEAREST = 300, 0.9
A = CapacityPool("m5.large", "us-east-1a", "Linux/UNIX", "spot")
B = replace(A, zone="us-east-1b")
LISTED = replace(A, market="")
POOLS = [A, B, LISTED]
MACHINES = st.lists(  # launched after, lives for, of which pool
    st.tuples(st.integers(0, 5000), st.integers(LOOK_S + 100, 6000), st.integers(0, 2)), max_size=12
)
COURSE = st.lists(st.tuples(st.integers(1, 9000), st.floats(0.01, DEAREST)), max_size=8)  # from then on, dollars


def machine(launched_s: float, ended_s: float | None, pool: CapacityPool) -> Instance:
    specification = {"InstanceType": pool.kind, "SpotPrice": "9"}
    return Instance(
        1, "i-1", "sir-1", "sfr-1", specification, 1.0, TagLog({}), pool.zone, launched_s, Timing(),
        is_spot=bool(pool.market), terminating_at_s=ended_s,
    )  # fmt: skip


def market(*courses: list[tuple[int, float]]) -> Market:
    made = Market()
    spot = {f"m5.large us-east-1{zone}": [(-60, 0.1), *course] for zone, course in zip("ab", courses, strict=False)}
    made.set({"spot": spot, "on_demand": {"m5.large": 0.3}}, START_S)
    return made


def prices_in(market: Market, until_s: float) -> dict[CapacityPool, Prices]:
    """Return the prices that AWS would show by then."""
    spot = {
        pool: [(each.at_s, each.price) for each in market.changes(pool.kind, pool.zone) if each.at_s <= until_s]
        for pool in (A, B)
    }
    return {**spot, LISTED: [(0.0, market.on_demand["m5.large"])]}


def seen(machines: list[Instance], at_s: float) -> list[Launch]:
    pools = {(pool.zone, bool(pool.market)): pool for pool in POOLS}
    living = (m for m in machines if m.launched_at_s <= at_s and (m.terminating_at_s or at_s + 1) > at_s)
    return [Launch(each.launched_at_s, pools[each.zone, each.is_spot]) for each in living]


@given(machines=MACHINES, courses=st.tuples(COURSE, COURSE), restart=st.integers(0, 40), pause=st.integers(1, 9))
def test_an_estimate_is_the_meters_bill_within_its_error_whenever_prices_move_are_asked_for_and_annexd_restarts(
    machines: list[tuple[int, int, int]],
    courses: tuple[list[tuple[int, float]], list[tuple[int, float]]],
    restart: int,
    pause: int,
) -> None:
    machines = list({(launched, pool): (launched, lives, pool) for launched, lives, pool in machines}.values())
    run = [machine(START_S + at, START_S + at + lives, POOLS[pool]) for at, lives, pool in machines]
    billed, usage = market(*courses), BEGUN
    for number in range(12_000 // LOOK_S + 1):
        now_s = START_S + number * LOOK_S
        if number == restart:
            usage = from_json(Usage, to_json(usage))
        usage = usage.after(seen(run, now_s), now_s)
        if number % pause == 0:
            usage = usage.priced(prices_in(billed, now_s))
    usage = usage.priced(prices_in(billed, now_s))
    found = cost_of(usage, now_s)
    truth = sum(billed.dollars(each, now_s) or 0.0 for each in run)
    assert found["UnpricedInstances"] == 0
    assert abs(found["EstimatedCost"] - truth) <= usage.error_s * DEAREST / 3600 + 0.0001
    assert usage.spendings == (), "a sum that is settled needs no price any more"
    assert cost_of(usage, now_s + 200 * 86_400) == found, "when AWS has forgotten them"


def test_the_cost_so_far_is_that_of_the_moment_also_between_two_questions_for_prices() -> None:
    billed, run = market([(1800, 0.4)]), [machine(START_S, None, A), machine(START_S + 7, None, LISTED)]
    usage = BEGUN.after(seen(run, START_S + 10), START_S + 10).priced(prices_in(billed, START_S + 10))
    for now_s in (START_S + 20, START_S + 59, START_S + 1700):
        truth = sum(billed.dollars(each, now_s) or 0.0 for each in run)
        assert cost_of(usage, now_s) == {"EstimatedCost": pytest.approx(truth, abs=0.0001), "UnpricedInstances": 0}
    usage = usage.after(seen(run, START_S + 3600), START_S + 3600).priced(prices_in(billed, START_S + 3600))
    truth = sum(billed.dollars(each, START_S + 4000) or 0.0 for each in run)
    assert cost_of(usage, START_S + 4000)["EstimatedCost"] == pytest.approx(truth, abs=0.0001)


def test_an_instance_is_billed_for_a_minute_at_least() -> None:
    billed, run = market([]), [machine(START_S, START_S + 12, A)]
    usage = BEGUN.after(seen(run, START_S + 10), START_S + 10).after([], START_S + 14)
    usage = usage.priced(prices_in(billed, START_S + 14))
    assert cost_of(usage, START_S + 15)["EstimatedCost"] == pytest.approx(0.1 / 60, abs=0.0001)
    usage = usage.after([], START_S + 300).priced(prices_in(billed, START_S + 300))
    assert (usage.spendings, round(usage.dollars, 6)) == ((), round(billed.dollars(run[0], START_S + 300) or 0.0, 6))


def test_instances_without_a_price_are_counted_and_never_taken_as_free() -> None:
    none = BEGUN.after([Launch(START_S, A), Launch(START_S, LISTED)], START_S + 10)
    assert cost_of(none, START_S + 3600) == {"EstimatedCost": None, "UnpricedInstances": 2}
    part = none.priced({LISTED: [(0.0, 0.3)]})
    assert cost_of(part, START_S + 3600) == {"EstimatedCost": 0.3, "UnpricedInstances": 1}
    only_late = BEGUN.after([Launch(START_S, A)], START_S + 10).priced({A: [(START_S + 5, 0.1)]})
    assert cost_of(only_late, START_S + 10) == {"EstimatedCost": None, "UnpricedInstances": 1}
    late = part.priced({A: [(START_S + 5, 0.1)]})
    assert cost_of(late, START_S + 3600)["UnpricedInstances"] == 1, "no price of its beginning is known"
    assert cost_of(None, START_S) == {"EstimatedCost": None, "UnpricedInstances": None}


def test_an_old_price_does_not_hold_indefinitely() -> None:
    usage = BEGUN.after([Launch(START_S, A)], START_S + 100).priced({A: [(START_S - 9, 0.1)]})
    day = cost_of(usage, START_S + KNOWN_S)
    assert (day["EstimatedCost"], day["UnpricedInstances"]) == (pytest.approx(2.4), 0)
    later = cost_of(usage, START_S + 10 * KNOWN_S)
    assert (later["EstimatedCost"], later["UnpricedInstances"]) == (pytest.approx(2.4, abs=0.01), 1)


def test_unchanged_prices_are_not_recorded() -> None:
    usage = BEGUN.after([Launch(START_S, A)], START_S + 600)
    priced = [usage.priced({A: [(START_S - 9, 0.1)]})]
    for hour in range(1, 6):
        looked = priced[-1].after([Launch(START_S, A)], START_S + 600 + hour * 3600)
        assert looked.priced({A: [(START_S - 9, 0.1)]}) is looked
        priced.append(looked)
    moved = priced[-1].priced({A: [(START_S - 9, 0.1), (START_S + 700, 0.2)]})
    assert moved is not priced[-1]
    assert all(one.facts == other.facts for one, other in pairwise(priced))


def test_the_journal_keeps_a_bounded_record_of_an_annex_with_the_same_sum() -> None:
    usage, lives = BEGUN, 1000
    for number in range(1000):
        now_s = START_S + number * 100
        usage = usage.after([Launch(now_s - ago, A) for ago in range(0, lives, 100)], now_s)
    [spending] = usage.spendings
    assert len(spending.changes) <= MOST_CHANGES
    found = usage.priced({A: [(0.0, 0.1)]}).spendings[0]
    assert found.dollars == pytest.approx(usage.seconds(usage.at_s) * 0.1 / 3600, rel=0.001)
    many = [Launch(START_S, replace(A, zone=f"zone-{number}")) for number in range(MOST_POOLS + 50)]
    usage = BEGUN.after(many, START_S + 1)
    assert len(usage.spendings) == MOST_POOLS + 1
    assert cost_of(usage, START_S + 2)["UnpricedInstances"] == len(many)
