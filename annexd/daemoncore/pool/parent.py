"""The daemon as a child of condor_master: send keepalives, report ready, and exit when the parent exits.

Without keepalives condor_master considers the daemon hung and kills it.  Without the parent check a daemon would
outlive its condor_master and share its files with the daemon of the next one.
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

RETRY_S = 5.0  # after a message that was not delivered


@dataclass(frozen=True)
class ParentTimes:
    """NOT_RESPONDING_TIMEOUT (the daemon's own first), PARENT_CHECK_FIRST_INTERVAL, PARENT_CHECK_INTERVAL."""

    not_responding_s: int
    first_check_s: int
    check_s: int

    @property
    def keepalive_s(self) -> float:
        """Return the interval of DaemonCore: three keepalives in each time-out, less the time of the parent's scan."""
        return max(self.not_responding_s / 3 - 30, 1)


class Parent:
    """The condor_master that started this daemon; `shared_port_ad` is condor_shared_port's ad file."""

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
        """Send DC_CHILDALIVE at once and three times in each time-out, until cancelled."""
        while True:
            delivered = await self._report("alive", hang_after_s=self._times.not_responding_s)
            await asyncio.sleep(self._times.keepalive_s if delivered else RETRY_S)

    async def report_ready(self) -> None:
        """Send DC_SET_READY until condor_master has accepted it."""
        while not await self._report("ready", name=current().subsystem, state="Ready"):
            await asyncio.sleep(RETRY_S)
        log.full_debug("Reported ready to condor_master")

    async def watch(self, gone: Callable[[], None]) -> None:
        """Call `gone` once the parent process has exited."""
        await asyncio.sleep(self._times.first_check_s)
        while os.getppid() == self._pid:
            await asyncio.sleep(self._times.check_s)
        log.always(f"Our parent process (pid {self._pid}) went away; shutting down fast")
        gone()

    async def _report(self, call: str, **arguments: int | str) -> bool:
        try:
            address = self._reachable_address()
            await self._outbound.call(call, {"address": address, "pid": os.getpid(), **arguments})
        except (OutboundFailed, OSError, ValueError) as error:
            log.always(f"Failed to report {call} to condor_master: {error}; will retry")
            return False
        return True

    def _reachable_address(self) -> str:
        """Return the parent's address; its port may have become known at condor_shared_port since the start.

        Raises OSError (ad file not there yet) or ValueError.
        """
        parent = Sinful.parse(self._address)
        shared_port_id = parent.parameter("sock")
        if parent.port or not shared_port_id:
            return self._address
        return str(read_shared_port_address(self._shared_port_ad or Path()).behind_shared_port(shared_port_id))
