"""Periodically move requests that ended long ago from the journal to its archive, so that the journal stays small."""

import asyncio
import contextlib
import time
from typing import Final

from annexd.annex.expiry import is_over
from annexd.annex.index import AnnexIndex
from annexd.annex.reservations import Reservations
from annexd.daemoncore import log
from annexd.daemoncore.threads import in_thread
from annexd.workflow import Journal, JournalError

FIRST_S: Final = 30.0  # after the start, so as not to slow it down
INTERVAL_S: Final = 3600.0


class Archiver:
    """Moves ended requests `first_s` after the start and then every `interval_s`."""

    def __init__(
        self,
        journal: Journal,
        index: AnnexIndex,
        reservations: Reservations,
        first_s: float = FIRST_S,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._journal, self._index, self._reservations = journal, index, reservations
        self._first_s, self._interval_s = first_s, interval_s
        self._trouble = ""

    async def run(self) -> None:
        """Move ended requests until cancelled."""
        await asyncio.sleep(self._first_s)
        while True:
            with contextlib.suppress(JournalError):  # JournalMonitor reports it
                await in_thread(self._move)
            self._log_trouble()
            await asyncio.sleep(self._interval_s)

    def _move(self) -> None:
        now_s = time.time()
        ends, held = self._index.latest_end_s, self._reservations.entries().keys()
        moved = self._index.engine.move_to_archive(lambda state, at_s: is_over(state, at_s, now_s, ends, held))
        self._index.forget(moved)
        if moved:
            log.always(f"Moved {len(moved)} ended requests to the journal's archive")

    def _log_trouble(self) -> None:
        trouble = self._journal.archive_trouble()
        if trouble and trouble != self._trouble:
            log.error(trouble)
        self._trouble = trouble
