"""Monitor the journal for the daemon's ad: its counts, and whether it can be written.

The event loop must not touch the journal, whose disk may hang: condor_master would miss a keepalive and kill a healthy
daemon.  So threads count, and the ad shows the newest known counts.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from annexd.daemoncore import log
from annexd.daemoncore.threads import in_thread
from annexd.service import statistics
from annexd.workflow import Counts, Engine, Journal, JournalError

LOOK_S: Final = 1.0  # between two checks of the known state, which reads no disk
COUNT_S: Final = 0.5  # until changed counts are taken: an order and its end are counted once
PROBE_S: Final = 60.0  # between two empty writes, which find a bad disk before an order does
PROBE_IN_TROUBLE_S: Final = 5.0


@dataclass(frozen=True)
class Times:
    """Intervals of the monitor, in seconds."""

    look_s: float = LOOK_S
    count_s: float = COUNT_S
    probe_s: float = PROBE_S
    probe_in_trouble_s: float = PROBE_IN_TROUBLE_S


class JournalMonitor:
    """Counts and watches the journal; `changed` is called after each change of `status`."""

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
        """Return the journal's attributes of the daemon's ad."""
        return {
            **_counted(self._counts),
            "AnnexJournalOK": not self._trouble,
            **({"AnnexJournalError": self._trouble} if self._trouble else {}),
        }

    def counters(self) -> Mapping[str, int]:
        """Return the outcomes of orders, cancellations and changes, as attributes of the daemon's ad."""
        return {} if self._counts is None else statistics.counters(self._counts)

    def recount(self) -> None:
        """Count again soon: the counts may have changed."""
        self._stale.set()

    async def first_count(self) -> None:
        """Count before the first ad.  Raises JournalError."""
        self._counts = await in_thread(self._engine.counts)

    async def count(self) -> None:
        """Count after each `recount`, until cancelled."""
        while True:
            await self._stale.wait()
            await asyncio.sleep(self._times.count_s)
            self._stale.clear()
            with contextlib.suppress(JournalError):  # `watch` reports it
                self._counts = await in_thread(self._engine.counts)
                self._changed()

    async def watch(self, recovered: Callable[[], None]) -> None:
        """Report when the journal becomes unwritable and writable again, until cancelled.

        `recovered` is called when it becomes writable.
        """
        probed_s = time.monotonic()
        while True:
            await asyncio.sleep(self._times.look_s)
            self._report(self._journal.trouble(), recovered)
            pause_s = self._times.probe_in_trouble_s if self._journal.trouble() else self._times.probe_s
            if time.monotonic() - probed_s >= pause_s:
                await self._probe()
                probed_s = time.monotonic()
            self._report(self._journal.trouble(), recovered)

    async def _probe(self) -> None:
        """Write to the journal, or return while the write hangs; the journal records the result."""
        if self._probe_under_way is None:
            self._probe_under_way = in_thread(self._journal.probe)
            self._probe_under_way.add_done_callback(self._probed)
        await asyncio.wait([self._probe_under_way], timeout=self._times.probe_in_trouble_s)

    def _probed(self, probe: asyncio.Future[None]) -> None:
        probe.exception()
        self._probe_under_way = None

    def _report(self, trouble: str, recovered: Callable[[], None]) -> None:
        was, self._trouble = self._trouble, trouble
        if bool(was) == bool(trouble):
            return
        if trouble:
            log.error(f"{trouble}; refusing new requests until the journal can be written again")
        else:
            log.always("The journal can be written again: accepting requests and resuming unfinished ones")
            recovered()
        self._changed()


def _counted(counts: Counts | None) -> dict[str, int | bool | str]:
    if counts is None:
        return {}
    return {
        "AnnexRequests": counts.requests,
        "AnnexSuccesses": counts.successes,
        "AnnexFailures": counts.failures,
        "AnnexUnfinished": counts.unfinished,
        "AnnexUndoing": counts.undoing,
        "AnnexStuck": counts.stuck,
        **({"AnnexStuckReason": counts.stuck_reason} if counts.stuck_reason else {}),
    }
