"""Capacity that AWS refused or took back is closed for all offers, for longer each time, and not forever."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexd.demand.breaker import (
    ANY_TYPE,
    CALM_S,
    FIRST_S,
    INTERRUPTION,
    LIMIT,
    LONGEST_REASON,
    LONGEST_S,
    MOST_EVENTS,
    MOST_POOLS,
    ON_DEMAND,
    SPOT,
    STORM_CLOSED_S,
    STORM_S,
    Breaker,
    CapacityPoolKey,
    closing_attributes,
)

POOL = CapacityPoolKey("m5.large", "us-east-1a", SPOT)
WORDS = "There is no Spot capacity available that matches your request."
TIMES = st.lists(st.integers(0, 40_000).map(float), max_size=MOST_EVENTS)
Event = tuple[float, str | None]  # an error, or the interruption of this instance
EVENTS = st.lists(
    st.tuples(st.integers(0, 20_000).map(float), st.sampled_from([None, "i-1", "i-2", "i-3"])), max_size=MOST_EVENTS
)


def refused(*times_s: float, pool: CapacityPoolKey = POOL) -> Breaker:
    breaker = Breaker()
    for at_s in times_s:
        breaker.note_error(pool, at_s, WORDS)
    return breaker


def until_s(breaker: Breaker, now_s: float = -1.0, pool: CapacityPoolKey = POOL) -> float:
    return breaker.closed(now_s)[pool].until_s


def after(events: Sequence[Event]) -> Breaker:
    breaker = Breaker()
    for at_s, instance_id in events:
        if instance_id is None:
            breaker.note_error(POOL, at_s, WORDS)
        else:
            breaker.note_interruption(POOL, at_s, instance_id)
    return breaker


def test_an_error_closes_the_pool_for_three_minutes_with_awss_reason() -> None:
    breaker = refused(1000.0)
    assert breaker.closed(1000.0 + FIRST_S - 1) == {POOL: (1000.0 + FIRST_S, WORDS, "capacity")}
    assert breaker.closed(1000.0 + FIRST_S) == {}


def test_each_error_after_it_opened_closes_it_for_twice_the_time_up_to_an_hour() -> None:
    breaker, at_s, lengths_s = Breaker(), 0.0, []
    for _ in range(8):
        breaker.note_error(POOL, at_s, WORDS)
        lengths_s.append(until_s(breaker) - at_s)
        at_s = until_s(breaker)
    assert lengths_s == [180, 360, 720, 1440, 2880, 3600, 3600, 3600]


def test_an_error_while_it_is_closed_changes_nothing() -> None:
    assert until_s(refused(0.0, 60.0, FIRST_S - 1)) == FIRST_S


def test_an_hour_without_an_error_since_it_opened_begins_again_with_three_minutes() -> None:
    second_s = FIRST_S + CALM_S
    assert until_s(refused(0.0, second_s)) == second_s + FIRST_S
    assert until_s(refused(0.0, second_s - 1)) == second_s - 1 + 2 * FIRST_S


def test_the_hour_of_the_longest_closing_is_no_calm() -> None:
    """Nobody requests capacity while it is closed, so nobody is refused."""
    breaker, at_s = Breaker(), 0.0
    for _ in range(7):
        breaker.note_error(POOL, at_s, WORDS)
        at_s = until_s(breaker) + 60.0
    assert until_s(breaker) - (at_s - 60.0 - LONGEST_S) == LONGEST_S


def test_an_error_without_a_zone_closes_the_type_in_every_zone_and_no_other() -> None:
    pool = CapacityPoolKey("m5.large", None, SPOT)
    assert set(refused(0.0, pool=pool).closed(1.0)) == {pool}


def test_an_error_of_one_zone_leaves_the_others_open() -> None:
    assert set(refused(0.0).closed(1.0)) == {POOL}


def test_a_limit_of_the_account_closes_its_market_and_says_that_it_is_one() -> None:
    breaker, whole = Breaker(), CapacityPoolKey(ANY_TYPE, None, SPOT)
    breaker.note_error(whole, 0.0, "Max spot instance count exceeded", LIMIT)
    assert breaker.closed(1.0) == {whole: (FIRST_S, "Max spot instance count exceeded", LIMIT)}


def test_one_interruption_closes_as_an_error_does() -> None:
    breaker = after([(0.0, "i-1")])
    assert breaker.closed(1.0)[POOL] == (FIRST_S, "AWS has interrupted i-1", INTERRUPTION)


def test_two_interruptions_within_three_minutes_close_for_half_an_hour() -> None:
    assert until_s(after([(0.0, "i-1"), (STORM_S, "i-2")])) == STORM_S + STORM_CLOSED_S
    assert until_s(after([(0.0, "i-1"), (STORM_S + 1, "i-2")])) == STORM_S + 1 + 2 * FIRST_S
    assert until_s(after([(0.0, "i-1"), (0.0, "i-2")])) == STORM_CLOSED_S
    assert until_s(after([(0.0, "i-1"), (60.0, "i-1")])) == FIRST_S, "it is one instance, and seen twice"


@given(EVENTS, st.randoms(use_true_random=False))
def test_repeated_and_reordered_events_give_the_same_state(events: list[Event], random: object) -> None:
    again = [*events, *events]
    random.shuffle(again)  # type: ignore[attr-defined]
    assert after(again).closed(-1.0) == after(sorted(events, key=str)).closed(-1.0)


@given(EVENTS, st.integers(0, 3600))
def test_a_later_event_opens_no_pool_earlier(events: list[Event], later_s: int) -> None:
    breaker, last_s = after(events), max((at_s for at_s, _ in events), default=0.0)
    before_s = max((each.until_s for each in breaker.closed(-1.0).values()), default=0.0)
    breaker.note_error(POOL, last_s + later_s, WORDS)
    assert until_s(breaker) >= max(before_s, last_s + later_s)


@given(TIMES)
def test_a_pool_is_open_an_hour_after_its_last_error_at_the_latest_and_closed_for_three_minutes(
    times_s: list[float],
) -> None:
    breaker, last_s = refused(*times_s), max(times_s, default=0.0)
    assert breaker.closed(last_s + LONGEST_S) == {}
    for first_s in times_s[:1]:
        assert until_s(refused(*times_s), last_s) > last_s
        assert refused(first_s).closed(first_s + FIRST_S - 1)


@given(TIMES)
def test_a_client_that_asks_only_open_pools_is_refused_less_often(times_s: list[float]) -> None:
    """At least 180 s lie between two refusals, and the pauses grow as long as each request is refused."""
    breaker, refusals = Breaker(), list[float]()
    for at_s in sorted(times_s):
        if POOL not in breaker.closed(at_s):
            breaker.note_error(POOL, at_s, WORDS)
            refusals.append(at_s)
    gaps = [second - first for first, second in itertools.pairwise(refusals)]
    assert all(gap >= FIRST_S for gap in gaps)
    for place in range(len(refusals) - 6):
        assert refusals[place + 6] - refusals[place] >= 180 + 360 + 720 + 1440 or max(gaps[place : place + 6]) > CALM_S


def test_memory_is_bounded_and_what_is_closed_longest_is_kept() -> None:
    breaker = refused(50_000.0)
    for number in range(3 * MOST_POOLS):
        breaker.note_error(CapacityPoolKey(f"m5.{number}", None, SPOT), float(number), "x" * 10_000)
    for number in range(50 * MOST_EVENTS):
        breaker.note_error(POOL, 50_000.0 + number / 100, WORDS)
        breaker.note_interruption(POOL, 40_000.0 + 500 * number, f"i-{number}")
    closed = breaker.closed(-1.0)
    assert len(closed) == MOST_POOLS
    assert all(len(each.reason) <= LONGEST_REASON for each in closed.values())
    assert all(len(each.events) + len(each.interrupted_s) <= 2 * MOST_EVENTS for each in breaker._pools.values())
    assert POOL in closed


def test_a_history_that_is_longer_than_the_memory_closes_for_as_long() -> None:
    """The history is a day of refusals, reported three times."""
    times_s = [600.0 * number for number in range(144)]
    breaker = refused(*times_s, *times_s, *times_s)
    first = until_s(breaker, times_s[-1])
    asked = list[float]()
    for at_s in times_s:
        if not asked or at_s >= asked[-1] + min(FIRST_S * 2 ** (len(asked) - 1), LONGEST_S):
            asked.append(at_s)
    assert first == asked[-1] + LONGEST_S


def test_closings_are_shown_as_attributes_the_first_to_open_first() -> None:
    breaker = refused(0.0)
    breaker.note_error(CapacityPoolKey(ANY_TYPE, None, ON_DEMAND), 5.5, "VcpuLimitExceeded", LIMIT)
    assert closing_attributes(breaker.closed(10.0)) == [
        {
            "InstanceType": "m5.large",
            "Zone": "us-east-1a",
            "Market": "spot",
            "ClosedUntil": 180,
            "ClosedReason": WORDS,
            "ClosedCause": "capacity",
        },
        {
            "InstanceType": "*",
            "Zone": "*",
            "Market": "on-demand",
            "ClosedUntil": 185,
            "ClosedReason": "VcpuLimitExceeded",
            "ClosedCause": "limit",
        },
    ]


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        (POOL, "m5.large (spot) in us-east-1a"),
        (CapacityPoolKey("m5.large", None, SPOT), "m5.large (spot) in all zones"),
        (CapacityPoolKey(ANY_TYPE, None, ON_DEMAND), "all instance types (on-demand) in all zones"),
    ],
)
def test_a_pool_has_a_readable_name(pool: CapacityPoolKey, message: str) -> None:
    assert str(pool) == message
