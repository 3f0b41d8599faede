"""Query the pool for its idle jobs and free slots, once per interval, by a few worker processes.

A schedd that hangs occupies one worker until it is given up, and schedds that failed before come last, so it delays no
other.  A response comes in pages, so the event loop is never blocked for long.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from annexd.condor import bindings
from annexd.daemoncore.pool.outbound import Outbound, OutboundFailed, WorkerDied
from annexd.demand import free_slots, idle_jobs
from annexd.demand.free_slots import FreeSlots, SlotPicture
from annexd.demand.idle_jobs import (
    Directory,
    IdleGroup,
    QueuePicture,
    ScheddAd,
    ScheddAnswer,
    ScheddFault,
    ScheddPicture,
)
from annexd.demand.job_place import submitter_of
from annexd.demand.packing import Resources

WORKER: Final = "annexd.demand.pool_worker"
LARGE_POOL: Final = 1_000  # machines
WORKERS: Final = 4  # of about 30 MB each
MAX_USERS: Final = 200  # users of a schedd that are queried one by one
QUERY_S: Final = 30.0  # the bindings give up on a silent schedd after 20 s
ROUND_S: Final = 60.0
SLOTS_S: Final = 60.0  # 10,000 free slots take 3 s of CPU time here, and the collector sends as many ads
AVOIDED_S: Final = 600.0  # time for which a user's jobs are left out after they killed a worker
DENIED: Final = 'Received "DENIED"'  # SECMAN's text for a peer that may not use a command
CUT_OFF: Final = "the connection ended before the answer did"
PREFIX: Final = "Failed to fetch ads from schedd, errmsg="

T = TypeVar("T")
Submitter = tuple[str, str | None]  # a user, and the accounting group if there is one


@dataclass(frozen=True)
class QueueQuestion:
    """The question to each schedd: the JOBS clauses of the offers with this IDLE_AGE, and ads of their machines."""

    jobs: tuple[str, ...] = ("true",)
    idle_age_s: int = 300
    interval_s: float = 60.0
    machines: tuple[str, ...] = ()  # jobs that differ in attributes that these read are in different groups
    attributes: tuple[str, ...] = ()  # and in these


class PoolWorkers:
    """A few worker processes; a caller keeps one for a query and all its pages."""

    def __init__(self, environment: Mapping[str, str], number: int = WORKERS, worker: str = WORKER) -> None:
        self._all = [Outbound(environment, worker) for _ in range(number)]
        self._free: asyncio.LifoQueue[Outbound] = asyncio.LifoQueue()
        for each in self._all:
            self._free.put_nowait(each)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Outbound]:
        worker = await self._free.get()
        try:
            yield worker
        finally:
            self._free.put_nowait(worker)

    async def restart(self) -> None:
        """Use the new configuration from the next question on."""
        await asyncio.gather(*(each.restart_worker() for each in self._all))

    async def close(self) -> None:
        await asyncio.gather(*(each.close() for each in self._all))


class QueueWatch:
    """Queries all schedds that serve the pool; `collectors` returns the collectors in order of preference."""

    def __init__(
        self,
        workers: PoolWorkers,
        collectors: Callable[[], Sequence[str]],
        question: QueueQuestion,
        query_s: float = QUERY_S,
    ) -> None:
        self._workers, self._collectors, self._question, self._query_s = workers, collectors, question, query_s
        self._tried_s: dict[str, float] = {}  # by schedd
        self._avoided: dict[str, dict[Submitter, float]] = {}  # until when, by schedd
        self.picture = QueuePicture(interval_s=question.interval_s)

    def reconfigure(self, question: QueueQuestion) -> None:
        self._question = question

    async def ask(self) -> QueuePicture:
        """Return a new picture, at the latest after ROUND_S and the time of a collector."""
        question = self._question
        try:
            directory = await first_answer(self._workers, self._collectors(), _directory)
        except OutboundFailed as error:
            self.picture = idle_jobs.without_collector(self.picture, str(error), time.time(), question.interval_s)
            return self.picture
        asked = await self._ask_all(directory.schedds, question)
        self.picture = idle_jobs.after_round(self.picture, directory, asked, time.time(), question.interval_s)
        return self.picture

    async def _ask_all(self, schedds: Collection[ScheddAd], question: QueueQuestion) -> list[ScheddPicture]:
        ads = sorted(schedds, key=self._order)
        tasks = [asyncio.create_task(self._ask_schedd(ad, question)) for ad in ads]
        try:
            await asyncio.wait(tasks, timeout=ROUND_S) if tasks else None
        finally:
            for task in tasks:
                task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        late = ScheddFault(f"there was no time to ask it within {ROUND_S:g} s")
        return [
            each if isinstance(each, ScheddPicture) else self._after(ad, late, time.time(), question)
            for ad, each in zip(ads, found, strict=True)
        ]

    def _order(self, ad: ScheddAd) -> tuple[bool, float]:
        known = self.picture.by_name.get(ad.name)
        return known is not None and known.fault is not None, self._tried_s.get(ad.name, 0.0)

    async def _ask_schedd(self, ad: ScheddAd, question: QueueQuestion) -> ScheddPicture:
        async with self._workers.one() as worker:
            asked_s = self._tried_s[ad.name] = time.time()
            answer: ScheddAnswer | ScheddFault
            try:
                answer = await self._answer(worker, ad, question)
            except OutboundFailed as error:
                answer = fault_of(str(error))
        return self._after(ad, answer, asked_s, question)

    def _after(
        self, ad: ScheddAd, answer: ScheddAnswer | ScheddFault, asked_s: float, question: QueueQuestion
    ) -> ScheddPicture:
        return idle_jobs.after_answer(self.picture.by_name.get(ad.name), ad, answer, asked_s, question.interval_s)

    async def _answer(self, worker: Outbound, ad: ScheddAd, question: QueueQuestion) -> ScheddAnswer:
        """Return all groups of a schedd; if someone's jobs kill the worker, leave out those alone."""
        avoided = self._avoided.setdefault(ad.name, {})
        for submitter in [each for each, until_s in avoided.items() if until_s < time.time()]:
            del avoided[submitter]
        counted = idle_jobs.constraint(question.jobs, question.idle_age_s)
        others = "".join(f" && !({_is_of(each)})" for each in avoided)
        try:
            answers = [await self._groups(worker, ad, question, f"({counted}){others}")]
        except WorkerDied:
            answers = await self._one_by_one(worker, ad, question, counted, avoided)
        texts = [each.left_out for each in answers if each.left_out]
        texts += [f"the jobs of {submitter_of(*each)}, whose ads cannot be read" for each in avoided]
        groups = tuple(group for each in answers for group in each.groups)
        refers_to = frozenset().union(*(each.refers_to for each in answers))
        return ScheddAnswer(groups, ", ".join(texts) or None, refers_to)

    async def _one_by_one(
        self, worker: Outbound, ad: ScheddAd, question: QueueQuestion, counted: str, avoided: dict[Submitter, float]
    ) -> list[ScheddAnswer]:
        """Return the responses for each submitter, and note those whose jobs kill the worker."""
        answers: list[ScheddAnswer] = []
        arguments = {"address": ad.address, "constraint": counted, "limit": MAX_USERS}
        users = await worker.call("users", arguments, self._query_s)
        if len(users) >= MAX_USERS:
            answers.append(ScheddAnswer((), f"the jobs of users beyond the first {MAX_USERS}"))
        for user, group in users:
            try:
                constraint = f"({counted}) && {_is_of((user, group))}"
                answers.append(await self._groups(worker, ad, question, constraint))
            except WorkerDied:
                avoided[user, group] = time.time() + AVOIDED_S
        return answers

    async def _groups(self, worker: Outbound, ad: ScheddAd, question: QueueQuestion, constraint: str) -> ScheddAnswer:
        """Return the groups of the jobs that satisfy a constraint."""
        old_s = time.time() - question.idle_age_s
        arguments = {
            "schedd": ad.name,
            "address": ad.address,
            "constraint": constraint,
            "attributes": question.attributes,
            "machines": question.machines,
            "clauses": list(dict.fromkeys(question.jobs)),
            "submitters": None if ad.submitters is None else sorted(ad.submitters),
        }
        found = await worker.call("group_jobs", arguments, self._query_s)
        groups = [_group(ad.name, old_s, *row) async for row in _rows(worker, found["pages"])]
        return ScheddAnswer(tuple(groups), found["left_out"], frozenset(found["refers_to"]))


