"""Annexd's counts for its ad: orders and their outcomes, living annexes, the journal's size.

Counts of orders come from the journal and outlive the process; the others begin at zero with it (DaemonStartTime).
Nothing here calls AWS.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Final

from annexd.annex.index import CANCEL, CHANGE, GROW, SHRINK, AnnexIndex
from annexd.annex.totals import Totals, TotalsReader
from annexd.daemoncore.threads import in_thread
from annexd.workflow import Counts, Journal, JournalError

LOOK_S: Final = 20.0  # between two looks at the journal for totals
KINDS: Final = {  # by workflow
    "": "AnnexOrders", CANCEL: "AnnexCancellations", CHANGE: "AnnexLeaseChanges",
    GROW: "AnnexResizes", SHRINK: "AnnexResizes",
}  # fmt: skip


def counters(counts: Counts) -> dict[str, int]:
    """Return the counters of orders and of changes of annexes, as attributes of the daemon's ad."""
    found: dict[str, int] = {}
    for workflow, name in KINDS.items():
        ended = {each: number for each, number in counts.ended.items() if each.workflow == workflow}
        succeeded = sum(number for each, number in ended.items() if each.success)
        failed = sum(ended.values()) - succeeded
        number = {"Accepted": succeeded + failed + counts.unfinished_of.get(workflow, 0)}
        for what, more in {**number, "Succeeded": succeeded, "Failed": failed}.items():
            found[name + what] = found.get(name + what, 0) + more
        if not workflow:
            left = sum(number for each, number in ended.items() if each.may_be_left)
            found[f"{name}Undone"] = failed - left
    return found


class JournalStatistics:
    """Looks at the journal periodically, in a thread; `changed` is called when the number of living annexes has
    changed.
    """

    def __init__(
        self, journal: Journal, index: AnnexIndex, changed: Callable[[], None], look_s: float = LOOK_S
    ) -> None:
        self._journal, self._living, self._changed, self._look_s = journal, TotalsReader(index), changed, look_s
        self._totals, self._records, self._bytes = Totals(), 0, 0

    def status(self) -> Mapping[str, int]:
        """Return attributes of the daemon's ad; AnnexNextEndTime while there is a living annex."""
        totals = self._totals
        return {
            "AnnexLiving": totals.annexes,
            "AnnexUnitsOrdered": totals.units,
            **({} if totals.next_end_s is None else {"AnnexNextEndTime": totals.next_end_s}),
            "AnnexJournalRecords": self._records,
            "AnnexJournalBytes": self._bytes,
        }

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            before = self._totals
            with contextlib.suppress(JournalError):  # JournalMonitor reports it
                self._totals, (self._records, self._bytes) = await in_thread(self._look)
            if before != self._totals:
                self._changed()
            await asyncio.sleep(self._look_s)

    def _look(self) -> tuple[Totals, tuple[int, int]]:
        return self._living.totals(time.time()), self._journal.size()
