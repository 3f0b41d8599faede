"""The daemon as a child of condor_master: keep alive, report ready, and go when the parent has gone.

Without the keepalive condor_master takes a silent daemon for a hung one and kills it; without the parent check a
daemon would outlive its condor_master and meet the next one's daemon at the same files.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from annexd.daemoncore import log
from annexd.daemoncore.pool.outbound import Outbound, OutboundFailed
from annexd.daemoncore.program import current
from annexd.daemoncore.sinful import Sinful, read_shared_port_address

RETRY_S = 5.0  # a keepalive that was not delivered is worth another try soon


@dataclass(frozen=True)
class ParentTimes:
    """NOT_RESPONDING_TIMEOUT (the daemon's own first), PARENT_CHECK_FIRST_INTERVAL, PARENT_CHECK_INTERVAL."""

    not_responding_s: int
    first_check_s: int
    check_s: int

    @property
    def keepalive_s(self) -> float:
        """As DaemonCore: three chances before the parent loses patience, less the time its scan takes."""
        return max(self.not_responding_s / 3 - 30, 1)


class Parent:
    """shared_port_ad: condor_shared_port's ad file."""

    def __init__(
        self, outbound: Outbound, address: str, pid: int, times: ParentTimes, shared_port_ad: Path | None = None
    ) -> None:
        self._times = times
        self._shared_port_ad = shared_port_ad
        self._outbound = outbound
        self._address = address
        self._pid = pid

    def reconfigure(self, times: ParentTimes) -> None:
        self._times = times

    async def keep_alive(self) -> None:
        """DC_CHILDALIVE at once and three times in each time-out, until cancelled."""
        while True:
            delivered = await self._tell("alive", hang_after_s=self._times.not_responding_s)
            await asyncio.sleep(self._times.keepalive_s if delivered else RETRY_S)

    async def report_ready(self) -> None:
        """DC_SET_READY, repeated until condor_master took it."""
        while not await self._tell("ready", name=current().subsystem, state="Ready"):
            await asyncio.sleep(RETRY_S)
        log.full_debug("told condor_master that we are ready")

    async def watch(self, gone: Callable[[], None]) -> None:
        """Call `gone` once the parent process is no longer ours."""
        await asyncio.sleep(self._times.first_check_s)
        while os.getppid() == self._pid:
            await asyncio.sleep(self._times.check_s)
        log.always(f"our parent process (pid {self._pid}) is gone: shutting down")
        gone()

    async def _tell(self, call: str, **arguments: int | str) -> bool:
        try:
            address = self._reachable_address()
            await self._outbound.call(call, {"address": address, "pid": os.getpid(), **arguments})
        except (OutboundFailed, OSError, ValueError) as error:
            log.always(f"cannot tell condor_master that we are {call}: {error}; trying again")
            return False
        return True

    def _reachable_address(self) -> str:
        """A parent that had no port yet when it started us has one now, at condor_shared_port.  Raises OSError (not
        there yet) or ValueError.
        """
        parent = Sinful.parse(self._address)
        shared_port_id = parent.parameter("sock")
        if parent.port or not shared_port_id:
            return self._address
        return str(read_shared_port_address(self._shared_port_ad or Path()).behind_shared_port(shared_port_id))
