"""One ad for each annex in the collector: the data of -status, for condor_status and scripts.

    condor_status -any -constraint 'MyType == "Annex"'

An ad is sent when it has changed, and again before the collector forgets it.  It contains no text from AWS and no key,
since the collector shows it to every user with READ access.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from annexd.daemoncore import log
from annexd.daemoncore.pool.collector import (
    INVALIDATE_ADS_GENERIC,
    INVALIDATE_TIMEOUT_S,
    UPDATE_AD_GENERIC,
    WITHDRAW_START_S,
    DaemonIdentity,
    subject_ad,
    subject_invalidation,
)
from annexd.daemoncore.pool.outbound import START_S, Outbound, OutboundFailed
from annexd.daemoncore.threads import in_thread
from annexd.workflow import JournalError, Json

CHANGES_S: Final = 15.0  # between two searches for changes
AT_ONCE: Final = 200  # ads in one call
LEFT_OUT: Final = ("Trouble", "SeenFault", "PoolFault", "CommandID")  # texts from AWS; an ID that a request could use
PASSING: Final = (
    "SeenTime",
    "PoolSeenTime",
    "EnforcerSeenTime",
    "EstimatedCost",
)  # which change without a change of the annex


class AdKind(NamedTuple):
    """The ads' MyType, the attribute that names each, and those that change without a change that matters."""

    my_type: str
    key: str
    passing: tuple[str, ...] = ()


OF_ANNEXES: Final = AdKind("Annex", "AnnexID", PASSING)
OF_BUDGETS: Final = AdKind("AnnexBudget", "Name")
OF_OFFERS: Final = AdKind("AnnexOffer", "Offer", ("LookTime",))
OF_DEMAND: Final = AdKind("AnnexDemand", "Group", ("Oldest",))


class AnnexAds:
    """Advertises annexes, or other things of which there are several; `describe` blocks, and returns them as
    status.known_annexes does.

    `version`, which may also block, changes with the result of `describe`: describing a thousand annexes takes a third
    of a second.
    """

    def __init__(
        self,
        outbound: Outbound,
        describe: Callable[[], list[Json]],
        version: Callable[[], object],
        identity: Callable[[], DaemonIdentity | None],
        collectors: Callable[[], tuple[str, ...]],
        interval_s: Callable[[], float],
        kind: AdKind = OF_ANNEXES,
    ) -> None:
        self._outbound, self._describe, self._version, self._identity = outbound, describe, version, identity
        self._collectors, self._interval_s, self._kind = collectors, interval_s, kind
        self._sent: dict[str, tuple[Json, float]] = {}  # by annex ID: what was sent, and when (monotonic)
        self._described: tuple[object, float] = None, 0.0  # which version, and when (monotonic)
        self._is_withdrawn = False

    async def run(self) -> None:
        """Advertise until cancelled."""
        while not self._is_withdrawn:
            if (identity := self._identity()) is not None:
                await self._update(identity)
            await asyncio.sleep(CHANGES_S)

    async def withdraw(self) -> None:
        """Remove the ads from the collectors."""
        self._is_withdrawn, identity = True, self._identity()
        if identity is not None and self._sent:
            withdrawn = [subject_invalidation(identity, self._kind.my_type, each) for each in self._sent]
            await self._send(INVALIDATE_ADS_GENERIC, withdrawn, INVALIDATE_TIMEOUT_S, WITHDRAW_START_S)

    async def _update(self, identity: DaemonIdentity) -> None:
        now_s = time.monotonic()
        try:
            version = await in_thread(self._version)
            if version == self._described[0] and now_s - self._described[1] < self._interval_s():
                return
            annexes = {str(each[self._kind.key]): each for each in await in_thread(self._describe)}
        except JournalError:
            return  # JournalMonitor reports it
        due = [annex for annex_id, annex in annexes.items() if self._is_due(annex_id, annex, now_s)]
        for first in range(0, len(due), AT_ONCE):
            some = due[first : first + AT_ONCE]
            if not await self._send(UPDATE_AD_GENERIC, [self._ad(each, identity) for each in some]):
                return
            self._sent |= {str(each[self._kind.key]): (self._lasting(each), now_s) for each in some}
        gone = self._sent.keys() - annexes.keys()
        if gone and await self._send(
            INVALIDATE_ADS_GENERIC, [subject_invalidation(identity, self._kind.my_type, each) for each in gone]
        ):
            self._sent = {annex_id: sent for annex_id, sent in self._sent.items() if annex_id not in gone}
        self._described = version, now_s

    def _is_due(self, annex_id: str, annex: Json, now_s: float) -> bool:
        if annex_id not in self._sent:
            return True
        before, sent_s = self._sent[annex_id]
        return before != self._lasting(annex) or now_s - sent_s >= self._interval_s()

    async def _send(self, command: str, ads: list[str], timeout_s: float = 30.0, start_s: float = START_S) -> bool:
        """Return whether one of the collectors has them; the daemon's own ad names a collector that fails."""
        delivered = False
        for collector in self._collectors():
            arguments = {"command": command, "collector": collector, "ads": ads}
            try:
                await self._outbound.call("advertise", arguments, timeout_s, start_s)
                delivered = True
            except OutboundFailed as error:
                log.full_debug(f"Failed to send {len(ads)} ads of annexes to collector {collector}: {error}")
        return delivered

    def _lasting(self, annex: Json) -> Json:
        return {name: value for name, value in annex.items() if name not in self._kind.passing}

    def _ad(self, annex: Json, identity: DaemonIdentity) -> str:
        known = {name: value for name, value in annex.items() if value is not None and name not in LEFT_OUT}
        state = {"AnnexState": known.pop("State")} if "State" in known else {}
        return subject_ad(identity, self._kind.my_type, str(annex[self._kind.key]), {**known, **state})
