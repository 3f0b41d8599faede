"""Look at every account that annexd knows of, at start and at intervals, and mend what breaks the promise there.

It runs beside the orders, in a thread of its own, and never keeps one waiting.  Which accounts it knows, the journal
tells, since each order names its keys; one more are annexd's own keys, if it lends them.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from annexd.annex.access import KeyFiles
from annexd.annex.adoption import Place, Report, own_place, place_of, reconcile
from annexd.annex.defaults import Defaults
from annexd.annex.lease_code import FunctionWatch
from annexd.annex.roll import Roll
from annexd.annex.status import Look
from annexd.annex.steps import World
from annexd.daemon import log
from annexd.daemon.runtime_watch import today
from annexd.daemon.threads import in_thread
from annexd.workflow import JournalError, Refused, Retry

LEARN_S: Final = 10.0  # between two looks into the journal for accounts that are new
SKEW_WORTH_A_WORD_S: Final = 30


class Reconciler:
    """`changed` is called when `status` has changed."""

    def __init__(self, access: KeyFiles, roll: Roll, defaults: Defaults, interval_s: int,
                 changed: Callable[[], None]) -> None:
        self.interval_s, self.defaults = interval_s, defaults
        self._access, self._roll, self._engine, self._changed = access, roll, roll.engine, changed
        self._places: dict[str, Place] = {}
        self._learned_seq = 0
        self._looked_s: dict[str, float] = {}  # monotonic
        self._reports: dict[str, Report] = {}
        self._looks: dict[str, Look] = {}
        self._faults: dict[str, str] = {}
        self._functions = FunctionWatch()
        self._warnings: dict[str, str] = {}  # of their lease functions
        self._mended = 0
        self._newest_s = 0
        self._skew_told_s = 0

    def status(self) -> Mapping[str, int | str]:
        """Attributes of the daemon's ad: what runs in all accounts, and what was amiss at the newest look."""
        reports = self._reports.values()
        found = {"AnnexFleets": {each for report in reports for each in report.fleets},
                 "AnnexInstances": {each for report in reports for each in report.instances},
                 "AnnexUnleased": {each for report in reports for each in report.unleased},
                 "AnnexOverdue": {each for report in reports for each in report.overdue},
                 "AnnexOrphanRules": {each for report in reports for each in report.orphan_rules}}
        warning = next(iter(self._warnings.values()), None)
        return {**({"AnnexFunctionWarning": warning} if warning else {}),
                **{name: len(each) for name, each in found.items()}, "AnnexMended": self._mended,
                "AnnexReconcileFaults": len(self._faults), "AnnexReconcileTime": self._newest_s,
                "AnnexClockSkew": self._access.skew_s, "AnnexThrottledAccounts": self._access.throttled_accounts}

    def looks(self) -> dict[str, Look]:
        """The newest at each place.  From any thread."""
        return dict(self._looks)

    async def run(self) -> None:
        """For ever: whatever is due."""
        while True:
            await self._learn()
            for key, place in list(self._places.items()):
                if time.monotonic() - self._looked_s.get(key, -self.interval_s) >= self.interval_s:
                    await self._look(key, place)
            await asyncio.sleep(min(LEARN_S, self.interval_s))

    async def _learn(self) -> None:
        """The accounts of orders that are new in the journal, and our own."""
        try:
            self._learned_seq, accepted = await in_thread(lambda: self._engine.accepted(self._learned_seq))
        except JournalError:
            return  # the books tell
        own = own_place(self.defaults)
        for place in [place_of(state.order) for state in accepted if state.order] + ([own] if own else []):
            known = self._places.get(place.key, place)
            self._places[place.key] = replace(place, bucket=place.bucket or known.bucket)

    async def _look(self, key: str, place: Place) -> None:
        world, began_s = World(self._access), time.time()
        try:
            report = await in_thread(
                lambda: reconcile(world, place, self._busy, self._aws_now_s, self._roll.cancelled_ends))
        except (Retry, Refused, JournalError) as error:
            self._tell_faults(key, str(error))
        else:
            self._reports[key] = report
            self._looks[key] = Look(began_s, {sighting.annex_id: sighting for sighting in report.sightings})
            self._mended += len(report.mended)
            for words in report.mended:
                log.always(f"reconciliation: {words}")
            self._tell_faults(key, "; ".join(report.faults))
        await self._look_at_function(key, place)
        self._looked_s[key], self._newest_s = time.monotonic(), int(time.time())
        self._tell_skew()
        self._changed()

    async def _look_at_function(self, key: str, place: Place) -> None:
        """Is what will end the leases what it should be?  That AWS does not tell is no news: see above."""
        def look() -> str:
            return self._functions.look(self._access(place.order).functions, place.lease_function_arn, today())

        try:
            words = await in_thread(look)
        except (Retry, Refused):
            return
        if words and words != self._warnings.get(key):
            log.always(f"WARNING: {words}")
        self._warnings.pop(key, None)
        if words:
            self._warnings[key] = words

    def _busy(self) -> set[str]:
        return {str(order["annex_id"]) for order in self._engine.unfinished_orders()}

    def _aws_now_s(self) -> float:
        return time.time() + self._access.skew_s

    def _tell_faults(self, key: str, faults: str) -> None:
        if faults and self._faults.get(key) != faults:
            owner = self._places[key].order["owner"] or "annexd itself"
            log.error(f"reconciliation with the keys of {owner}: {faults}; it is tried again every {self.interval_s} s")
        self._faults.pop(key, None)
        if faults:
            self._faults[key] = faults

    def _tell_skew(self) -> None:
        skew_s = self._access.skew_s
        if abs(skew_s) >= SKEW_WORTH_A_WORD_S and abs(skew_s - self._skew_told_s) >= SKEW_WORTH_A_WORD_S:
            log.error(f"the clock of this host is {abs(skew_s)} s {'behind' if skew_s > 0 else 'ahead of'} AWS's, by "
                      f"which leases end: set it")
            self._skew_told_s = skew_s
