"""Take orders and run them through the workflow, each in its own thread, up to a configured number at once.

A client that disconnects changes nothing: an accepted order belongs to the journal.  The same code continues orders
that an earlier process left unfinished.  A stuck order is retried indefinitely, and an order that the journal could not
record waits until the journal can be written again.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import htcondor2

from annexd.annex import resize, status
from annexd.annex.bulk_request import bulk_request
from annexd.annex.commands import ASIDE, QUESTIONS, CommandContext, answer, command_of
from annexd.annex.index import CANCEL, CHANGE, SHRINK, SWITCH
from annexd.annex.reply import INVALID_REQUEST, INVALID_STATE, ReplyAd, reply
from annexd.annex.request import request
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.join_config import MachineOffer
from annexd.annex.request.order import OfferSwitch, Order
from annexd.cedar.message import MessageReader
from annexd.daemoncore import log
from annexd.daemoncore.commands.call import Call
from annexd.daemoncore.process.semaphore import Semaphore
from annexd.daemoncore.threads import in_thread
from annexd.service.configuration import Configuration, OrderLimits
from annexd.workflow import SUCCESS, JournalError, Outcome, Paused, State

Answer = TypeVar("Answer")
Accepted = Callable[[State], None]
NOT_AUTHENTICATED = "NotAuthenticated"  # command_strings.h
SMALL_BYTES = 16 * 1024  # an ad of this size is parsed in a millisecond, less than the start of a thread takes
RETRY_S = 15.0  # until the next try of an order whose records cannot be written


class Orders:
    """Takes orders and carries them out.

    `changed` is called when the counts may have changed, `refresh_pool` before a query about annexes is answered.
    """

    def __init__(
        self,
        context: CommandContext,
        defaults: Defaults,
        limits: OrderLimits,
        changed: Callable[[], None],
        refresh_pool: Callable[[], Awaitable[None]],
    ) -> None:
        self._defaults, self._refresh_pool = defaults, refresh_pool
        self._context, self._engine = context, context.index.engine
        self._limits = limits
        self._semaphore = Semaphore(limits.max_running)
        self._side_semaphore = Semaphore(limits.max_running)  # so that cancellations do not wait for new annexes
        self._changed = changed
        self._continuing: dict[str, asyncio.Task[None]] = {}
        self._active: set[str] = set()  # running for a waiting client
        self._resuming: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()  # set, and replaced, when the journal can be written again
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def take(self, call: Call) -> None:
        """Answer CA_AUTH_CMD or CA_CMD: one ad in, one ad out.  Raises PeerError if the payload is not an ad."""
        payload, owner = call.payload(), call.user
        ad = _whole_ad(payload) if payload.remaining <= SMALL_BYTES else None
        command = command_of(ad or {})
        semaphore = self._side_semaphore if command in ASIDE else self._semaphore
        if semaphore.is_full and semaphore.waiting >= self._limits.max_waiting:
            log.always(
                f"Refused a request from {owner} at {call.peer}: {semaphore.waiting} requests are waiting already"
            )
            self._answer(call, reply(INVALID_STATE, self._busy(semaphore)))
            return
        ad = await self._in_thread(lambda: _whole_ad(payload)) if ad is None else ad
        if not call.received.identity.mapped:  # CA_CMD does not force authentication, and money needs an owner
            self._answer(call, reply(NOT_AUTHENTICATED, "this command requires an authenticated user with a domain"))
            return
        if command in (status.COMMAND, resize.COMMAND):
            await self._refresh_pool()
        loop = asyncio.get_running_loop()

        def accepted(state: State) -> None:
            log.always(
                f"Accepted request {state.command_id} from {owner} at {call.peer}: {_summary(state)}; "
                f"{call.received.identity.proof}"
            )
            loop.call_soon_threadsafe(self._changed)

        def act(accepted: Accepted) -> ReplyAd:
            return answer(ad, owner, self._context, self._defaults, time.time(), accepted)

        reply_ad = await self._in_thread(lambda: self._carry_out(act, accepted), semaphore)
        write = log.full_debug if command in QUESTIONS else log.always
        write(
            f"Request {reply_ad.get('CommandID', '(no ID)')} from {owner} at {call.peer}: {reply_ad['Result']} "
            f"{reply_ad.get('ErrorString') or reply_ad.get('BulkRequestID', '')}"
            f"{'' if command == request.COMMAND else f' {command}'}"
        )
        self._answer(call, reply_ad)
        if reply_ad["Result"] != INVALID_REQUEST and command not in QUESTIONS:  # they do not reach the journal
            self._changed()
            if reply_ad["Result"] != SUCCESS:
                await self.continue_unfinished()  # including this one, if it is stuck

    async def order(self, ad: Mapping[str, Any], owner: str, offer: MachineOffer) -> ReplyAd:
        """Carry out an order of annexd's own for idle jobs, under the limits of all orders."""
        context = self._context

        def act(accepted: Accepted) -> ReplyAd:
            return bulk_request(
                ad,
                owner,
                context.index.engine,
                self._defaults,
                time.time(),
                access=context.step_context.access,
                bundle_sources=context.bundle_sources,
                reservations=context.reservations,
                offer=offer,
                accepted=accepted,
            )

        return await self._by_itself(act, f"of offer {offer.name}", self._semaphore)

    async def extend(self, ad: Mapping[str, Any], owner: str) -> ReplyAd:
        """Move the end of an annex that annexd ordered by itself, with its owner's rights."""

        def act(accepted: Accepted) -> ReplyAd:
            return answer(ad, owner, self._context, self._defaults, time.time(), accepted)

        return await self._by_itself(act, "by demand", self._side_semaphore)

    async def _by_itself(self, act: Callable[[Accepted], ReplyAd], by: str, semaphore: Semaphore) -> ReplyAd:
        """Carry out a request of annexd's own."""

        def accepted(state: State) -> None:
            log.always(f"Accepted request {state.command_id} {by}: {_summary(state)}")

        try:
            reply_ad = await self._in_thread(lambda: self._carry_out(act, accepted), semaphore)
        finally:
            self._changed()
        if reply_ad["Result"] != SUCCESS:
            await self.continue_unfinished()
        return reply_ad

    def status(self) -> Mapping[str, int]:
        """Return attributes of the daemon's ad: orders in a thread now, and those that wait for one."""
        return {"AnnexOrdersRunning": self._semaphore.admitted, "AnnexOrdersWaiting": self._semaphore.waiting}

    def reconfigure(self, settings: Configuration) -> None:
        """Apply new limits and defaults, also to waiting orders."""
        self._defaults, self._limits = settings.annex, settings.orders
        for semaphore in (self._semaphore, self._side_semaphore):
            semaphore.resize(self._limits.max_running)

    def _busy(self, semaphore: Semaphore) -> str:
        return (
            f"annexd is busy: {self._limits.max_running} requests are running and {semaphore.waiting} are waiting "
            "(ANNEXD_MAX_WAITING_REQUESTS); nothing was ordered; try again later"
        )

    def _carry_out(self, act: Callable[[Accepted], ReplyAd], accepted: Accepted) -> ReplyAd:
        """Run `act`, which reports what it accepts; nothing else continues that workflow meanwhile."""
        command_ids: list[str] = []

        def take(state: State) -> None:
            command_ids.append(state.command_id)
            self._active.add(state.command_id)
            accepted(state)

        try:
            return act(take)
        finally:
            self._active.difference_update(command_ids)

    def _answer(self, call: Call, answer: ReplyAd) -> None:
        versions = {"CondorVersion": htcondor2.version(), "CondorPlatform": htcondor2.platform()}
        call.answer({**answer, **versions})

    async def continue_unfinished(self) -> None:
        """Continue every unfinished order of the journal that is not running."""
        try:
            unfinished = await in_thread(self._engine.unfinished_workflows)
        except JournalError as error:
            log.error(f"Failed to look for unfinished requests: {error}")
            return
        for command_id, workflow in unfinished:
            if command_id not in self._continuing and command_id not in self._active:
                semaphore = self._side_semaphore if workflow in (CANCEL, CHANGE, SHRINK, SWITCH) else self._semaphore
                self._continuing[command_id] = asyncio.create_task(self._continue(command_id, semaphore))

    def journal_is_writable(self) -> None:
        """Continue at once the orders that wait for the journal, and look for unfinished ones."""
        self._writable.set()
        self._writable = asyncio.Event()
        self._resuming = asyncio.create_task(self.continue_unfinished())

    async def pause(self, timeout_s: float, hurry: asyncio.Event) -> None:
        """Start nothing more, and wait for running calls to AWS, until the time-out or `hurry`.

        Unfinished orders continue at the next start.
        """
        self._engine.pause()
        for task in self._continuing.values():
            task.cancel()
        waits = {asyncio.create_task(event.wait()) for event in (self._idle, hurry)}
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if not self._idle.is_set():
            log.always(f"{self._running} requests are still in a call to AWS; they will continue at the next start")

    async def _continue(self, command_id: str, semaphore: Semaphore) -> None:
        """Run the workflow again and again until it is finished."""
        try:
            while (retry_at_s := await self._run_once(command_id, semaphore)) is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(retry_at_s - time.time(), 1.0)):
                        await self._writable.wait()
        except Paused:
            return
        finally:
            self._continuing.pop(command_id, None)
            self._changed()

    async def _run_once(self, command_id: str, semaphore: Semaphore) -> float | None:
        """Run the workflow; return when to retry, or None once it is finished.  Raises Paused."""
        try:
            outcome = await self._in_thread(lambda: self._engine.run(command_id), semaphore)
        except JournalError as error:
            log.error(f"Request {command_id} cannot continue: {error}")
            return time.time() + RETRY_S
        _log_outcome(outcome)
        return outcome.retry_at_s

    async def _in_thread(self, work: Callable[[], Answer], semaphore: Semaphore | None = None) -> Answer:
        """Run `work` in a daemon thread; if the process ends first, the journal still holds the order."""
        async with semaphore or self._semaphore:
            self._running += 1
            self._idle.clear()
            answer = in_thread(work)
            answer.add_done_callback(self._ended)
            return await asyncio.shield(answer)

    def _ended(self, _answer: object) -> None:
        self._running -= 1
        if not self._running:
            self._idle.set()


def _whole_ad(payload: MessageReader) -> dict[str, Any]:
    """Parse the payload as one ad; a large one takes long.  Raises PeerError."""
    ad = payload.ad()
    payload.end()
    return ad


def _summary(state: State) -> str:
    if switch := state.order_as(OfferSwitch):
        return f"{'pause' if switch.paused else 'resume'} of offer {switch.offer}"
    order = state.order_as(Order)
    return order.summary if order else "its order cannot be read"


def _log_outcome(outcome: Outcome) -> None:
    if outcome.retry_at_s is None:
        log.always(f"Request {outcome.command_id} finished: {outcome.result} {outcome.error}")
    else:
        later_s = outcome.retry_at_s - time.time()
        log.always(f"Request {outcome.command_id} is stuck, will retry in {later_s:.0f} s: {outcome.error}")
