"""Orders on their way through the workflow: each in a thread of its own, as many at once as the knob says.

A client that goes away changes nothing here: what was accepted is the journal's.  What an earlier process left
unfinished is continued by the same code, and what is stuck is tried again for ever.  What the journal could not take
waits until it can be written again.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import htcondor2

from annexd.annex import status
from annexd.annex.commands import ASIDE, CommandContext, answer, command_of
from annexd.annex.index import CANCEL, CHANGE
from annexd.annex.reply import INVALID_REQUEST, INVALID_STATE, ReplyAd, reply
from annexd.annex.request import request
from annexd.annex.request.defaults import Defaults
from annexd.cedar.message import MessageReader
from annexd.daemoncore import log
from annexd.daemoncore.commands.call import Call, payload_of
from annexd.daemoncore.process.semaphore import Semaphore
from annexd.daemoncore.threads import in_thread
from annexd.service.configuration import Limits
from annexd.workflow import SUCCESS, JournalError, Outcome, Paused

Answer = TypeVar("Answer")
NOT_AUTHENTICATED = "NotAuthenticated"  # command_strings.h
SMALL_BYTES = 16 * 1024  # of an ad that is read in a millisecond, in less time than a thread needs to be started
LATER_S = 15.0  # at most until the next try of what cannot even be written down


class Orders:
    """Takes orders and carries them out; `changed` is called when the counts may have changed."""

    def __init__(
        self, context: CommandContext, defaults: Defaults, limits: Limits, changed: Callable[[], None]
    ) -> None:
        self.defaults = defaults
        self._context, self._engine = context, context.index.engine
        self._limits = limits
        self._room = Semaphore(limits.max_running_requests)
        self._side_room = Semaphore(limits.max_running_requests)  # who ends an annex need not wait for who begins one
        self._changed = changed
        self._continuing: dict[str, asyncio.Task[None]] = {}
        self._taken: set[str] = set()  # being carried out for a client that waits
        self._looking: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()  # set, and replaced, when the journal can be written again
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def take(self, call: Call) -> None:
        """CA_AUTH_CMD or CA_CMD: one ad in, one ad out.  Raises PeerError for a payload that is no ad."""
        payload, owner = payload_of(call), call.received.identity.user
        ad = _whole_ad(payload) if payload.remaining <= SMALL_BYTES else None
        command = command_of(ad or {})
        room = self._side_room if command in ASIDE else self._room
        if room.is_full and room.waiting >= self._limits.max_waiting_requests:
            log.always(f"request of {owner} at {call.peer} refused: {room.waiting} others wait already")
            self._answer(call, reply(INVALID_STATE, self._busy(room)))
            return
        ad = await self._in_thread(lambda: _whole_ad(payload)) if ad is None else ad
        if not call.received.identity.mapped:  # CA_CMD does not force authentication, and money needs an owner
            self._answer(call, reply(NOT_AUTHENTICATED, "an order needs an authenticated user with a domain"))
            return
        loop = asyncio.get_running_loop()

        def accepted(command_id: str) -> None:
            log.always(f"request {command_id} of {owner} at {call.peer} is accepted; {call.received.identity.proof}")
            loop.call_soon_threadsafe(self._changed)

        reply_ad = await self._in_thread(lambda: self._carry_out(ad, owner, accepted), room)
        tell = log.full_debug if command == status.COMMAND else log.always
        tell(
            f"request {reply_ad.get('CommandID', '(no ID)')} of {owner} at {call.peer}: {reply_ad['Result']} "
            f"{reply_ad.get('ErrorString') or reply_ad.get('BulkRequestID', '')}"
            f"{'' if command == request.COMMAND else f' {command}'}"
        )
        self._answer(call, reply_ad)
        if reply_ad["Result"] != INVALID_REQUEST and command != status.COMMAND:  # which come not as far as the journal
            self._changed()
            if reply_ad["Result"] != SUCCESS:
                await self.continue_unfinished()  # this one, if it is stuck

    def set_limits(self, limits: Limits) -> None:
        """At once, also for those that wait now."""
        self._limits = limits
        for room in (self._room, self._side_room):
            room.resize(limits.max_running_requests)

    def _busy(self, room: Semaphore) -> str:
        return (
            f"annexd works on {self._limits.max_running_requests} requests, and {room.waiting} wait "
            f"(ANNEXD_MAX_WAITING_REQUESTS): nothing was ordered; ask again later"
        )

    def _carry_out(self, ad: Mapping[str, Any], owner: str, accepted: Callable[[str], None]) -> ReplyAd:
        mine: list[str] = []

        def take(command_id: str) -> None:
            mine.append(command_id)
            self._taken.add(command_id)
            accepted(command_id)

        try:
            return answer(ad, owner, self._context, self.defaults, time.time(), take)
        finally:
            self._taken.difference_update(mine)

    def _answer(self, call: Call, answer: ReplyAd) -> None:
        versions = {"CondorVersion": htcondor2.version(), "CondorPlatform": htcondor2.platform()}
        call.connection.reply(call.connection.message().ad({**answer, **versions}))

    async def continue_unfinished(self) -> None:
        """Go on with everything that the journal holds and nobody works on."""
        try:
            unfinished = await in_thread(self._engine.unfinished_workflows)
        except JournalError as error:
            log.error(f"cannot look for unfinished requests: {error}")
            return
        for command_id, workflow in unfinished:
            if command_id not in self._continuing and command_id not in self._taken:
                room = self._side_room if workflow in (CANCEL, CHANGE) else self._room
                self._continuing[command_id] = asyncio.create_task(self._continue(command_id, room))

    def journal_is_back(self) -> None:
        """Go on at once with what waits for the journal, or could not be looked for."""
        self._writable.set()
        self._writable = asyncio.Event()
        self._looking = asyncio.create_task(self.continue_unfinished())

    async def pause(self, timeout_s: float, hurry: asyncio.Event) -> None:
        """Start nothing more, and give running calls to AWS so long to end, or until told to hurry; the rest is the
        next start's.
        """
        self._engine.pause()
        for task in self._continuing.values():
            task.cancel()
        waits = {asyncio.create_task(event.wait()) for event in (self._idle, hurry)}
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if not self._idle.is_set():
            log.always(f"{self._running} requests are still in a call to AWS: they go on at the next start")

    async def _continue(self, command_id: str, room: Semaphore) -> None:
        """Until the workflow is finished, however often it takes."""
        try:
            while (retry_at_s := await self._run_once(command_id, room)) is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(retry_at_s - time.time(), 1.0)):
                        await self._writable.wait()
        except Paused:
            return
        finally:
            self._continuing.pop(command_id, None)
            self._changed()

    async def _run_once(self, command_id: str, room: Semaphore) -> float | None:
        """When to try again, or None when it is finished.  Raises Paused."""
        try:
            outcome = await self._in_thread(lambda: self._engine.run(command_id), room)
        except JournalError as error:
            log.error(f"request {command_id} cannot go on: {error}")
            return time.time() + LATER_S
        _tell(outcome)
        return outcome.retry_at_s

    async def _in_thread(self, work: Callable[[], Answer], room: Semaphore | None = None) -> Answer:
        """In a thread of its own, which may be left behind when the process ends: the journal has it all."""
        async with room or self._room:
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
    """In a worker thread, if it is large.  Raises PeerError."""
    ad = payload.ad()
    payload.end()
    return ad


def _tell(outcome: Outcome) -> None:
    if outcome.retry_at_s is None:
        log.always(f"request {outcome.command_id} is finished: {outcome.result} {outcome.error}")
    else:
        later_s = outcome.retry_at_s - time.time()
        log.always(f"request {outcome.command_id} is stuck, next try in {later_s:.0f} s: {outcome.error}")
