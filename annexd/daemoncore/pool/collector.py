"""The daemon in the collector: what condor_status shows, and what -pool and -name find.

The same ad goes out twice with one Name: the collector keeps a table for each MyType, `locate` looks into Generic and
`condor_status -subsystem annexd`, say, into Annexd.  A collector that hangs or is gone costs visibility and nothing
else.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import classad2

from annexd.condor import bindings
from annexd.condor.values import Unsafe
from annexd.daemoncore import log
from annexd.daemoncore.pool.outbound import CALL_TIMEOUT_S, Outbound, OutboundFailed
from annexd.daemoncore.program import current

GENERIC = "Generic"
UPDATE_AD_GENERIC = "UPDATE_AD_GENERIC"
INVALIDATE_ADS_GENERIC = "INVALIDATE_ADS_GENERIC"
INVALIDATE_TIMEOUT_S = 5.0  # when a whole pool stops, its collector may be gone already
SETTLING_S = 2.0  # a burst of orders is one update


@dataclass(frozen=True)
class Identity:
    """What stays the same in every update of one daemon."""

    name: str
    machine: str
    address: str
    version: str
    platform: str


@dataclass(frozen=True)
class Publication:
    """What an administrator's configuration says of the ad."""

    collectors: tuple[str, ...]
    update_interval_s: int
    expressions: Mapping[str, str]  # <SUBSYSTEM>_ATTRS: attribute name -> expression text


def my_types() -> tuple[str, str]:
    return GENERIC, current().my_type


class Advertiser:
    """Keeps both ads fresh; `status` gives the attributes that change (counts of requests and the like)."""

    def __init__(
        self, outbound: Outbound, publication: Publication, status: Callable[[], Mapping[str, int | bool | str]]
    ) -> None:
        self.publication = publication
        self.identity: Identity | None = None
        self.reconfigured_at_s = self.started_at_s = int(time.time())
        self._outbound = outbound
        self._status = status
        self._sequence = 0
        self._wake = asyncio.Event()
        self._failing: set[str] = set()

    def reconfigure(self, publication: Publication) -> None:
        self.publication, self.reconfigured_at_s = publication, int(time.time())

    def update_soon(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Advertise at once, at each interval and after `update_soon`, until cancelled."""
        while True:
            self._wake.clear()
            await self._update()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.publication.update_interval_s):
                    await self._wake.wait()
                    await asyncio.sleep(SETTLING_S)

    async def withdraw(self) -> None:
        """Take both ads out of the collectors."""
        if self.identity is None:
            return
        ads = [invalidation(self.identity, my_type) for my_type in my_types()]
        await self._outbound.close()  # an update that hangs would only be in the way
        for collector in self.publication.collectors:
            if collector not in self._failing:
                with contextlib.suppress(OutboundFailed):
                    await self._send(INVALIDATE_ADS_GENERIC, ads, collector, INVALIDATE_TIMEOUT_S)

    def is_true(self, expression: str) -> bool:
        """Of our ad as it stands now.  What cannot be evaluated is not true: the bindings raise for some of that."""
        if self.identity is None:
            return False
        try:
            return bindings.expression(expression).eval(self._ad(self.identity, GENERIC)) is True
        except (classad2.ClassAdException, Unsafe):
            return False

    def ads(self) -> list[bindings.Ad]:
        """The ads as they stand now, each with its own MyType."""
        if self.identity is None:
            return []
        return [self._ad(self.identity, my_type) for my_type in my_types()]

    async def _update(self) -> None:
        self._sequence += 1
        ads = self.ads()
        for collector in sorted(self.publication.collectors, key=lambda each: each in self._failing):
            try:
                await self._send(UPDATE_AD_GENERIC, ads, collector)
            except OutboundFailed as error:
                if collector not in self._failing:
                    log.always(f"cannot update collector {collector}: {error}; trying again at each interval")
                self._failing.add(collector)  # and goes last: its time-out must not keep the others waiting
            else:
                if collector in self._failing:
                    log.always(f"collector {collector} takes our updates again")
                self._failing.discard(collector)

    async def _send(
        self, command: str, ads: list[bindings.Ad], collector: str, timeout_s: float = CALL_TIMEOUT_S
    ) -> None:
        arguments = {"command": command, "collector": collector, "ads": [repr(ad) for ad in ads]}
        await self._outbound.call("advertise", arguments, timeout_s)

    def _ad(self, identity: Identity, my_type: str) -> bindings.Ad:
        program = current()
        return bindings.display_ad(
            {
                "MyType": my_type,
                "Name": identity.name,
                "Machine": identity.machine,
                "MyAddress": identity.address,
                f"{program.my_type}Version": program.version,
                "CondorVersion": identity.version,
                "CondorPlatform": identity.platform,
                "MyCurrentTime": int(time.time()),
                "DaemonStartTime": self.started_at_s,
                "DaemonLastReconfigTime": self.reconfigured_at_s,
                "UpdateSequenceNumber": self._sequence,
                **self._status(),
            },
            self.publication.expressions,
        )


def invalidation(identity: Identity, my_type: str) -> bindings.Ad:
    """The query ad that INVALIDATE_ADS_GENERIC takes: whose ad is to go."""
    ad = {"MyType": "Query", "TargetType": my_type, "Name": identity.name, "MyAddress": identity.address}
    return bindings.make_ad(ad, {"Requirements": f"TARGET.Name == {bindings.quote(identity.name)}"})
