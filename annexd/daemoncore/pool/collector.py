"""Advertise the daemon to the collector, where condor_status, -pool and -name find it.

The ad is sent twice under one Name, because the collector keeps a table for each MyType: `locate` queries Generic, and
`condor_status -subsystem annexd` queries Annexd.  A collector that hangs or is down costs visibility only.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import classad2

from annexd.condor import bindings
from annexd.condor.values import Unsafe
from annexd.daemoncore import log
from annexd.daemoncore.pool.outbound import CALL_TIMEOUT_S, START_S, Outbound, OutboundFailed
from annexd.daemoncore.program import current

GENERIC = "Generic"
UPDATE_AD_GENERIC = "UPDATE_AD_GENERIC"
INVALIDATE_ADS_GENERIC = "INVALIDATE_ADS_GENERIC"
INVALIDATE_TIMEOUT_S = 5.0  # when a whole pool stops, its collector may already be down
WITHDRAW_START_S = 10.0  # of a worker for it: the end of a daemon is limited by condor_master and systemd
SETTLING_S = 2.0  # a burst of orders is one update


@dataclass(frozen=True)
class DaemonIdentity:
    """The constant attributes of a daemon's ad."""

    name: str
    machine: str
    address: str
    version: str
    platform: str


@dataclass(frozen=True)
class Publication:
    """The knobs of advertising: where, how often, and the administrator's own attributes."""

    collectors: tuple[str, ...]
    update_interval_s: int
    expressions: Mapping[str, str]  # <SUBSYSTEM>_ATTRS: attribute name -> expression text


def my_types() -> tuple[str, str]:
    return GENERIC, current().my_type


class Advertiser:
    """Keeps both ads up to date; `status` returns the attributes that change, such as counts of requests."""

    def __init__(
        self, outbound: Outbound, publication: Publication, status: Callable[[], Mapping[str, int | bool | str]]
    ) -> None:
        self.publication = publication
        self.identity: DaemonIdentity | None = None
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
        """Invalidate both ads in the collectors."""
        if self.identity is None:
            return
        ads = [invalidation(self.identity, my_type) for my_type in my_types()]
        await self._outbound.close()  # an update that hangs would delay the invalidation
        for collector in self.publication.collectors:
            if collector not in self._failing:
                try:
                    await self._send(INVALIDATE_ADS_GENERIC, ads, collector, INVALIDATE_TIMEOUT_S, WITHDRAW_START_S)
                except OutboundFailed as error:
                    log.always(f"Failed to withdraw from collector {collector}, where the ad now expires: {error}")

    def is_true(self, expression: str) -> bool:
        """Evaluate an expression in the current ad.  An error is not true: the bindings raise for some."""
        if self.identity is None:
            return False
        try:
            return bindings.expression(expression).eval(self._ad(self.identity, GENERIC)) is True
        except (classad2.ClassAdException, Unsafe):
            return False

    def ads(self) -> list[bindings.Ad]:
        """Return the current ads, one for each MyType."""
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
                    log.always(f"Failed to update collector {collector}: {error}; will retry at each interval")
                self._failing.add(collector)  # and comes last: its time-out must not delay the others
            else:
                if collector in self._failing:
                    log.always(f"Collector {collector} accepts updates again")
                self._failing.discard(collector)

    async def _send(
        self,
        command: str,
        ads: list[bindings.Ad],
        collector: str,
        timeout_s: float = CALL_TIMEOUT_S,
        start_s: float = START_S,
    ) -> None:
        arguments = {"command": command, "collector": collector, "ads": [repr(ad) for ad in ads]}
        await self._outbound.call("advertise", arguments, timeout_s, start_s)

    def _ad(self, identity: DaemonIdentity, my_type: str) -> bindings.Ad:
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


def invalidation(identity: DaemonIdentity, my_type: str) -> bindings.Ad:
    """Return the query ad of INVALIDATE_ADS_GENERIC that selects this daemon's ad."""
    ad = {"MyType": "Query", "TargetType": my_type, "Name": identity.name, "MyAddress": identity.address}
    return bindings.make_ad(ad, {"Requirements": f"TARGET.Name == {bindings.quote(identity.name)}"})


def subject_ad(identity: DaemonIdentity, my_type: str, name: str, attributes: Mapping[str, Any]) -> str:
    """Return the text of an ad of something that the daemon looks after, for `advertise` of Outbound."""
    own = {
        "MyType": my_type,
        "Name": name,
        "Machine": identity.machine,
        "MyAddress": identity.address,
        f"{current().my_type}Name": identity.name,
        "MyCurrentTime": int(time.time()),
    }
    return repr(bindings.display_ad({**attributes, **own}))


def subject_invalidation(identity: DaemonIdentity, my_type: str, name: str) -> str:
    """Return the text of the query ad that selects such an ad."""
    ad = {"MyType": "Query", "TargetType": my_type, "Name": name, "MyAddress": identity.address}
    return repr(bindings.make_ad(ad, {"Requirements": f"TARGET.Name == {bindings.quote(name)}"}))
