"""The ledger by itself: periods, sums, rounding, and the text of a refusal."""

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from annexd.budget.budget import Budget, Period, days_of
from annexd.budget.hold import Hold, Reserved
from annexd.budget.ledger import Amount, Ledger
from annexd.budget.money import MICRO, decimal, dollars, for_time, rounded_down, rounded_up
from annexd.budget.refusal import fitting, refusals

NOW_S = datetime(2026, 11, 28, 23, 59, 59, tzinfo=UTC).timestamp()  # a Saturday
HOLD = Hold(("physics",), 3_600_000, 3_600_000, 0, int(NOW_S), 0)
PHYSICS = Budget("physics", 10 * MICRO, Period.DAY, 4 * MICRO)


@pytest.mark.parametrize(
    ("period", "begin", "end"),
    [
        (Period.DAY, "2026-11-28", "2026-11-29"),
        (Period.WEEK, "2026-11-23", "2026-11-30"),
        (Period.MONTH, "2026-11-01", "2026-12-01"),
    ],
)
def test_periods_begin_and_end_at_midnight_utc(period: Period, begin: str, end: str) -> None:
    days = days_of(period, NOW_S)
    assert days.end_s is not None
    assert [f"{datetime.fromtimestamp(each, UTC):%Y-%m-%d}" for each in (days.begin_s, days.end_s)] == [begin, end]
    assert days_of(period, days.end_s) != days_of(period, days.end_s - 1)


def test_december_ends_with_the_year_and_once_never() -> None:
    december_s = datetime(2026, 12, 31, tzinfo=UTC).timestamp()
    assert days_of(Period.MONTH, december_s).end_s == datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    assert days_of(Period.ONCE, december_s).end_s is None
    assert days_of(Period.ONCE, 0.0) == days_of(Period.ONCE, NOW_S)


def test_amounts_are_rounded_against_the_spender_and_written_exactly() -> None:
    assert (rounded_up(Fraction("0.0000001")), rounded_down(Fraction("0.9999999"))) == (1, 999_999)
    assert for_time(1, 1) == 1
    assert for_time(3_600_000, -5) == 0
    assert [dollars(each) for each in (0, 1, 1_500_000, -20_000)] == ["$0.00", "$0.000001", "$1.50", "-$0.02"]
    assert decimal(1_500_000) == "1.500000"


def test_a_reservation_counts_in_full_in_each_period_until_it_is_settled_and_then_what_it_cost() -> None:
    ledger, day_s = Ledger({}), 86400
    ledger.reserve("c", Reserved("annex", int(NOW_S) + 3600, HOLD))
    assert ledger.account(PHYSICS, NOW_S).reserved == Amount(3_600_000, 3_600_000)
    assert ledger.account(PHYSICS, NOW_S + day_s).left == 10 * MICRO - 3_600_000
    ledger.settle("annex", frozenset(["c"]), NOW_S + 2, {"physics": 1_000_000})
    assert (ledger.account(PHYSICS, NOW_S).spent, ledger.account(PHYSICS, NOW_S + 2).spent) == (0, 1_000_000)
    assert ledger.account(PHYSICS, NOW_S + 2).reserved == Amount()
    assert ledger.account(PHYSICS, NOW_S + 2 + day_s).left == 10 * MICRO
    assert ledger.entries() == {}


def test_the_cost_of_archived_annexes_counts_in_its_period_only() -> None:
    day = int(NOW_S // 86400)
    ledger = Ledger({("physics", day): 4 * MICRO, ("physics", day - 1): 5 * MICRO, ("others", day): 7 * MICRO})
    assert ledger.account(PHYSICS, NOW_S).spent == 4 * MICRO
    assert ledger.account(Budget("Physics", MICRO), NOW_S).spent == 9 * MICRO, "names ignore case"


def test_a_change_under_way_holds_the_later_end_whatever_finishes_before_it() -> None:
    ledger, now_s = Ledger({}), int(NOW_S)
    ledger.reserve("c", Reserved("annex", now_s + 3600, HOLD))
    ledger.change("annex", ledger.entry("annex").ended_at("c", now_s + 3600))
    ledger.reserve("shorter", Reserved("annex", now_s + 3600))
    needs = ledger.needs("longer", Reserved("annex", now_s + 7200))
    assert needs == {"physics": Amount(3_600_000, 0)}
    ledger.reserve("longer", Reserved("annex", now_s + 7200))
    ledger.change("annex", ledger.entry("annex").ended_at("shorter", now_s + 1800))
    assert ledger.account(PHYSICS, NOW_S).reserved.money == 7_200_000
    ledger.change("annex", ledger.entry("annex").ended_at("longer", now_s + 5400))
    assert ledger.account(PHYSICS, NOW_S).reserved.money == 5_400_000


def test_a_refusal_names_budget_need_what_is_left_and_when_the_period_ends() -> None:
    ledger = Ledger({("physics", int(NOW_S // 86400)): 8 * MICRO})
    accounts = [ledger.account(PHYSICS, NOW_S)]
    [message] = refusals(accounts, {"physics": Amount(2 * MICRO + 1, MICRO)})
    for part in ("budget physics", "$2.000001", "of $10.00 until 2026-11-29T00:00:00Z $2.00 are left", "$8.00 spent"):
        assert part in message
    [message] = refusals(accounts, {"physics": Amount(2 * MICRO, 4 * MICRO + 1)})
    assert "$4.000001 an hour, and of $4.00 an hour at once $4.00 are left" in message
    assert refusals(accounts, {"physics": Amount(2 * MICRO, 4 * MICRO)}) == []
    assert refusals(accounts, {"physics": Amount(0, 0)}) == []


@pytest.mark.parametrize(
    ("need", "left"),
    [
        (Amount(10 * MICRO, 0), 4),
        (Amount(10 * MICRO + 1, 0), 3),
        (Amount(20 * MICRO, 0), 2),
        (Amount(41 * MICRO, 0), 0),
        (Amount(2 * MICRO, 10 * MICRO), 4),
        (Amount(1, 20 * MICRO), 2),
        (Amount(0, 0), 10),
    ],
)
def test_a_refusal_says_how_much_of_an_order_has_room(need: Amount, left: int) -> None:
    accounts = [Ledger({}).account(replace(PHYSICS, cap=4 * MICRO), NOW_S)]
    assert fitting(accounts, {"physics": need}, 10) == left
    texts = refusals(accounts, {"physics": need}, 10)
    assert all((f"order {left} instead of 10" if left else "order less") in each for each in texts)
    assert bool(texts) == (left < 10)
