"""What the daemon's ad says of the journal: its counts, and whether it can be written.

The event loop must not touch the journal, whose disk may hang: condor_master would miss the keepalive and kill a
daemon that is fine.  So the counts are taken aside, and the newest known ones are shown.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from annexd.daemoncore import log
from annexd.daemoncore.threads import in_thread
from annexd.workflow import Counts, Engine, Journal, JournalError

LOOK_S: Final = 1.0  # between two looks at what is known of the journal: this reads no disk
COUNT_S: Final = 0.5  # until counts that may have changed are taken: an order and its end are counted once
PROBE_S: Final = 60.0  # between two writes of nothing, to hear of a bad disk before an order does
PROBE_IN_TROUBLE_S: Final = 5.0


@dataclass(frozen=True)
class Times:
    """Of the watch, in seconds."""

    look_s: float = LOOK_S
    count_s: float = COUNT_S
    probe_s: float = PROBE_S
    probe_in_trouble_s: float = PROBE_IN_TROUBLE_S


class JournalMonitor:
    """`changed` is called when `status` has changed, `mended` when the journal can be written again."""

    def __init__(
        self, journal: Journal, engine: Engine, changed: Callable[[], None], times: Times | None = None
    ) -> None:
        self._journal, self._engine, self._changed = journal, engine, changed
        self._times = times or Times()
        self._counts: Counts | None = None
        self._trouble = ""
        self._probe_under_way: asyncio.Future[None] | None = None
        self._stale = asyncio.Event()

    def status(self) -> Mapping[str, int | bool | str]:
        """Attributes of the daemon's ad."""
        return {
            **_counted(self._counts),
            "AnnexJournalOK": not self._trouble,
            **({"AnnexJournalError": self._trouble} if self._trouble else {}),
        }

    def recount(self) -> None:
        """The counts may have changed."""
        self._stale.set()

    async def first_count(self) -> None:
        """Before the first ad.  Raises JournalError."""
        self._counts = await in_thread(self._engine.counts)

    async def count(self) -> None:
        """For ever: take the counts whenever they may have changed."""
        while True:
            await self._stale.wait()
            await asyncio.sleep(self._times.count_s)
            self._stale.clear()
            with contextlib.suppress(JournalError):  # what is wrong, the watch tells
                self._counts = await in_thread(self._engine.counts)
                self._changed()

    async def watch(self, mended: Callable[[], None]) -> None:
        """For ever: notice when the journal cannot be written, say so, and when it can be again."""
        probed_s = time.monotonic()
        while True:
            await asyncio.sleep(self._times.look_s)
            self._tell(self._journal.trouble(), mended)
            pause_s = self._times.probe_in_trouble_s if self._journal.trouble() else self._times.probe_s
            if time.monotonic() - probed_s >= pause_s:
                await self._probe()
                probed_s = time.monotonic()
            self._tell(self._journal.trouble(), mended)

    async def _probe(self) -> None:
        """Returns also when it hangs; how it went, the journal knows."""
        if self._probe_under_way is None:
            self._probe_under_way = in_thread(self._journal.probe)
            self._probe_under_way.add_done_callback(self._probed)
        await asyncio.wait([self._probe_under_way], timeout=self._times.probe_in_trouble_s)

    def _probed(self, probe: asyncio.Future[None]) -> None:
        probe.exception()
        self._probe_under_way = None

    def _tell(self, trouble: str, mended: Callable[[], None]) -> None:
        was, self._trouble = self._trouble, trouble
        if bool(was) == bool(trouble):
            return
        if trouble:
            log.error(f"{trouble}: new requests are refused until it can be written again")
        else:
            log.always("the journal can be written again: requests are taken, and what waited for it goes on")
            mended()
        self._changed()


def _counted(counts: Counts | None) -> dict[str, int | bool | str]:
    if counts is None:
        return {}
    return {
        "AnnexRequests": counts.requests,
        "AnnexSuccesses": counts.successes,
        "AnnexFailures": counts.failures,
        "AnnexUnfinished": counts.unfinished,
        "AnnexStuck": counts.stuck,
        **({"AnnexStuckReason": counts.stuck_reason} if counts.stuck_reason else {}),
    }
