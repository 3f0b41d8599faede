"""Turn the pool's idle jobs into leased machines: look, decide and order, once an interval.

Each source may fail by itself.  What is not known is never zero: it orders nothing, and is said.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from annexd.annex.index import AnnexIndex
from annexd.annex.offered import OfferedAnnex, fleet_orders, offered_annexes
from annexd.annex.reply import ReplyAd
from annexd.annex.request.account_target import AccountTarget
from annexd.annex.request.join_config import MachineOffer
from annexd.annex.request.markets import FleetScope
from annexd.annex.request.request import COMMAND
from annexd.annex.status import PoolSnapshot, Snapshot
from annexd.condor import bindings
from annexd.daemoncore import log
from annexd.daemoncore.pool.outbound import Outbound, OutboundFailed
from annexd.daemoncore.threads import in_thread
from annexd.demand.accounting import AccountingCopy, CopyState
from annexd.demand.confirmation import Confirmation
from annexd.demand.decision import Confirmed, Decision, FreeRoom, OfferNow, Situation, WaitingGroup, decide
from annexd.demand.ghost_ad import Ghost
from annexd.demand.ghost_negotiators import JobClause
from annexd.demand.ghosts import GhostWatch
from annexd.demand.idle_jobs import IdleGroup
from annexd.demand.matching import Matcher, Matches
from annexd.demand.matching_process import MatchingFailed
from annexd.demand.narrowing import Narrowed, Places, narrowed
from annexd.demand.offer import Offer, sized
from annexd.demand.pool_watch import PoolWorkers, QueueQuestion, QueueWatch, SlotWatch, photograph
from annexd.service.capacity_watch import CapacityPicture, WatchedFleet
from annexd.service.demand_report import report
from annexd.service.demand_settings import ENFORCE, OFF, DemandSettings
from annexd.service.offer_book import OfferBook, OfferFacts, order_ad
from annexd.workflow import SUCCESS, JournalError, Json

FIRST_COOL_DOWN_S: Final = 180.0  # after an order by this offer failed, doubling
LONGEST_COOL_DOWN_S: Final = 3600.0
COPY_S: Final = 300.0  # between two looks for other priority factors and ceilings
WITHDRAW_S: Final = 5.0


@dataclass(frozen=True)
class DemandContext:
    """What demand needs of the daemon."""

    index: AnnexIndex
    looks: Callable[[], Mapping[str, Snapshot]]
    pool: Callable[[], PoolSnapshot]
    refresh_pool: Callable[[], Awaitable[None]]
    order: Callable[[Mapping[str, Any], str, MachineOffer], Awaitable[ReplyAd]]
    collectors: Callable[[], Sequence[str]]
    capacity: Callable[[AccountTarget, float], CapacityPicture]
    subnets: Callable[[], Sequence[str]]


@dataclass(frozen=True)
class _Refusal:
    """Why the last order by an offer failed, and until when no other is sent."""

    text: str
    until_s: float
    length_s: float


@dataclass
class _Round:
    """What one look found."""

    settings: DemandSettings
    at_s: float
    facts: Mapping[str, OfferFacts]
    groups: dict[str, IdleGroup] = field(default_factory=dict)
    candidates: dict[str, frozenset[str]] = field(default_factory=dict)  # groups that an offer is for, by its name
    faulty: dict[str, str] = field(default_factory=dict)  # groups for which nothing may be ordered, and why
    rooms: list[FreeRoom] = field(default_factory=list)
    room_ads: dict[str, str] = field(default_factory=dict)
    annexes: list[OfferedAnnex] = field(default_factory=list)
    paused: Mapping[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    may_order: bool = True


class Demand:
    """Looks, decides and orders; `name` is that of annexd in the pool."""

    def __init__(
        self,
        context: DemandContext,
        book: OfferBook,
        environment: Mapping[str, str],
        name: str,
        settings: DemandSettings,
    ) -> None:
        self._context, self._book, self._settings = context, book, settings
        self._workers = PoolWorkers(environment)
        self._outbound = Outbound(environment)
        self._matcher = Matcher()
        self._queues: dict[str, QueueWatch] = {}  # by JobClause.key
        self._slots = SlotWatch(self._workers, context.collectors, settings.interval_s)
        self._ghosts = GhostWatch(self._outbound, name, context.collectors, _clauses(settings))
        self._copy = AccountingCopy(self._outbound, context.collectors, self._negotiators)
        self._copied = CopyState()
        self._ordering: dict[str, asyncio.Task[None]] = {}
        self._refusals: dict[str, _Refusal] = {}
        self._shows_ghosts = True  # there may be some of an earlier process
        self._report: Json = report(settings, {}, [], None, None, [])
        self._soon = asyncio.Event()
        self._fleets: Sequence[WatchedFleet] = ()

    def report(self) -> Json:
        """Return what -demand and -offers show.  Thread-safe."""
        return self._report

    def fleets(self) -> Sequence[WatchedFleet]:
        """Return the fleets of offers that live, as of the last look."""
        return self._fleets

    def reconfigure(self, settings: DemandSettings) -> None:
        self._settings = settings
        self._refusals.clear()
        self._ghosts.reconfigure(_clauses(settings))
        self._slots.reconfigure(settings.interval_s)
        self._restart = asyncio.gather(self._workers.restart(), self._outbound.restart_worker())
        self._soon.set()

    async def run(self) -> None:
        """Look and decide, until cancelled."""
        while True:
            began_s = time.monotonic()
            self._soon.clear()
            try:
                await self._round()
            except Exception as error:  # noqa: BLE001  the edge of demand: orders by hand and leases go on
                log.error(f"Demand: internal error: {type(error).__name__}: {error}")
                self._fail(f"internal error: {type(error).__name__}: {error}")
            left_s = self._settings.interval_s - (time.monotonic() - began_s)
            try:
                async with asyncio.timeout(max(left_s, 1.0)):
                    await self._soon.wait()
            except TimeoutError:
                continue

    async def withdraw(self) -> None:
        """Remove the ghosts from the pool, and end the workers."""
        for task in self._ordering.values():
            task.cancel()
        if self._shows_ghosts and self._settings.mode != OFF:
            await self._without_ghosts()
        await self._workers.close()
        await self._outbound.close()

    async def _without_ghosts(self) -> None:
        try:
            async with asyncio.timeout(WITHDRAW_S):
                await self._ghosts.withdraw()
        except (OutboundFailed, TimeoutError) as error:
            log.full_debug(f"Ghosts are left to expire: {error}")
        self._shows_ghosts = False

    async def _round(self) -> None:
        settings = self._settings
        if settings.mode == OFF or not settings.offers:
            if self._shows_ghosts and settings.offers:
                await self._without_ghosts()
            self._report = report(settings, {}, [], None, None, [])
            return
        found = await self._look(settings)
        matches = await self._match(found)
        confirmed = await self._confirmed(found)
        now = self._situation(found, matches, confirmed)
        decision = await in_thread(partial(decide, now))
        self._shows_ghosts = True
        await self._show(found, decision)
        if settings.mode == ENFORCE:
            for offer in settings.offers:
                self._order(offer, decision.orders.get(offer.name, 0))
        self._report = report(settings, found.facts, now.offers, found.groups, decision, found.faults)

    def _fail(self, fault: str) -> None:
        self._report = {**self._report, "Faults": [fault]}

    # Looking.

    async def _look(self, settings: DemandSettings) -> _Round:
        await asyncio.gather(self._context.refresh_pool(), self._book.refresh(settings))
        facts = {each.name: self._book.facts(each) for each in settings.offers}
        found = _Round(settings, time.time(), facts)
        await self._look_at_queues(found)
        await self._look_at_slots(found)
        await self._photograph(found)
        await self._look_at_annexes(found)
        return found

    async def _look_at_queues(self, found: _Round) -> None:
        settings, clauses = found.settings, _clauses(found.settings)
        ads = tuple(each.ad for each in found.facts.values() if each.ad)
        names = tuple(sorted({name for each in clauses.values() for name in bindings.free_names(each.jobs)}))
        questions = {
            each.key: QueueQuestion((each.jobs,), each.idle_age_s, settings.interval_s, ads, names)
            for each in clauses.values()
        }
        self._queues = {key: watch for key, watch in self._queues.items() if key in questions}
        for key, question in questions.items():
            if key in self._queues:
                self._queues[key].reconfigure(question)
            else:
                self._queues[key] = QueueWatch(self._workers, self._context.collectors, question)
        pictures = dict(
            zip(questions, await asyncio.gather(*(self._queues[key].ask() for key in questions)), strict=True)
        )
        for offer in settings.offers:
            picture = pictures[clauses[offer.name].key]
            found.candidates[offer.name] = frozenset(each.key for each in picture.groups())
        for picture in pictures.values():
            may_order = picture.may_order_for(time.time())
            whole = [] if picture.fault is None else [f"the collector: {picture.fault}"]
            found.faults += whole + [f"schedd {each.name}: {each.fault}" for each in picture.schedds if each.fault]
            found.faults += [
                f"schedd {each.name}: left out: {each.left_out}" for each in picture.schedds if each.left_out
            ]
            for group in picture.groups():
                known = found.groups.get(group.key)
                found.groups[group.key] = group if known is None or known.count < group.count else known
                if group.key not in may_order:
                    why = picture.fault or picture.by_name[group.schedd].fault or "its answer is too old"
                    found.faulty[group.key] = f"schedd {group.schedd} is not known well enough: {why}"

    async def _look_at_slots(self, found: _Round) -> None:
        names = frozenset().union(*(each.picture.refers_to() for each in self._queues.values()))
        picture = await self._slots.ask(names)
        for number, each in enumerate(picture.slots):
            found.rooms.append(FreeRoom(f"slots {number}", each.has, each.count))
            found.room_ads[f"slots {number}"] = each.ad
        if not picture.is_complete(time.time()):
            found.may_order = False
            found.faults.append(f"free slots are not known: {picture.fault or 'the answer is too old'}")

    async def _photograph(self, found: _Round) -> None:
        """Once a machine of an offer has joined, it says better than AWS what such machines are."""
        for offer in found.settings.offers:
            if offer.machine_ad or self._book.has_photograph(offer) or not self._slots.picture.offers.get(offer.name):
                continue
            try:
                ad = await photograph(self._workers, self._context.collectors(), offer.name, offer.start)
            except OutboundFailed as error:
                log.full_debug(f"No machine of offer {offer.name} can be looked at: {error}")
            else:
                self._book.photograph(offer, ad) if ad else None

    async def _look_at_annexes(self, found: _Round) -> None:
        context, boot_s = self._context, found.settings.boot_s
        pool, looks, now_s = context.pool(), context.looks(), time.time()
        try:
            found.annexes = await in_thread(lambda: list(offered_annexes(context.index, looks, pool, now_s, boot_s)))
            self._fleets = await in_thread(
                lambda: [WatchedFleet.of(*each) for each in fleet_orders(context.index, found.annexes)]
            )
            found.paused = await in_thread(context.index.paused_offers)
        except JournalError as error:
            found.may_order = False
            found.faults.append(f"the journal cannot be read: {error}")

    async def _match(self, found: _Round) -> Matches:
        machines = {name: each.ad for name, each in found.facts.items() if each.ad} | found.room_ads
        try:
            return await self._matcher.match({key: each.ad for key, each in found.groups.items()}, machines)
        except MatchingFailed as error:
            found.may_order = False
            found.faults.append(f"jobs cannot be matched: {error}")
            return Matches({}, dict.fromkeys(found.groups, "no process could evaluate it"))

    async def _confirmed(self, found: _Round) -> dict[str, Confirmed] | None:
        if not found.settings.asks_negotiator:
            return None
        if time.time() - self._copied.at_s >= COPY_S:
            self._copied = await self._copy.copy()
        found.faults += [self._copied.fault] if self._copied.fault else []
        confirmation = await self._ghosts.read()
        found.faults += [confirmation.fault] if confirmation.fault else []
        return confirmed_of(confirmation, found.settings.offers, found.groups.values())

    def _negotiators(self) -> list[str]:
        return sorted({each.negotiator for each in _clauses(self._settings).values()})

    # Deciding.

    def _situation(self, found: _Round, matches: Matches, confirmed: Mapping[str, Confirmed] | None) -> Situation:
        groups = [self._group(each, found, matches) for each in found.groups.values()]
        offers = [self._offer_now(each, found) for each in found.settings.offers]
        names = [each.name for each in found.settings.offers]

        def fits(group: str, machine: str) -> bool:
            is_candidate = machine not in found.candidates or group in found.candidates[machine]
            return is_candidate and matches.do_match(group, machine)

        return Situation(groups, offers, found.rooms, fits, confirmed, lambda group: matches.misfit(group, names))

    def _group(self, group: IdleGroup, found: _Round, matches: Matches) -> WaitingGroup:
        match = matches.jobs.get(group.key)
        fault = found.faulty.get(group.key, "")
        if not found.may_order:
            fault = fault or found.faults[-1]
        if match is None:
            fault = matches.faults.get(group.key, "it was not compared with any machine")
        needs = match.needs if match else None
        return WaitingGroup(group.key, group.schedd, group.autocluster, group.count, needs, fault)

    def _offer_now(self, offer: Offer, found: _Round) -> OfferNow:
        facts, mine = found.facts[offer.name], [each for each in found.annexes if each.offer == offer.name]
        return OfferNow(
            offer.name,
            facts.has if facts.ad else None,
            facts.micro_dollars_per_hour or 0,
            offer.max_machines,
            offer.step,
            facts.rank,
            sum(each.machines for each in mine),
            sum(each.in_flight for each in mine),
            self._why_closed(offer, found),
        )

    def _why_closed(self, offer: Offer, found: _Round) -> str:
        if offer.name in found.paused:
            return f"paused by {found.paused[offer.name]} (condor_annex -resume {offer.name})"
        if fault := found.facts[offer.name].fault:
            return fault
        if offer.name in self._ordering:
            return "its last order is under way"
        refusal = self._refusals.get(offer.name)
        if refusal and refusal.until_s > found.at_s:
            until = time.strftime("%H:%M:%S", time.localtime(refusal.until_s))
            return f"no further order before {until}, since the last one failed: {refusal.text}"
        return self._open_part(offer, 1).words

    def _open_part(self, offer: Offer, machines: int) -> Narrowed:
        """Return the config of an order without the capacity that AWS has just refused or taken back."""
        config, target = sized(offer, machines), self._book.facts(offer).target
        if target is None:
            return Narrowed(config)
        closed = self._context.capacity(target, time.time()).closed
        return narrowed(config, closed, FleetScope.of(config).markets, Places({}, tuple(self._context.subnets())))

    # Acting.

    async def _show(self, found: _Round, decision: Decision) -> None:
        if not found.settings.asks_negotiator:
            return
        ghosts = [
            Ghost(name, index, found.facts[name].ad)
            for name, count in decision.ghosts.items()
            for index in range(count)
        ]
        state = frozenset((each.annex_id, each.machines, each.in_flight) for each in found.annexes)
        try:
            await self._ghosts.show(ghosts, state)
        except OutboundFailed as error:
            found.faults.append(f"the negotiators cannot be asked: {error}")

    def _order(self, offer: Offer, machines: int) -> None:
        if machines and offer.name not in self._ordering:
            self._ordering[offer.name] = asyncio.create_task(self._carry_out(offer, machines))

    async def _carry_out(self, offer: Offer, machines: int) -> None:
        settings = self._settings
        log.always(f"Demand: ordering {machines} machines of offer {offer.name}")
        try:
            narrow = self._open_part(offer, machines)
            if narrow.config is None:
                return  # closed since it was decided; the next decision says so
            ad = order_ad(offer, narrow.config, settings, time.time(), COMMAND)
            answer = await self._context.order(ad, settings.owner, MachineOffer(offer.name, offer.start))
            if answer["Result"] == SUCCESS:
                self._refusals.pop(offer.name, None)
            else:
                self._refuse(offer, str(answer.get("ErrorString")))
        except Exception as error:  # noqa: BLE001  the edge of one order: its next one waits
            self._refuse(offer, f"internal error: {type(error).__name__}: {error}")
        finally:
            self._ordering.pop(offer.name, None)
            self._soon.set()

    def _refuse(self, offer: Offer, text: str) -> None:
        before = self._refusals.get(offer.name)
        length_s = min(2 * before.length_s, LONGEST_COOL_DOWN_S) if before else FIRST_COOL_DOWN_S
        self._refusals[offer.name] = _Refusal(text, time.time() + length_s, length_s)
        log.always(f"Demand: offer {offer.name} orders nothing for {length_s:.0f} s: {text}")


def _clauses(settings: DemandSettings) -> dict[str, JobClause]:
    return {each.name: JobClause(each.jobs, each.idle_age_s) for each in settings.offers}


def confirmed_of(
    confirmation: Confirmation, offers: Iterable[Offer], groups: Iterable[IdleGroup]
) -> dict[str, Confirmed]:
    """Return what was confirmed of each offer; nothing of those whose negotiator has not answered yet."""
    users: dict[str, set[str]] = {}
    for group in groups:
        users.setdefault(group.schedd, set()).add(group.user)
    found = {}
    for offer in offers:
        fault = confirmation.faults.get(offer.name) or (confirmation.fault if not confirmation.faults else None)
        matches = confirmation.matches.get(offer.name)
        if fault:
            found[offer.name] = Confirmed({}, fault=fault)
        elif matches is not None:
            full = [
                each for each, names in users.items() if confirmation.is_limit_reached(offer.name, each, len(names))
            ]
            found[offer.name] = Confirmed(matches, frozenset(full))
    return found
