"""annexd's conclusions from ghosts, without a pool."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexd.demand.accounting import NO_CEILING, Standing, differences, limited_of, limits_of, standings_of
from annexd.demand.confirmation import Confirmation, Cycle, GhostReading, Schedd, count, gone_since, limit_once, total
from annexd.demand.demand_config import demand_config
from annexd.demand.ghost_negotiators import JobClause, by_clause, faults_of_names
from annexd.demand.ghost_queries import cycles_in, schedds_of, version_of
from annexd.demand.ghosts import Watched

CYCLE = Cycle(100, 105)
ADDRESS = "<192.0.2.1:9618?sock=schedd>"
SCHEDDS = {ADDRESS: Schedd("schedd@here", (25, 14, 1))}
RECORDS = ((ADDRESS, 7), (ADDRESS, 7), (ADDRESS, 8))


def reading(matched_s: int | None, records: tuple[tuple[str, int], ...] = RECORDS) -> GhostReading:
    return GhostReading("slot1@ghost", "small", 90, matched_s, records)


def test_each_record_of_the_cycle_is_a_job() -> None:
    assert count([reading(103)], CYCLE, SCHEDDS) == {"small": {("schedd@here", 7): 2, ("schedd@here", 8): 1}}


@pytest.mark.parametrize("matched_s", [None, 99, 106])
def test_a_match_of_an_earlier_or_later_cycle_is_none_of_this_one(matched_s: int | None) -> None:
    assert count([reading(matched_s)], CYCLE, SCHEDDS) == {"small": {}}


def test_a_match_for_a_schedd_that_the_collector_does_not_know_is_left_out() -> None:
    assert count([reading(103, (("<192.0.2.9:1>", 7),))], CYCLE, SCHEDDS) == {"small": {}}


def test_a_cycle_that_began_in_the_second_of_the_update_may_not_have_seen_it() -> None:
    assert not CYCLE.has_seen(100)
    assert CYCLE.has_seen(99)


def test_only_whole_cycles_count() -> None:
    assert cycles_in([100, 105, 80, None, 0, 0]) == [CYCLE]


def test_schedds_are_known_by_either_address() -> None:
    rows = [["schedd@here", None, ADDRESS, "$CondorVersion: 25.14.1 2026-10-16 $"], [None, ADDRESS, ADDRESS, None]]
    assert schedds_of(rows) == SCHEDDS


@pytest.mark.parametrize(
    ("text", "version"), [("$CondorVersion: 23.9.6 2024 $", (23, 9, 6)), ("$CondorVersion: x $", ()), (None, ())]
)
def test_an_unknown_version_is_older_than_all(text: object, version: tuple[int, ...]) -> None:
    assert version_of(text) == version
    assert not Schedd("any", version).is_limited


def confirmed(**matches: dict[int, int]) -> Confirmation:
    named = {offer: {("schedd", number): jobs for number, jobs in found.items()} for offer, found in matches.items()}
    negotiators = {"small": "first", "big": "first", "gpu": "second"}
    return Confirmation(named, 1, negotiators=negotiators, limited=frozenset({"schedd"}))


def test_offers_of_one_negotiator_share_a_schedds_limit() -> None:
    found = confirmed(small={1: 12}, big={1: 8}, gpu={2: 5})
    users = {("schedd", 1): {"alice"}, ("schedd", 2): {"alice"}}
    assert found.kept_back("small", users) == found.kept_back("big", users) == {("schedd", "alice")}
    assert not found.kept_back("gpu", users)
    assert not replace(found, limited=frozenset({"another"})).kept_back("small", users)


def test_more_than_all_users_may_get_shows_that_the_limit_is_off() -> None:
    found = confirmed(small={1: 50})
    assert not found.kept_back("small", {("schedd", 1): {"alice", "bob"}})
    assert len(found.kept_back("small", {("schedd", 1): {"alice", "bob", "carol"}})) == 3


def test_a_schedds_limit_is_each_users_own() -> None:
    found = confirmed(small={1: 20, 2: 8, 3: 8, 4: 8})
    users = {("schedd", number): {user} for number, user in enumerate(["alice", "bob", "carol", "dave", "eve"], 1)}
    assert found.kept_back("small", users) == {("schedd", "alice")}


def test_a_limit_of_two_negotiators_is_given_once_and_one_of_a_single_negotiator_stays() -> None:
    both = {("schedd", 1): ["licence"]}
    assert limit_once(confirmed(small={1: 2}, big={1: 1}, gpu={1: 3}), both) == {
        "small": {("schedd", 1): 2},
        "big": {("schedd", 1): 1},
        "gpu": {("schedd", 1): 0},
    }
    assert limit_once(confirmed(small={1: 2}, big={1: 1}), both)["big"] == {("schedd", 1): 1}


AUTOCLUSTER = ("schedd", 1)


def test_a_quota_does_not_count_again_for_jobs_that_run_by_now() -> None:
    """Six of the eleven idle jobs were matched, within a quota.  Four of them run now, and the quota is almost used."""
    watched = Watched(JobClause("true", 300))
    watched.take(CYCLE, {"small": {AUTOCLUSTER: 6}}, {AUTOCLUSTER: 11})
    assert Confirmation(watched.fullest({AUTOCLUSTER: 11})[0]).still_idle("small") == {AUTOCLUSTER: 6}
    matches, gone = watched.fullest({AUTOCLUSTER: 7})
    assert Confirmation(matches, gone=gone).still_idle("small") == {AUTOCLUSTER: 2}


def test_of_two_cycles_the_one_counts_of_which_more_is_idle_still() -> None:
    watched = Watched(JobClause("true", 300))
    watched.take(CYCLE, {"small": {AUTOCLUSTER: 6}}, {AUTOCLUSTER: 11})
    watched.take(Cycle(120, 125), {"small": {AUTOCLUSTER: 4}}, {AUTOCLUSTER: 8})
    assert watched.fullest({AUTOCLUSTER: 8}) == ({"small": {AUTOCLUSTER: 4}}, {"small": {AUTOCLUSTER: 0}})


def test_offers_of_one_negotiator_lose_a_job_that_runs_once() -> None:
    matches = {"small": {AUTOCLUSTER: 2}, "big": {AUTOCLUSTER: 4}}
    gone = gone_since(matches, {AUTOCLUSTER: 9}, {AUTOCLUSTER: 6})
    assert gone == {"small": {AUTOCLUSTER: 2}, "big": {AUTOCLUSTER: 1}}
    assert Confirmation(matches, gone=gone).still_idle("big") == {AUTOCLUSTER: 3}
    assert Confirmation(matches).still_idle("gpu") is None


jobs_by_number = st.dictionaries(st.integers(1, 4), st.integers(0, 30), max_size=4)
limit_names = st.dictionaries(st.integers(1, 4), st.sets(st.sampled_from("abc"), max_size=3), max_size=4)


@given(jobs_by_number, jobs_by_number, jobs_by_number, limit_names)
def test_no_limit_is_given_more_than_once_and_nothing_is_added(
    small: dict[int, int], big: dict[int, int], gpu: dict[int, int], names: dict[int, set[str]]
) -> None:
    found = confirmed(small=small, big=big, gpu=gpu)
    limits = {("schedd", number): sorted(each) for number, each in names.items()}
    once = limit_once(found, limits)
    for offer, counts in once.items():
        assert all(0 <= jobs <= found.matches[offer][key] for key, jobs in counts.items())
    for limit in "abc":
        limited = {key for key, each in limits.items() if limit in each}
        given_by = [
            sum(found.matches[offer].get(key, 0) for offer in offers for key in limited)
            for offers in (("small", "big"), ("gpu",))
        ]
        assert sum(once[offer].get(key, 0) for offer in once for key in limited) <= max(given_by)
    if not any(names.values()):
        assert total(once) == total(found.matches)


def test_offers_with_the_same_clause_and_age_share_a_negotiator_in_whatever_spelling() -> None:
    offers = {"small": JobClause("a  >\n1", 300), "big": JobClause("a > 1", 300), "late": JobClause("a > 1", 600)}
    assert list(by_clause(offers).values()) == [["small", "big"], ["late"]]
    text = demand_config(offers)
    assert text.count("-local-name") == 2
    assert "NEGOTIATOR_JOB_CONSTRAINT = (a > 1) && time() - EnteredCurrentStatus >= 600\n" in text


@pytest.mark.parametrize("names", [["1st"], ["a-b"], ["gpu", "GPU"], ["x" * 33]])
def test_a_name_that_cannot_be_part_of_a_knob_is_refused(names: list[str]) -> None:
    assert len(faults_of_names(names)) == 1
    assert not faults_of_names(["gpu", "small_1"])


def test_users_whose_standing_differs_are_copied_and_groups_are_not() -> None:
    pools_own = standings_of(
        [
            ["a@x", 1000.0, -1, False, None],
            ["b@x", 2000.0, 5, False, None],
            ["group", 1.0, -1, True, 3.0],
            [None, None, None, None, None],
        ]
    )
    assert pools_own == {"a@x": Standing(1000.0, NO_CEILING), "b@x": Standing(2000.0, 5)}
    known = {"a@x": Standing(1000.0, NO_CEILING), "c@x": Standing(1.0, 1)}
    assert differences(pools_own, known) == {"b@x": Standing(2000.0, 5)}


def test_jobs_are_limited_by_ceilings_quotas_of_their_groups_and_concurrency_limits() -> None:
    rows: list[list[Any]] = [
        ["a@x", 1000.0, -1, False, None],
        ["B@x", 1000.0, 0, False, None],
        ["<none>", 0.0, -1, True, 0.0],
        ["Group.sub", 0.0, -1, True, 3.0],
        ["other", 0.0, -1, True, 0.0],
        [None, None, None, None, None],
    ]
    limited = limited_of(rows)
    assert limited == {"b@x", "group.sub"}
    assert limits_of("a@x", (), limited) == frozenset()
    assert limits_of("b@x", ("licence",), limited) == {"b@x", "limit licence"}
    assert limits_of("group.SUB.a@x", (), limited) == {"group.sub"}
    assert limits_of("group.a@x", (), limited) == limits_of("other.a@x", (), limited) == frozenset()


def test_an_offer_whose_negotiator_gave_nothing_has_been_asked() -> None:
    assert limit_once(confirmed(small={}), {}) == {"small": {}}
