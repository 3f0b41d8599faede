"""Query the pool, AWS and the journal for the data of a decision about idle jobs.

Each source may fail by itself.  An unknown number is never treated as zero: it is a fault, and nothing is ordered
because of it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from annexd.annex.index import AnnexIndex
from annexd.annex.offered import OfferedAnnex, fleet_orders, offered_annexes
from annexd.annex.status import PoolSnapshot, Snapshot
from annexd.condor import bindings
from annexd.daemoncore import log
from annexd.daemoncore.pool.outbound import Outbound, OutboundFailed
from annexd.daemoncore.threads import in_thread
from annexd.demand.accounting import AccountingCopy, CopyState
from annexd.demand.confirmation import Autocluster, Confirmation
from annexd.demand.free_slots import SlotPicture
from annexd.demand.ghost_ad import Ghost
from annexd.demand.ghost_negotiators import JobClause
from annexd.demand.ghosts import GhostWatch
from annexd.demand.idle_jobs import IdleGroup, Numbering, QueuePicture
from annexd.demand.matching import Matcher, Matches
from annexd.demand.matching_process import MatchingFailed
from annexd.demand.pool_watch import PoolWorkers, QueueQuestion, QueueWatch, SlotWatch, photograph
from annexd.demand.situation import FreeRoom
from annexd.service.capacity_watch import WatchedFleet
from annexd.service.demand_settings import DemandSettings
from annexd.service.offer_book import OfferBook, OfferFacts
from annexd.workflow import JournalError

COPY_S: Final = 300.0  # between two looks for other priority factors and ceilings
WITHDRAW_S: Final = 15.0  # including the start of a worker
POOL_S: Final = 60.0  # after which the counts of annexes' machines are too old to extend a lease


@dataclass(frozen=True)
class DemandSources:
    """The daemon's sources."""

    index: AnnexIndex
    looks: Callable[[], Mapping[str, Snapshot]]
    pool: Callable[[], PoolSnapshot]
    refresh_pool: Callable[[], Awaitable[None]]
    collectors: Callable[[], Sequence[str]]


@dataclass
class Found:
    """The findings of one look."""

    settings: DemandSettings
    at_s: float
    facts: Mapping[str, OfferFacts]
    ordering: frozenset[str] = frozenset()  # offers whose orders were under way when the look began
    groups: dict[str, IdleGroup] = field(default_factory=dict)
    candidates: dict[str, frozenset[str]] = field(default_factory=dict)  # groups that an offer serves, by its name
    young: set[str] = field(default_factory=set)  # groups whose jobs are not known to be old enough for any offer yet
    renumbered: int = 0  # number of times that schedds have renumbered autoclusters
    faulty: dict[str, str] = field(default_factory=dict)  # groups for which nothing may be ordered, and why
    rooms: list[FreeRoom] = field(default_factory=list)
    room_ads: dict[str, str] = field(default_factory=dict)
    annexes: list[OfferedAnnex] = field(default_factory=list)
    knows_jobs: bool = False  # whether the collector has just reported which machines of annexes have jobs
    fleets: Sequence[WatchedFleet] = ()
    paused: Mapping[str, str] = field(default_factory=dict)
    matches: Matches = field(default_factory=lambda: Matches({}, {}))
    confirmation: Confirmation | None = None  # None: no negotiator is queried
    limited: frozenset[str] = frozenset()  # users with a ceiling and groups with a quota
    faults: list[str] = field(default_factory=list)
    may_order: bool = True

    def why_paused(self, offer: str) -> str:
        """Return the user who paused an offer, or ""."""
        if offer not in self.paused:
            return ""
        return f"paused by {self.paused[offer]} (condor_annex -resume {offer})"


