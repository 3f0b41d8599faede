"""How the world learns where the daemon is: its address file, its ready state, its ads.

Behind condor_shared_port the address is known only once condor_shared_port has said its own, which may be later than
our start, and it may change.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import htcondor2

from annexd.daemoncore import log
from annexd.daemoncore import sinful as addresses
from annexd.daemoncore.pool.collector import Advertiser, Identity
from annexd.daemoncore.program import knob
from annexd.daemoncore.settings import DaemonSettings
from annexd.daemoncore.sinful import Sinful

SHARED_PORT_POLL_S = 0.5
REFRESH_S = 300
FindAddress = Callable[[], Awaitable[Sinful]]


class Publisher:
    """Writes the address file and tells the advertiser, now and whenever the address changes."""

    def __init__(self, settings: DaemonSettings, advertiser: Advertiser, find_address: FindAddress) -> None:
        self._settings = settings
        self._advertiser = advertiser
        self._find_address = find_address
        self._address: Sinful | None = None
        self.known = asyncio.Event()

    async def keep(self) -> None:
        """Until cancelled."""
        while True:
            address = await self._find_address()
            if address != self._address:
                log.always(f"our address is {address}")
                self._show(address)
            await asyncio.sleep(REFRESH_S)

    def reconfigure(self, settings: DaemonSettings) -> None:
        """Show the same address under the new name, and in the new file."""
        if settings.address_file != self._settings.address_file:
            self.end()
        self._settings = settings
        if self._address is not None:
            self._show(self._address)

    def end(self) -> None:
        if self._address is not None and self._settings.address_file is not None:
            addresses.remove_address_file(self._settings.address_file, self._address)

    def _show(self, address: Sinful) -> None:
        self._address, settings = address, self._settings
        version, platform = htcondor2.version(), htcondor2.platform()
        self._advertiser.identity = Identity(settings.name, settings.machine, str(address), version, platform)
        self._advertiser.update_soon()
        self.known.set()
        if settings.address_file is None:
            return
        try:
            addresses.write_address_file(settings.address_file, address, version, platform)
        except OSError as error:
            log.error(f"cannot write {knob('ADDRESS_FILE')} {settings.address_file}: {error}")


async def shared_port_address(ad_file: Path | None, shared_port_id: str) -> Sinful:
    """condor_shared_port's address with our ID, as soon as it is known."""
    while True:
        try:
            return addresses.read_shared_port_address(ad_file or Path()).behind_shared_port(shared_port_id)
        except (OSError, ValueError) as error:
            log.full_debug(f"condor_shared_port's address (SHARED_PORT_DAEMON_AD_FILE) is not known yet: {error}")
        await asyncio.sleep(SHARED_PORT_POLL_S)
