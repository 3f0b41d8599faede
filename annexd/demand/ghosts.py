"""Show ghosts to their negotiators, and read which jobs would run there.

A negotiator writes its matches into a ghost's ad in the collector, and advertising the ad erases them.  So a look comes
before each update, and its results are kept here.
"""

import time
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from annexd.daemoncore import log
from annexd.daemoncore.pool.outbound import Outbound, OutboundFailed
from annexd.demand.confirmation import Confirmation, Cycle, GhostReading, Idle, Matches, count, gone_since, total
from annexd.demand.ghost_ad import (
    ADDRESS,
    DEFAULTS,
    LIFETIME_S,
    WHOLE_MACHINE,
    WITHOUT,
    Ghost,
    expressions,
    invalidation,
)
from annexd.demand.ghost_negotiators import JobClause
from annexd.demand.ghost_queries import PoolLook, PoolQueries

CYCLES_KEPT: Final = 3  # a list that lacks a match is rare; at least one of three cycles is complete
REFRESH_S: Final = LIFETIME_S / 3
STALE_S: Final = 300.0  # after this time without a completed cycle, a negotiator's results no longer count
AT_ONCE: Final = 200  # ads in one call
WITHDRAW_TIMEOUT_S: Final = 5.0


@dataclass
class Watched:
    """The known state of one negotiator and its ghosts."""

    clause: JobClause
    ghosts: dict[str, Ghost] = field(default_factory=dict)  # by name
    samples: dict[int, Matches] = field(default_factory=dict)  # by the beginning of the cycle
    idle: dict[int, Idle] = field(
        default_factory=dict
    )  # jobs that were idle in that cycle, or shortly before or after it
    newest_cycle_s: int = 0  # the beginning of the last one that is known
    forgotten_s: int = 0  # time up to which cycles no longer count
    is_heard: bool = False  # whether the negotiator responded to the last query
    forgets_next: bool = False  # whether to forget also the cycles that it names when it responds again
    progress_s: float = field(default_factory=time.monotonic)  # when the newest cycle was seen for the first time
    fault: str | None = None

    def show(self, ghosts: Mapping[str, Ghost]) -> None:
        """Take another set of ghosts; results for an earlier one do not count."""
        if ghosts != self.ghosts:
            self.forget()
            self.progress_s = time.monotonic() if not self.ghosts else self.progress_s
        self.ghosts = dict(ghosts)

    def forget(self) -> None:
        """Ignore all cycles that have begun.

        A negotiator that has just responded did so between two cycles, so all further ones begin later; one that has
        not may be in a cycle.  For new ghosts only cycles that begin after them count in any case.
        """
        self.samples, self.forgotten_s = {}, self.newest_cycle_s
        self.forgets_next = bool(self.ghosts) and not self.is_heard

    def hear(self, cycles: Sequence[Cycle] | None) -> None:
        """Take a negotiator's response about its cycles; None: it does not respond."""
        self.is_heard = cycles is not None
        newest = max((cycle.began_s for cycle in cycles or ()), default=self.newest_cycle_s)
        if newest != self.newest_cycle_s:
            self.newest_cycle_s, self.progress_s = newest, time.monotonic()
        if self.is_heard and self.forgets_next:
            self.forget()

    def take(self, cycle: Cycle, matches: Matches, idle: Idle) -> None:
        """Keep the known matches of a cycle: late ones may be added."""
        self.idle.setdefault(cycle.began_s, idle)
        if total(matches) >= total(self.samples.get(cycle.began_s, {})):
            self.samples[cycle.began_s] = matches
        self.samples = dict(sorted(self.samples.items())[-CYCLES_KEPT:])
        self.idle = {began_s: self.idle[began_s] for began_s in self.samples}

    def fullest(self, idle: Idle) -> tuple[Matches, Matches]:
        """Return the matches of one cycle, and how many of the jobs are gone by now.

        Parts of several cycles would add up to more than any of them gave.
        """
        answers = [(each, gone_since(each, self.idle[began_s], idle)) for began_s, each in self.samples.items()]
        return max(answers, key=lambda answer: total(answer[0]) - total(answer[1]), default=({}, {}))