class SlotWatch:
    """Queries the slots that jobs could take now."""

    def __init__(self, workers: PoolWorkers, collectors: Callable[[], Sequence[str]], interval_s: float) -> None:
        self._workers, self._collectors, self._interval_s = workers, collectors, interval_s
        self.picture = SlotPicture(interval_s=interval_s)

    def reconfigure(self, interval_s: float) -> None:
        self._interval_s = interval_s

    async def ask(self, attributes: Collection[str]) -> SlotPicture:
        """Return a new picture; slots that differ in `attributes`, which jobs refer to, are distinguished."""
        names = sorted(attributes)

        async def ask_one(worker: Outbound, collector: str) -> tuple[SlotPicture, float]:
            return await _slots(worker, collector, names, self._interval_s)

        try:
            answer, started_s = await first_answer(self._workers, self._collectors(), ask_one)
        except OutboundFailed as error:
            self.picture = free_slots.with_fault(replace(self.picture, interval_s=self._interval_s), str(error))
        else:
            self.picture = free_slots.after_answer(self.picture, answer, started_s)
        return self.picture


async def photograph(workers: PoolWorkers, collectors: Sequence[str], offer: str, start: str) -> str | None:
    """Return the ad of an empty machine of an offer, with this START; None if there is none.  Raises OutboundFailed."""

    async def ask_one(worker: Outbound, collector: str) -> str | None:
        arguments = {"collector": collector, "offer": offer, "start": start}
        found: str | None = await worker.call("photograph", arguments, QUERY_S)
        return found

    return await first_answer(workers, collectors, ask_one)


