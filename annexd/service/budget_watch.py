"""Settle reservations periodically, in a thread: when an annex has ended, its unused reservation is released."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Final

from annexd.annex.budgets import known_budgets
from annexd.annex.reservations import Reservations
from annexd.annex.settlement import Settlement
from annexd.annex.status import Snapshot
from annexd.daemoncore.threads import in_thread
from annexd.workflow import JournalError, Json

SWEEP_S: Final = 15.0
DOLLARS: Final = ("Dollars", "Spent", "Reserved", "Left", "Rate", "RateReserved", "RateLeft")


class BudgetWatch:
    """Settles reservations by the newest looks at the accounts."""

    def __init__(
        self, settlement: Settlement, looks: Callable[[], Mapping[str, Snapshot]], sweep_s: float = SWEEP_S
    ) -> None:
        self._settlement, self._looks, self._sweep_s = settlement, looks, sweep_s

    async def run(self) -> None:
        """Settle, until cancelled."""
        while True:
            with contextlib.suppress(JournalError):  # JournalMonitor reports it
                await in_thread(lambda: self._settlement.sweep(self._looks(), time.time()))
            await asyncio.sleep(self._sweep_s)


def advertised_budgets(reservations: Reservations, now_s: float) -> list[Json]:
    """Return the budgets for ads: dollars are numbers there.  Raises JournalError."""
    return [
        {name: float(value) if name in DOLLARS and value is not None else value for name, value in each.items()}
        for each in known_budgets(reservations, now_s)
    ]