class DemandLook:
    """Looks, and shows ghosts; `name` is annexd's name in the pool."""

    def __init__(
        self,
        sources: DemandSources,
        book: OfferBook,
        environment: Mapping[str, str],
        name: str,
        settings: DemandSettings,
    ) -> None:
        self._sources, self._book = sources, book
        self._workers = PoolWorkers(environment)
        self._outbound = Outbound(environment)
        self._matcher = Matcher()
        self._queues: dict[str, QueueWatch] = {}  # by JobClause.key
        self._numbering = Numbering()
        self._slots = SlotWatch(self._workers, sources.collectors, settings.interval_s)
        self._negotiators = _negotiators(settings)
        self._ghosts = GhostWatch(self._outbound, name, sources.collectors, clauses(settings))
        self._copy = AccountingCopy(self._outbound, sources.collectors, lambda: self._negotiators)
        self._copied = CopyState()
        self._may_show_ghosts = True  # also those of an earlier process

    def reconfigure(self, settings: DemandSettings) -> None:
        """Use other offers, and let all workers read the new configuration."""
        self._negotiators = _negotiators(settings)
        self._ghosts.reconfigure(clauses(settings))
        self._slots.reconfigure(settings.interval_s)
        self._restart = asyncio.gather(self._workers.restart(), self._outbound.restart_worker())

    async def close(self) -> None:
        await self._workers.close()
        await self._outbound.close()

    async def look(self, settings: DemandSettings, ordering: frozenset[str] = frozenset()) -> Found:
        """Query all sources, while the orders of these offers are under way."""
        await asyncio.gather(self._sources.refresh_pool(), self._book.refresh(settings))
        facts = {each.name: self._book.facts(each) for each in settings.offers}
        found = Found(settings, time.time(), facts, ordering)
        # The slots come first: then a job that starts between the two queries is counted nowhere; otherwise it would be
        # counted as idle, and its slot as taken.  New jobs may distinguish further kinds of slots: then the slots are
        # queried again.
        names = self._names_of_slots()
        slots = await self._slots.ask(names)
        await self._look_at_queues(found)
        if not (now := self._names_of_slots()) <= names:
            slots = await self._slots.ask(now)
        _take_slots(found, slots)
        await self._photograph(found)
        await self._look_at_annexes(found)
        found.matches = await self._match(found)
        if settings.asks_negotiator:
            found.confirmation = await self._confirmation(found)
        return found

    async def show(self, found: Found, counts: Mapping[str, int]) -> None:
        """Show this many ghosts of each offer."""
        if not found.settings.asks_negotiator:
            await self.withdraw_ghosts()
            return
        self._may_show_ghosts = True
        ghosts = [Ghost(name, index, found.facts[name].ad) for name, count in counts.items() for index in range(count)]
        annexes = frozenset((each.annex_id, each.machines, each.in_flight) for each in found.annexes)
        state = annexes, found.renumbered
        try:
            await self._ghosts.show(ghosts, state)
        except OutboundFailed as error:
            found.faults.append(f"the negotiators cannot be asked: {error}")

    async def withdraw_ghosts(self) -> None:
        """Remove them from the pool, if any may exist."""
        if not self._may_show_ghosts:
            return
        self._may_show_ghosts = False
        try:
            async with asyncio.timeout(WITHDRAW_S):
                await self._ghosts.withdraw()
        except (OutboundFailed, TimeoutError) as error:
            log.full_debug(f"Ghosts are left to expire: {error}")

    async def _look_at_queues(self, found: Found) -> None:
        of_offers, questions = clauses(found.settings), _questions(found)
        self._queues = {key: watch for key, watch in self._queues.items() if key in questions}
        for key, question in questions.items():
            if key in self._queues:
                self._queues[key].reconfigure(question)
            else:
                self._queues[key] = QueueWatch(self._workers, self._sources.collectors, question)
        answers = await asyncio.gather(*(self._queues[key].ask() for key in questions))
        pictures = dict(zip(questions, answers, strict=True))
        old, now_s = set[str](), time.time()
        for name, clause in of_offers.items():
            groups = list(pictures[clause.key].groups())
            found.candidates[name] = frozenset(each.key for each in groups)
            old |= {each.key for each in groups if (each.oldest_s or 0.0) <= now_s - clause.idle_age_s}
        for picture in pictures.values():
            _take_picture(found, picture)
        found.young = found.groups.keys() - old
        found.renumbered = self._numbering.changes(each for picture in answers for each in picture.schedds)

    def _names_of_slots(self) -> frozenset[str]:
        """Return the attributes of slots that the known idle jobs refer to."""
        return frozenset().union(*(each.picture.refers_to() for each in self._queues.values()))

    async def _photograph(self, found: Found) -> None:
        """Learn the properties of an offer's machines from one that has joined: its ad is more accurate than AWS's
        data.
        """
        for offer in found.settings.offers:
            if offer.machine_ad or self._book.has_photograph(offer) or not self._slots.picture.offers.get(offer.name):
                continue
            try:
                ad = await photograph(self._workers, self._sources.collectors(), offer.name, offer.start)
            except OutboundFailed as error:
                log.full_debug(f"No machine of offer {offer.name} can be read: {error}")
            else:
                self._book.photograph(offer, ad) if ad else None

    async def _look_at_annexes(self, found: Found) -> None:
        index, pool, looks = self._sources.index, self._sources.pool(), self._sources.looks()
        now_s, boot_s = time.time(), found.settings.boot_s
        found.knows_jobs = not pool.fault and 0 <= now_s - pool.at_s < POOL_S

        def read() -> None:
            found.annexes = list(offered_annexes(index, looks, pool, now_s, boot_s))
            found.fleets = [WatchedFleet.of(*each) for each in fleet_orders(index, found.annexes)]
            found.paused = index.paused_offers()

        try:
            await in_thread(read)
        except JournalError as error:
            found.may_order = False
            found.faults.append(f"the journal cannot be read: {error}")

    async def _match(self, found: Found) -> Matches:
        machines = {name: each.ad for name, each in found.facts.items() if each.ad} | found.room_ads
        try:
            return await self._matcher.match({key: each.ad for key, each in found.groups.items()}, machines)
        except MatchingFailed as error:
            found.may_order = False
            found.faults.append(f"jobs cannot be matched: {error}")
            return Matches({}, dict.fromkeys(found.groups, "no process could evaluate it"))

    async def _confirmation(self, found: Found) -> Confirmation:
        if time.time() - self._copied.at_s >= COPY_S:
            self._copied = await self._copy.copy()
        found.limited = self._copied.limited
        found.faults += [self._copied.fault] if self._copied.fault else []
        idle: Counter[Autocluster] = Counter()
        for group in found.groups.values():
            idle[group.schedd, group.autocluster] += group.count
        confirmation = await self._ghosts.read(idle)
        found.faults += [confirmation.fault] if confirmation.fault else []
        return confirmation