class GhostWatch:
    """The ghosts of one annexd, named `annexd`.  Its methods are called one after the other, never at once."""

    def __init__(
        self,
        outbound: Outbound,
        annexd: str,
        collectors: Callable[[], Sequence[str]],
        offers: Mapping[str, JobClause],
        stale_s: float = STALE_S,
    ) -> None:
        self._outbound, self._annexd, self._collectors, self._stale_s = outbound, annexd, collectors, stale_s
        self._queries = PoolQueries(outbound, annexd)
        self._offers = offers
        self._watched: dict[str, Watched] = {}  # by key
        self._sent: dict[str, tuple[Ghost, float]] = {}  # by name: the ghost as sent, and when (monotonic)
        self._left_over: dict[str, str] = {}  # names and addresses of ghosts that this process has not sent
        self._state: Hashable = None
        self._idle: Idle = {}  # as of the last `read`
        self._recently_idle: Idle = {}  # the larger of it and the one before: the exact time of a cycle is unknown
        self._limited: frozenset[str] = frozenset()
        self._looked_s = 0.0  # since the epoch
        self._fault: str | None = None
        self.reconfigure(offers)

    def reconfigure(self, offers: Mapping[str, JobClause]) -> None:
        """Take the job clauses of the offers; results of ghosts of other clauses do not count."""
        self._offers = dict(offers)
        clauses = {clause.key: clause for clause in self._offers.values()}
        self._watched = {key: self._watched.get(key) or Watched(clause) for key, clause in clauses.items()}
        for key, watched in self._watched.items():
            watched.show({name: ghost for name, ghost in watched.ghosts.items() if self._is_of(ghost, key)})

    async def show(self, ghosts: Collection[Ghost], state: Hashable = None) -> None:
        """Make exactly these the ghosts in the pool.

        `state` represents everything besides the ghosts themselves that invalidates earlier results: which machines of
        the offers live or are on their way.  When it changes, earlier cycles no longer count.  Raises OutboundFailed if
        a collector does not take them; the next call tries again.
        """
        await self._look()
        if state != self._state:
            for each in self._watched.values():
                each.forget()
        self._state = state
        for key, watched in self._watched.items():
            mine = [ghost for ghost in ghosts if self._is_of(ghost, key)]
            watched.show({ghost.name(self._annexd): ghost for ghost in mine})
        await self._withdraw_others()
        await self._advertise_due()

    async def read(self, idle: Idle | None = None) -> Confirmation:
        """Return the confirmation, given the present numbers of idle jobs, since matched jobs may have started.

        Never raises: a collector that does not respond is a fault.
        """
        now, before = idle or {}, self._idle
        self._idle = now
        self._recently_idle = {each: max(now.get(each, 0), before.get(each, 0)) for each in now.keys() | before.keys()}
        await self._look()
        shown = [each for each in self._watched.values() if each.ghosts]
        answers = [each.fullest(now) for each in shown]
        faults = {ghost.offer: each.fault for each in shown if each.fault for ghost in each.ghosts.values()}
        faults = {} if self._fault else faults  # which are older than the collector's, and cover only some offers
        texts = [self._fault] if self._fault else sorted(set(faults.values()))
        return Confirmation(
            {offer: counts for matches, _gone in answers for offer, counts in matches.items()},
            min((len(each.samples) for each in shown), default=0),
            self._looked_s,
            "; ".join(texts) or None,
            faults,
            {offer: clause.negotiator for offer, clause in self._offers.items()},
            self._limited,
            {offer: counts for _matches, gone in answers for offer, counts in gone.items()},
        )

    async def withdraw(self) -> None:
        """Remove all ghosts, also those of an earlier process of this annexd that have been seen."""
        for watched in self._watched.values():
            watched.show({})
        names = {**self._left_over, **dict.fromkeys(self._sent, ADDRESS)}
        self._sent, self._left_over = {}, {}
        if names:
            await self._invalidate(names, WITHDRAW_TIMEOUT_S)

    def _is_of(self, ghost: Ghost, key: str) -> bool:
        """Return whether its offer has this clause, as of the last reconfiguration."""
        clause = self._offers.get(ghost.offer)
        return clause is not None and clause.key == key

    # The content of the pool.

    async def _look(self) -> None:
        """Read the collector, and take the matches of its ghosts."""
        negotiators = [watched.clause.negotiator for watched in self._watched.values() if watched.ghosts]
        faults = []
        for collector in self._collectors():
            try:
                look = await self._queries.look(collector, negotiators)
            except OutboundFailed as error:
                faults.append(f"collector {collector}: {error}")
            else:
                self._take(look)
                return
        self._fault = "; ".join(faults) or "no collector is configured"
        for watched in self._watched.values():
            watched.is_heard = False

    def _take(self, look: PoolLook) -> None:
        self._looked_s, self._fault = time.time(), None
        self._limited = frozenset(each.name for each in look.schedds.values() if each.is_limited)
        wanted = {name for each in self._watched.values() for name in each.ghosts}
        self._left_over = {name: row[0] for name, row in look.ghosts.items() if name not in self._sent}
        self._sent = {name: sent for name, sent in self._sent.items() if name in look.ghosts or name not in wanted}
        for watched in self._watched.values():
            if watched.ghosts:
                self._take_cycles(watched, look)

    def _take_cycles(self, watched: Watched, look: PoolLook) -> None:
        answer = look.cycles[watched.clause.negotiator]
        cycles = None if isinstance(answer, str) else answer
        watched.hear(cycles)
        watched.fault = answer if isinstance(answer, str) else self._fault_of(watched, look)
        if watched.fault:
            watched.forget()
        else:
            readings = [GhostReading(name, each.offer, *look.ghosts[name][1:]) for name, each in watched.ghosts.items()]
            heard_s = max(each.heard_s for each in readings)
            for cycle in cycles or ():
                if cycle.has_seen(max(heard_s, watched.forgotten_s)):
                    watched.take(cycle, count(readings, cycle, look.schedds), self._recently_idle)

    def _fault_of(self, watched: Watched, look: PoolLook) -> str | None:
        if lost := watched.ghosts.keys() - look.ghosts.keys():
            return f"the collector has lost {len(lost)} of {len(watched.ghosts)} machines that are shown to it"
        if time.monotonic() - watched.progress_s >= self._stale_s:
            name = watched.clause.negotiator
            return f"negotiator {name} has completed no cycle for {self._stale_s:g} s: see its log (NEGOTIATOR_LOG)"
        return None

    # Updates of the pool.

    async def _withdraw_others(self) -> None:
        """Remove the ghosts of an earlier plan or process."""
        wanted = {name for each in self._watched.values() for name in each.ghosts}
        names = {**self._left_over, **dict.fromkeys(self._sent, ADDRESS)}
        others = {name: address for name, address in names.items() if name not in wanted}
        if others:
            await self._invalidate(others)
            self._sent = {name: sent for name, sent in self._sent.items() if name in wanted}
            self._left_over = {}

    async def _advertise_due(self) -> None:
        """Advertise the ghosts that are new, have changed, are missing in the collector, or will expire soon."""
        now_s = time.monotonic()
        due = [
            (watched.clause.key, name, ghost)
            for watched in self._watched.values()
            for name, ghost in watched.ghosts.items()
            if (sent := self._sent.get(name)) is None or sent[0] != ghost or now_s - sent[1] >= REFRESH_S
        ]
        for (key, ad), alike in groupby(sorted(due, key=_kind), key=_kind):
            some = [(name, ghost) for _key, name, ghost in alike]
            for first in range(0, len(some), AT_ONCE):
                part = some[first : first + AT_ONCE]
                await self._advertise(ad, [expressions(ghost, self._annexd, key) for _name, ghost in part])
                self._sent |= {name: (ghost, now_s) for name, ghost in part}

    async def _advertise(self, ad: str, copies: Sequence[Mapping[str, str]]) -> None:
        shared = {"ad": ad, "without": WITHOUT, "computed": WHOLE_MACHINE, "defaults": DEFAULTS}
        await self._send("advertise_copies", {"command": "UPDATE_STARTD_AD", "copies": copies, **shared})

    async def _invalidate(self, names: Mapping[str, str], timeout_s: float = 30.0) -> None:
        queries = [invalidation(name, address) for name, address in names.items()]
        nothing: dict[str, object] = {"ad": "[]", "without": (), "computed": {}, "defaults": {}}
        for first in range(0, len(queries), AT_ONCE):
            some = queries[first : first + AT_ONCE]
            await self._send(
                "advertise_copies", {"command": "INVALIDATE_STARTD_ADS", "copies": some, **nothing}, timeout_s
            )

    async def _send(self, call: str, arguments: Mapping[str, object], timeout_s: float = 30.0) -> None:
        """Send to all collectors.  Raises OutboundFailed unless one of them has taken it."""
        faults = []
        collectors = self._collectors()
        for collector in collectors:
            try:
                await self._outbound.call(call, {"collector": collector, **arguments}, timeout_s)
            except OutboundFailed as error:
                faults.append(f"collector {collector}: {error}")
        if len(faults) == len(collectors):
            raise OutboundFailed("; ".join(faults) or "no collector is configured")
        for fault in faults:
            log.full_debug(f"Failed to send ghosts to a collector: {fault}")


def _kind(due: tuple[str, str, Ghost]) -> tuple[str, str]:
    key, _name, ghost = due
    return key, ghost.ad
