"""The decision on idle jobs: the orders, and the reasons for each group, by steps, caps and a negotiator's matches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from annexd.demand.decision import decide
from annexd.demand.packing import Resources
from annexd.demand.situation import (
    CAP,
    CLOSED,
    COVERED,
    IN_FLIGHT,
    LEFT_OUT,
    NO_OFFER,
    NOT_CONFIRMED,
    NOT_KNOWN,
    ORDERING,
    STEP,
    YOUNG,
    Confirmed,
    Decision,
    FreeRoom,
    OfferNow,
    Situation,
    WaitingGroup,
)

SMALL = OfferNow("small", Resources(2, 4_000), 1_000_000, max_machines=20, step=5)
BIG = OfferNow("big", Resources(8, 16_000), 8_000_000, max_machines=20, step=5)


def jobs(key: str, count: int, cpus: int = 1, schedd: str = "ap", autocluster: int = 1) -> WaitingGroup:
    return WaitingGroup(key, schedd, autocluster, count, Resources(cpus, 1_000))


def decided(
    groups: Sequence[WaitingGroup],
    *offers: OfferNow,
    free: Sequence[FreeRoom] = (),
    confirmed: Mapping[str, Confirmed] | None = None,
    fits: Callable[[str, str], bool] = lambda *_: True,
) -> Decision:
    return decide(Situation(groups, offers or (SMALL,), free, fits, confirmed))


def states(decision: Decision, key: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in decision.groups[key]:
        found[part.state] = found.get(part.state, 0) + part.jobs
    return found


def test_as_many_machines_are_ordered_as_the_jobs_fill() -> None:
    found = decided([jobs("flood", 7)])
    assert found.orders == {"small": 4}
    assert states(found, "flood") == {ORDERING: 7}


def test_nothing_is_ordered_for_what_free_slots_will_take_or_what_is_on_its_way() -> None:
    free = [FreeRoom("slot", Resources(1, 2_000), 2)]
    found = decided([jobs("flood", 7)], replace(SMALL, living=2, in_flight=2), free=free)
    assert found.orders == {"small": 1}
    assert states(found, "flood") == {COVERED: 2, IN_FLIGHT: 4, ORDERING: 1}


def test_one_decision_orders_at_most_step_machines_and_no_dearer_ones_instead() -> None:
    found = decided([jobs("flood", 100)], replace(SMALL, max_machines=1_000), BIG)
    assert found.orders == {"small": 5}
    assert "5 machines of offer small of 50: at most 5 at a time" in found.groups["flood"][0].text


def test_an_offer_never_has_more_machines_than_its_max() -> None:
    found = decided([jobs("flood", 100)], replace(SMALL, living=18))
    assert found.orders == {"small": 2}
    assert states(found, "flood") == {ORDERING: 4, CAP: 96}


def test_a_closed_offer_orders_nothing_and_another_one_takes_its_jobs() -> None:
    closed = replace(SMALL, closed="paused by alice@pool")
    assert decided([jobs("flood", 8)], closed, BIG).orders == {"big": 1}
    alone = decided([jobs("flood", 8)], closed)
    assert not alone.orders
    assert [(each.state, each.text) for each in alone.groups["flood"]] == [
        (CLOSED, "offer small: paused by alice@pool")
    ]


def test_jobs_that_fit_no_offer_get_nothing_and_the_reason() -> None:
    found = decided([jobs("wide", 3, cpus=64), jobs("picky", 2)], SMALL, fits=lambda group, _: group != "picky")
    assert not found.orders
    assert states(found, "wide") == {NO_OFFER: 3}
    assert states(found, "picky") == {NO_OFFER: 2}


def test_jobs_that_cannot_be_evaluated_are_left_out_with_a_word() -> None:
    found = decided([WaitingGroup("hostile", "ap", 1, 9, None, "its Requirements took too long"), jobs("flood", 2)])
    assert found.orders == {"small": 1}
    assert states(found, "hostile") == {LEFT_OUT: 9}


def test_old_news_order_nothing_and_keep_their_place_in_what_exists() -> None:
    old = replace(jobs("old", 4), fault="schedd ap has not answered for 300 s")
    free = [FreeRoom("slot", Resources(4, 8_000), 1)]
    found = decided([old, jobs("new", 2, schedd="other")], free=free)
    assert states(found, "old").keys() <= {COVERED, NOT_KNOWN}
    assert found.orders == {"small": 1}
    assert not decided([old]).orders


def test_without_an_answer_of_the_negotiator_nothing_is_ordered_but_the_ghosts_are_shown() -> None:
    found = decided([jobs("flood", 4)], confirmed={})
    assert (found.orders, found.ghosts) == ({}, {"small": 2})
    assert states(found, "flood") == {NOT_CONFIRMED: 4}
    faulty = decided([jobs("flood", 4)], confirmed={"small": Confirmed({}, fault="no ad of it in the collector")})
    assert not faulty.orders
    assert "no ad of it in the collector" in faulty.groups["flood"][0].text


def test_a_user_with_three_slots_of_a_quota_left_gets_machines_for_three_jobs() -> None:
    found = decided([jobs("flood", 1_000)], confirmed={"small": Confirmed({("ap", 1): 3})})
    assert found.orders == {"small": 2}
    assert "quota, priority or limit" in found.groups["flood"][0].text


def test_jobs_given_to_machines_on_their_way_are_not_counted_twice() -> None:
    flying = replace(SMALL, living=2, in_flight=2)
    found = decided([jobs("flood", 1_000)], flying, confirmed={"small": Confirmed({("ap", 1): 4})})
    assert not found.orders
    assert found.ghosts == {"small": 7}


def test_capacity_for_jobs_that_free_slots_will_take_is_not_given_to_others() -> None:
    free = [FreeRoom("slot", Resources(3, 8_000), 1)]
    found = decided([jobs("flood", 1_000)], free=free, confirmed={"small": Confirmed({("ap", 1): 3})})
    assert not found.orders
    assert found.ghosts == {"small": 5 + 2}
    more = decided([jobs("flood", 1_000)], free=free, confirmed={"small": Confirmed({("ap", 1): 5})})
    assert more.orders == {"small": 1}


def test_the_count_of_a_schedd_that_offers_only_some_jobs_holds_for_one_step() -> None:
    full = {"small": Confirmed({("ap", 1): 4}, frozenset(["flood"]))}
    offer = replace(SMALL, max_machines=1_000, step=50)
    assert decided([jobs("flood", 1_000)], offer, confirmed=full).orders == {"small": 50}
    flying = replace(offer, living=50, in_flight=50)
    assert not decided([jobs("flood", 1_000)], flying, confirmed=full).orders


def test_the_count_of_a_schedd_holds_only_for_users_whose_limit_is_reached_and_for_jobs_old_enough() -> None:
    mine, others = jobs("flood", 60), jobs("over quota", 1_000, autocluster=2)
    full = {"small": Confirmed({("ap", 1): 20}, frozenset(["flood"]))}
    offer = replace(SMALL, max_machines=1_000, step=50)
    assert decided([mine, others], offer, confirmed=full).orders == {"small": 30}
    young = replace(mine, is_young=True)
    assert decided([young], offer, confirmed=full).orders == {"small": 10}, "what the negotiator has matched"


def test_the_next_step_is_shown_with_the_machines_that_are_ordered_now() -> None:
    found = decided([jobs("flood", 100)], confirmed={"small": Confirmed({("ap", 1): 10})})
    assert (found.orders, found.ghosts) == ({"small": 5}, {"small": 10})
    flying = replace(SMALL, living=5, in_flight=5)
    following = decided([jobs("flood", 100)], flying, confirmed={"small": Confirmed({("ap", 1): 20})})
    assert following.orders == {"small": 5}


def test_another_group_of_the_same_autocluster_shares_what_was_given() -> None:
    both = [jobs("of alice", 4), jobs("of bob", 4)]
    assert decided(both, confirmed={"small": Confirmed({("ap", 1): 4})}).orders == {"small": 2}


def test_an_offer_that_shows_its_step_says_so_where_nothing_is_ordered() -> None:
    flying = replace(SMALL, step=2, living=2, in_flight=2)
    full = {"small": Confirmed({("ap", 1): 4}, frozenset(["flood"]))}
    found = decided([jobs("flood", 100)], flying, confirmed=full)
    assert states(found, "flood").keys() <= {IN_FLIGHT, NOT_CONFIRMED, STEP, CAP}


groups = st.lists(
    st.builds(
        WaitingGroup,
        st.sampled_from("abcdef"),
        st.sampled_from(["ap1", "ap2"]),
        st.integers(1, 3),
        st.integers(1, 60),
        st.none() | st.builds(Resources, st.integers(1, 12), st.integers(0, 20_000)),
        st.sampled_from(["", "", "too old"]),
    ),
    max_size=6,
    unique_by=lambda each: each.key,
)
counts = st.integers(0, 8)
offers = st.builds(
    lambda offer, living, flying, step, closed: replace(
        offer, living=living + flying, in_flight=flying, step=step, closed=closed
    ),
    st.sampled_from([SMALL, BIG]),
    counts,
    counts,
    st.integers(1, 6),
    st.sampled_from(["", "", "paused"]),
)
given_jobs = st.dictionaries(st.tuples(st.sampled_from(["ap1", "ap2"]), st.integers(1, 3)), st.integers(0, 40))
confirmations = st.none() | st.dictionaries(
    st.sampled_from(["small", "big"]), st.builds(Confirmed, given_jobs, st.frozensets(st.sampled_from("abcdef")))
)


@given(groups, st.lists(offers, max_size=2, unique_by=lambda each: each.name), confirmations)
def test_every_job_is_reported_once_and_no_limit_is_passed(
    waiting: list[WaitingGroup], now: list[OfferNow], confirmed: Mapping[str, Confirmed] | None
) -> None:
    found = decide(Situation(waiting, now, [], lambda *_: True, confirmed))
    unconfirmed = decide(Situation(waiting, now, [], lambda *_: True, None))
    for group in waiting:
        assert sum(part.jobs for part in found.groups[group.key]) == group.count
    for offer in now:
        ordered = found.orders.get(offer.name, 0)
        assert ordered <= offer.step
        assert ordered <= unconfirmed.orders.get(offer.name, 0)
        assert not ordered or offer.living + ordered <= offer.max_machines
        assert not (ordered and offer.closed)
    if all(group.needs is None or group.fault for group in waiting):
        assert not found.orders


def test_jobs_that_will_be_old_enough_are_shown_to_the_negotiator_and_ordered_for_once_it_matched_them() -> None:
    young = replace(jobs("flood", 6), is_young=True)
    before = decided([young], confirmed={"small": Confirmed({})})
    assert (before.orders, before.ghosts) == ({}, {"small": 3})
    assert states(before, "flood") == {YOUNG: 6}
    assert before.groups["flood"][0].text == "not idle for long enough yet (IDLE_AGE of offer small)"
    after = decided([young], confirmed={"small": Confirmed({("ap", 1): 3})})
    assert after.orders == {"small": 2}, "three of them are old enough by the negotiator's clock"