def clauses(settings: DemandSettings) -> dict[str, JobClause]:
    """Return which jobs each offer serves."""
    return {each.name: JobClause(each.jobs, each.idle_age_s) for each in settings.offers}


def _negotiators(settings: DemandSettings) -> list[str]:
    return sorted({each.negotiator for each in clauses(settings).values()})


def _questions(found: Found) -> dict[str, QueueQuestion]:
    """Return the queries to the schedds, by JobClause.key.

    If a negotiator confirms, it knows the jobs' age.  Then the queries include jobs that will be old enough at the next
    look, so that their ghosts exist in time.
    """
    settings, of_offers = found.settings, clauses(found.settings)
    ahead_s = settings.interval_s if settings.asks_negotiator else 0
    ads = tuple(each.ad for each in found.facts.values() if each.ad)
    names = tuple(sorted({name for each in of_offers.values() for name in bindings.free_names(each.jobs)}))
    return {
        each.key: QueueQuestion((each.jobs,), max(each.idle_age_s - ahead_s, 0), settings.interval_s, ads, names)
        for each in of_offers.values()
    }


def _take_picture(found: Found, picture: QueuePicture) -> None:
    """Add the groups of one query, and their faults."""
    may_order = picture.may_order_for(time.time())
    found.faults += [] if picture.fault is None else [f"the collector: {picture.fault}"]
    found.faults += [f"schedd {each.name}: {each.fault}" for each in picture.schedds if each.fault]
    found.faults += [f"schedd {each.name}: left out: {each.left_out}" for each in picture.schedds if each.left_out]
    for group in picture.groups():
        known = found.groups.get(group.key)
        found.groups[group.key] = group if known is None or known.count < group.count else known
        if group.key not in may_order:
            why = picture.fault or picture.by_name[group.schedd].fault or "its answer is too old"
            found.faulty[group.key] = f"schedd {group.schedd} is not known well enough: {why}"


def _take_slots(found: Found, picture: SlotPicture) -> None:
    for number, each in enumerate(picture.slots):
        found.rooms.append(FreeRoom(f"slots {number}", each.has, each.count))
        found.room_ads[f"slots {number}"] = each.ad
    if not picture.is_complete(time.time()):
        found.may_order = False
        found.faults.append(f"free slots are not known: {picture.fault or 'the answer is too old'}")
