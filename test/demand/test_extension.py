"""The leases that are extended: at 0.8 of each, while machines have jobs, up to the longest, and never in doubt."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from annexd.demand.extension import LEAST_S, TRIES_S, Extension, Lease, Terms, due_s, extensions

HOUR_S = 3600
BEGAN_S = 1_800_000_000
LEASE = Lease("annex-1", "small", BEGAN_S, 4 * HOUR_S, BEGAN_S + 4 * HOUR_S, hears_s=420.0, claimed=1)
TERMS = Terms(12 * HOUR_S)
DUE_S = BEGAN_S + 3.2 * HOUR_S


def decided(lease: Lease = LEASE, terms: Terms = TERMS, now_s: float = DUE_S) -> Extension | None:
    found = extensions([lease], {"small": terms}, now_s)
    return found[0] if found else None


def why_not(lease: Lease = LEASE, terms: Terms = TERMS, now_s: float = DUE_S) -> str:
    found = decided(lease, terms, now_s)
    assert found is not None
    assert not found.length_s
    return found.why


def test_a_lease_is_extended_by_its_length_at_four_fifths_of_it_and_not_before() -> None:
    assert decided(now_s=DUE_S - 1) is None
    assert decided(now_s=DUE_S) == Extension("annex-1", "small", LEASE.end_s, 4 * HOUR_S)


def test_after_an_extension_it_is_due_again_at_four_fifths_of_that() -> None:
    longer = replace(LEASE, end_s=LEASE.end_s + 4 * HOUR_S)
    assert decided(longer) is None
    assert decided(longer, now_s=DUE_S + 4 * HOUR_S - 1) is None
    found = decided(longer, now_s=DUE_S + 4 * HOUR_S)
    assert found is not None
    assert found.length_s == 4 * HOUR_S


def test_a_lease_never_gets_longer_than_the_longest() -> None:
    found = decided(terms=Terms(5 * HOUR_S))
    assert found is not None
    assert found.length_s == HOUR_S
    assert "MAX_LEASE" in why_not(terms=Terms(4 * HOUR_S))
    assert "MAX_LEASE" in why_not(terms=Terms(3 * HOUR_S)), "the knob was lowered"
    assert "MAX_LEASE" in why_not(terms=Terms(4 * HOUR_S + LEAST_S - 1)), "the lease function would not notice"
    found = decided(terms=Terms(4 * HOUR_S + LEAST_S))
    assert found is not None
    assert found.length_s == LEAST_S


def test_a_short_lease_is_decided_in_time_for_its_machines_to_hear_of_it() -> None:
    short = replace(LEASE, length_s=1800, end_s=BEGAN_S + 1800)
    assert due_s(short) == short.end_s - 420 - TRIES_S
    assert decided(short, now_s=due_s(short) - 1) is None
    found = decided(short, now_s=due_s(short))
    assert found is not None
    assert found.length_s == 1800
    tiny = replace(LEASE, length_s=600, end_s=BEGAN_S + 600)
    assert decided(tiny, now_s=BEGAN_S) is not None


def test_an_annex_without_jobs_is_not_extended() -> None:
    assert why_not(replace(LEASE, claimed=0)) == "no machine of it has a job"


def test_unknown_facts_extend_nothing() -> None:
    assert "does not say" in why_not(replace(LEASE, claimed=None))


def test_a_paused_offer_extends_nothing() -> None:
    assert why_not(terms=replace(TERMS, paused="paused by alice")) == "paused by alice"


def test_a_moved_end_stands() -> None:
    assert why_not(replace(LEASE, held="its lease was shortened")) == "its lease was shortened"


def test_a_lease_whose_machines_drain_already_is_not_extended() -> None:
    last_s = LEASE.end_s - LEASE.hears_s
    found = decided(now_s=last_s)
    assert found is not None
    assert found.length_s
    assert "too late" in why_not(now_s=last_s + 1)
    assert decided(now_s=LEASE.end_s) is None, "it is over"


def test_an_offer_without_extensions_says_nothing() -> None:
    assert extensions([LEASE], {"other": TERMS}, DUE_S) == []


@given(
    st.builds(
        Lease,
        st.just("annex-1"),
        st.just("small"),
        st.just(BEGAN_S),
        st.integers(1, 100_000),
        st.integers(BEGAN_S + 1, BEGAN_S + 200_000),
        st.floats(300, 1000),
        st.none() | st.integers(0, 2),
        st.sampled_from(["", "", "its end is being moved"]),
    ),
    st.integers(1, 300_000),
    st.integers(0, 250_000),
)
def test_no_extension_passes_the_longest_lease_or_comes_without_a_job(
    lease: Lease, longest_s: int, after_s: int
) -> None:
    found = decided(lease, Terms(longest_s), BEGAN_S + after_s)
    if found is None or not found.length_s:
        assert found is None or found.why
        return
    assert lease.end_s + found.length_s <= BEGAN_S + longest_s
    assert LEAST_S <= found.length_s <= lease.length_s
    assert lease.claimed
    assert not lease.held
