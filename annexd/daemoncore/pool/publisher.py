"""Publish the daemon's address: in its address file and in its ads.

Behind condor_shared_port the address is known only after condor_shared_port has published its own, which may be after
the daemon's start; and it may change.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import htcondor2

from annexd.daemoncore import log
from annexd.daemoncore import sinful as addresses
from annexd.daemoncore.pool.collector import Advertiser, DaemonIdentity
from annexd.daemoncore.program import knob
from annexd.daemoncore.settings import DaemonSettings
from annexd.daemoncore.sinful import Sinful

SHARED_PORT_POLL_S = 0.5
REFRESH_S = 300
FindAddress = Callable[[], Awaitable[Sinful]]


class Publisher:
    """Writes the address file and informs the advertiser, at start and whenever the address changes."""

    def __init__(self, settings: DaemonSettings, advertiser: Advertiser, find_address: FindAddress) -> None:
        self._settings = settings
        self._advertiser = advertiser
        self._find_address = find_address
        self._address: Sinful | None = None
        self.known = asyncio.Event()

    async def keep(self) -> None:
        """Publish the address, and each change of it, until cancelled."""
        while True:
            address = await self._find_address()
            if address != self._address:
                log.always(f"Command socket at {address}")
                self._publish(address)
            await asyncio.sleep(REFRESH_S)

    def reconfigure(self, settings: DaemonSettings) -> None:
        """Publish the same address under the new name and in the new file."""
        if settings.address_file != self._settings.address_file:
            self.withdraw()
        self._settings = settings
        if self._address is not None:
            self._publish(self._address)

    def withdraw(self) -> None:
        if self._address is not None and self._settings.address_file is not None:
            addresses.remove_address_file(self._settings.address_file, self._address)

    def _publish(self, address: Sinful) -> None:
        self._address, settings = address, self._settings
        version, platform = htcondor2.version(), htcondor2.platform()
        self._advertiser.identity = DaemonIdentity(settings.name, settings.machine, str(address), version, platform)
        self._advertiser.update_soon()
        self.known.set()
        if settings.address_file is None:
            return
        try:
            addresses.write_address_file(settings.address_file, address, version, platform)
        except OSError as error:
            log.error(f"Failed to write {knob('ADDRESS_FILE')} {settings.address_file}: {error}")


async def shared_port_address(ad_file: Path | None, shared_port_id: str) -> Sinful:
    """Wait for condor_shared_port's address and return it with this daemon's ID."""
    while True:
        try:
            return addresses.read_shared_port_address(ad_file or Path()).behind_shared_port(shared_port_id)
        except (OSError, ValueError) as error:
            log.full_debug(f"Waiting for condor_shared_port's address (SHARED_PORT_DAEMON_AD_FILE): {error}")
        await asyncio.sleep(SHARED_PORT_POLL_S)