async def first_answer(
    workers: PoolWorkers, collectors: Sequence[str], ask: Callable[[Outbound, str], Awaitable[T]]
) -> T:
    """Return the response of the first collector that responds.  Raises OutboundFailed with the faults of all."""
    faults = []
    for collector in collectors:
        try:
            async with workers.one() as worker:
                return await ask(worker, collector)
        except OutboundFailed as error:
            faults.append(f"{collector}: {error}")
    raise OutboundFailed("; ".join(faults) or "no collector is configured")


async def _directory(worker: Outbound, collector: str) -> Directory:
    found = await worker.call("directory", {"collector": collector}, QUERY_S)
    ads = [
        ScheddAd(name, address, started_s, expires_s, None if submitters is None else frozenset(submitters))
        for name, address, started_s, expires_s, submitters in found["schedds"]
    ]
    return Directory(tuple({ad.name: ad for ad in ads}.values()), found["started_s"])


def _is_of(submitter: Submitter) -> str:
    user, group = submitter
    return f"User == {bindings.quote(user)} && AccountingGroup =?= {bindings.quote(group) if group else 'undefined'}"


def _group(
    schedd: str,
    old_s: float,
    autocluster: int,
    user: str,
    jobs: int,
    first_job: str,
    ad: str,
    kind: str,
    limits: Sequence[str],
    key: str,
) -> IdleGroup:
    return IdleGroup(key, schedd, autocluster, user, jobs, old_s, first_job, ad, kind, tuple(limits))


async def _slots(
    worker: Outbound, collector: str, attributes: Sequence[str], interval_s: float
) -> tuple[SlotPicture, float]:
    asked_s = time.time()
    found = await worker.call("free_slots", {"collector": collector, "attributes": attributes}, SLOTS_S)
    slots = [FreeSlots(ad, count, Resources(*sizes)) async for ad, count, *sizes in _rows(worker, found["pages"])]
    if found["machines"] > LARGE_POOL:
        await worker.close()  # which frees the memory of the slots' ads
    picture = SlotPicture(
        tuple(slots), asked_s, None, found["offers"], interval_s, found["left_out"], found["machines"]
    )
    return picture, found["started_s"]


async def _rows(worker: Outbound, pages: int) -> AsyncIterator[Sequence[Any]]:
    for number in range(pages):
        for row in await worker.call("page", {"number": number}, QUERY_S):
            yield row


def fault_of(text: str) -> ScheddFault:
    """Explain why a schedd did not respond."""
    reason = text.removeprefix(PREFIX) or CUT_OFF
    if DENIED in reason:
        return ScheddFault(f"it gives annexd no right to read its queue (ALLOW_READ): {reason}", is_refused=True)
    return ScheddFault(reason)
