"""The negotiators' answers as they are prepared for a decision."""

from __future__ import annotations

from dataclasses import replace

from annexd.demand.confirmation import Confirmation
from annexd.demand.idle_jobs import IdleGroup
from annexd.demand.offer import Offer
from annexd.demand.situation import Confirmed
from annexd.service.demand_situation import confirmed_of

OFFERS = [Offer(name, {}, "true", 3600, 10) for name in ("small", "gpu", "silent", "broken")]


def group(autocluster: int, user: str, *limits: str) -> IdleGroup:
    return IdleGroup(f"ap#{autocluster}#{user}", "ap", autocluster, user, 9, 0.0, "1.0", "[]", limits=limits)


def answered(small: dict[int, int], gpu: dict[int, int]) -> Confirmation:
    found = {"small": small, "gpu": gpu}
    return Confirmation(
        {offer: {("ap", number): jobs for number, jobs in counts.items()} for offer, counts in found.items()},
        1,
        faults={"broken": "no such negotiator"},
        negotiators={each.name: f"negotiator of {each.name}" for each in OFFERS},
        limited=frozenset({"ap"}),
    )


def test_a_quota_a_ceiling_or_a_limit_that_two_negotiators_gave_is_given_once() -> None:
    groups = [group(1, "physics.alice@x"), group(2, "bob@x"), group(3, "carol@x", "licence"), group(4, "dave@x")]
    found = confirmed_of(
        answered(dict.fromkeys(range(1, 5), 3), dict.fromkeys(range(1, 5), 3)), OFFERS, groups, {"physics", "bob@x"}
    )
    assert found["small"].jobs == {("ap", number): 3 for number in range(1, 5)}
    assert found["gpu"].jobs == {("ap", 1): 0, ("ap", 2): 0, ("ap", 3): 0, ("ap", 4): 3}


def test_a_source_without_an_answer_yet_is_missing_and_a_failed_one_is_a_fault() -> None:
    found = confirmed_of(answered({}, {1: 20}), OFFERS, [group(1, "alice@x")])
    assert found == {
        "small": Confirmed({}),
        "gpu": Confirmed({("ap", 1): 20}, frozenset({"ap#1#alice@x"})),
        "broken": Confirmed({}, fault="no such negotiator"),
    }


def test_jobs_that_run_by_now_use_up_what_is_left_of_a_limit() -> None:
    answer = replace(answered({1: 3}, {1: 3}), gone={"small": {("ap", 1): 1}})
    found = confirmed_of(answer, OFFERS, [group(1, "carol@x", "licence")])
    assert (found["small"].jobs, found["gpu"].jobs) == ({("ap", 1): 2}, {("ap", 1): 0})
