"""The ghosts of one annexd, against a collector and a negotiator that respond from a script."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from annexd.daemoncore.pool.outbound import NoAnswer, Outbound, OutboundFailed
from annexd.demand.confirmation import limit_once
from annexd.demand.ghost_ad import Ghost
from annexd.demand.ghost_negotiators import JobClause
from annexd.demand.ghosts import GhostWatch

SHARED = "<192.0.2.1:9618?sock=collector>"
SCHEDD = "<192.0.2.2:9618?sock=schedd>"
PLAIN = JobClause("true", 300)
GPUS = JobClause("(RequestGPUs ?: 0) > 0", 300)
OFFERS = {"small": PLAIN, "big": PLAIN, "gpu": GPUS}
GHOSTS = [Ghost("small", 0, "[]"), Ghost("big", 0, "[]"), Ghost("gpu", 0, "[]")]
LIMITED = {("schedd", 7): ["limit licence"]}


class OnePool(Outbound):
    """A pool whose negotiators match a job of autocluster 7 with each ghost in each cycle."""

    def __init__(self) -> None:
        super().__init__({})
        self.cycles = 0
        self.heard_s = 100
        self.ghosts: list[str] = []
        self.silent: set[str] = set()  # kinds of ads for which queries of the collector fail
        self.is_busy = False  # the negotiators of ghosts are in a cycle

    async def call(
        self, name: str, arguments: Mapping[str, Any], timeout_s: float = 30.0, start_s: float = 60.0
    ) -> Any:
        assert timeout_s > 0
        assert start_s > 0
        if name == "advertise_copies":
            if arguments["command"] == "UPDATE_STARTD_AD":
                self.ghosts += [each["Name"].strip('"') for each in arguments["copies"]]
            return None
        if name == "offline_matches":
            matched_s = self._began_s() + 1 if self.cycles else None
            return [[each, "<x>", self.heard_s, matched_s, [[SCHEDD, 7]]] for each in self.ghosts]
        if (kind := arguments["kind"]) in self.silent:
            raise OutboundFailed(f"no {kind} ads")
        if kind == "Negotiator" and "LastNegotiationCycleTime0" in arguments["attributes"]:
            if GPUS.negotiator.lower() in str(arguments["collector"]) and "gpu" in self.silent:
                raise OutboundFailed("refused")
            if self.is_busy:
                raise NoAnswer(f"no answer within {timeout_s:g} s")
            return [[self._began_s(), self._began_s() + 2, None, None, None, None]] if self.cycles else []
        rows = {
            "Collector": [["pool", SHARED]],
            "Negotiator": [["negotiator", SHARED]],
            "Submitter": [["schedd", SCHEDD, None, "$CondorVersion: 25.14.1 2026-11-01 $"]],
        }
        return rows[kind]

    def _began_s(self) -> int:
        return self.heard_s + 60 * self.cycles


async def confirmed_in(pool: OnePool) -> GhostWatch:
    watch = GhostWatch(pool, "annexd@here", lambda: ["collector"], OFFERS)
    await watch.show(GHOSTS)
    pool.cycles = 1
    found = await watch.read()
    assert {offer: dict(counts) for offer, counts in found.matches.items()} == {
        each: {("schedd", 7): 1} for each in OFFERS
    }
    return watch


def test_the_ghosts_of_an_offer_that_is_taken_out_count_no_more_and_stop_no_other_offer() -> None:
    async def run() -> None:
        watch = await confirmed_in(OnePool())
        watch.reconfigure({"small": PLAIN, "gpu": GPUS})
        found = await watch.read()
        assert "big" not in found.matches
        assert limit_once(found, LIMITED).keys() <= {"small", "gpu"}
        await watch.show(GHOSTS)  # as a round does that began before the reconfiguration

    asyncio.run(run())


def test_an_offer_that_moves_to_another_negotiator_is_not_believed_by_what_the_old_one_gave() -> None:
    async def run() -> None:
        watch = await confirmed_in(OnePool())
        watch.reconfigure({**OFFERS, "big": GPUS})
        assert "big" not in (await watch.read()).matches

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["Submitter", "Collector"])
def test_a_collector_that_does_not_answer_is_a_fault_of_all_offers_whatever_else_is_wrong(kind: str) -> None:
    async def run() -> None:
        pool = OnePool()
        watch = await confirmed_in(pool)
        pool.silent = {"gpu"}
        assert (await watch.read()).faults.keys() == {"gpu"}
        pool.silent = {"gpu", kind}
        found = await watch.read()
        assert found.fault
        assert not found.faults, "it is not one of some offers only"

    asyncio.run(run())


@pytest.mark.parametrize("is_busy", [True, False], ids=["its negotiator is busy", "the collector does not answer"])
def test_a_cycle_that_was_under_way_when_the_state_changed_does_not_count(is_busy: bool) -> None:
    async def run() -> None:
        pool = OnePool()
        watch = await confirmed_in(pool)
        pool.cycles = 2  # it has begun and is under way
        pool.is_busy, pool.silent = is_busy, set() if is_busy else {"Submitter"}
        await watch.show(GHOSTS, state="a machine more")
        assert (await watch.read()).cycles == 0
        pool.is_busy, pool.silent = False, set()
        assert (await watch.read()).cycles == 0
        pool.cycles = 3
        assert (await watch.read()).cycles == 1

    asyncio.run(run())


def test_a_cycle_that_began_after_the_state_changed_counts() -> None:
    async def run() -> None:
        pool = OnePool()
        watch = await confirmed_in(pool)
        await watch.show(GHOSTS, state="a machine more")
        assert (await watch.read()).cycles == 0
        pool.cycles = 2
        assert (await watch.read()).cycles == 1

    asyncio.run(run())
