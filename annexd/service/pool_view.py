"""The pool's view of each annex: machines that have booted, that have joined, and that have a claimed slot.

The collector is queried only when annexd is, and at most every FRESH_S, by a worker process of its own: a collector
that hangs delays neither the daemon's ad nor condor_master's keepalives.  Machines advertise their slots themselves, so
these counts are for display only.
"""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from annexd.annex.status import PoolCounts, PoolSnapshot
from annexd.daemoncore.pool.outbound import Outbound, OutboundFailed

FRESH_S: Final = 10.0
ANSWER_S: Final = 5.0  # time that -status waits for a collector; after that it shows the earlier counts
QUERY_S: Final = 30.0
MASTERS: Final = "Master"  # types of ads
SLOTS: Final = "Startd"
OF_AN_ANNEX: Final = "AnnexID isnt undefined"
SLOT: Final = re.compile(r"slot\d+(_\d+)?@")  # before the name of the machine's startd
INSTANCE: Final = re.compile(r"@(i-[0-9a-f]{8,32})(?:@|$)")
ATTRIBUTES: Final = ("AnnexID", "Name", "State")


class PoolView:
    """Counts the machines of all annexes in the pool; `collectors` returns their addresses, in order of preference."""

    def __init__(self, outbound: Outbound, collectors: Callable[[], Sequence[str]]) -> None:
        self._outbound, self._collectors = outbound, collectors
        self._snapshot = PoolSnapshot()
        self._asking: asyncio.Task[None] | None = None
        self._restart: asyncio.Task[None] | None = None

    def snapshot(self) -> PoolSnapshot:
        """Return the newest counts.  Thread-safe."""
        return self._snapshot

    async def refresh(self) -> None:
        """Query the collector, unless that was done a short time ago; return after ANSWER_S at the latest."""
        if 0 <= time.time() - self._snapshot.at_s < FRESH_S:  # after the clock was set back nothing is fresh
            return
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        await asyncio.wait({self._asking}, timeout=ANSWER_S)

    def reconfigure(self) -> None:
        """Use the new configuration from the next query on."""
        self._restart = asyncio.create_task(self._outbound.restart_worker())

    async def _ask(self) -> None:
        faults = []
        for collector in self._collectors():
            asked_s = time.time()
            try:
                masters = await self._query(MASTERS, collector)
                slots = list(await self._query(SLOTS, collector))
            except OutboundFailed as error:
                faults.append(f"{collector}: {error}")
            else:
                self._snapshot = PoolSnapshot(asked_s, counts_of(masters, slots), claimed_in(slots))
                return
        self._snapshot = replace(self._snapshot, fault="; ".join(faults) or "no collector is configured")

    async def _query(self, kind: str, collector: str) -> Iterable[Sequence[Any]]:
        arguments = {"kind": kind, "collector": collector, "constraint": OF_AN_ANNEX, "attributes": ATTRIBUTES}
        rows: Iterable[Sequence[Any]] = await self._outbound.call("query", arguments, QUERY_S)
        return rows


def claimed_in(slots: Iterable[Sequence[Any]]) -> frozenset[str]:
    """Return the instances with a claimed slot, whose startds are named after them."""
    names = [str(name) for _annex_id, name, state in slots if state == "Claimed"]
    return frozenset(found[1] for name in names if (found := INSTANCE.search(name)))


def counts_of(masters: Iterable[Sequence[Any]], slots: Iterable[Sequence[Any]]) -> Mapping[str, PoolCounts]:
    """Count machines by annex ID; each row is an AnnexID, Name and State, any of which may be None."""
    booted: dict[str, set[str]] = defaultdict(set)
    joined: dict[str, set[str]] = defaultdict(set)
    claimed: dict[str, set[str]] = defaultdict(set)
    for annex_id, name, _state in masters:
        if isinstance(annex_id, str) and isinstance(name, str):
            booted[annex_id].add(name)
    for annex_id, name, state in slots:
        if isinstance(annex_id, str) and isinstance(name, str):
            machine = SLOT.sub("", name)
            joined[annex_id].add(machine)
            if state == "Claimed":
                claimed[annex_id].add(machine)
    return {
        annex_id: PoolCounts(len(booted[annex_id] | joined[annex_id]), len(joined[annex_id]), len(claimed[annex_id]))
        for annex_id in booted.keys() | joined.keys()
    }
