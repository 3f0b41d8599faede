"""Limit and evict unauthenticated connections.

Refusing new connections at the limit would let one host lock out all others.  So a new connection evicts the oldest
pending one of the busiest address: an honest client is pending for some milliseconds, an attacker for as long as it
can.  IPv6 connections count by their /64 network, because one machine can use any number of addresses in it (RFC 4291,
2.5.4).
"""

import asyncio
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from annexd.authorization.network import peer_address
from annexd.daemoncore.program import knob

SHARE_OF_DESCRIPTORS = 2  # pending connections may use one descriptor in two; orders, AWS and files use the others
LOOK_S = 0.25  # between two checks of the deadlines
HOST_BITS = 64  # prefix length of an IPv6 network whose addresses count as one host


@dataclass(eq=False)
class Place:
    """A connection that has not sent its whole command yet.

    `host`: see counted_as.  `close(reason)` ends the connection.
    """

    host: str
    close: Callable[[str], None]
    ends_at_s: float  # in time.monotonic(): deadline of the whole session
    silent_until_s: float  # in time.monotonic(): deadline of the next bytes


def counted_as(address: str) -> str:
    """Return the host by which connections from an IP address are counted."""
    if ":" not in address:
        return address
    found = peer_address(address)
    if not isinstance(found, IPv6Address):
        return str(found or address)
    return str(IPv6Network((int(found), HOST_BITS), strict=False))


class PendingConnections:
    """The connections of one server that have not sent their command yet."""

    def __init__(self) -> None:
        self._by_host: dict[str, dict[Place, None]] = {}  # each in order of arrival
        self._taken = 0
        self._looking: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return self._taken

    def enter(self, place: Place, most: int) -> None:
        """Add a connection, and evict another one if there are `most` already."""
        room = max(1, min(most, _descriptors() // SHARE_OF_DESCRIPTORS))
        while self._taken >= room:
            self._make_room(f"evicted by a newer connection ({knob('MAX_PENDING_CONNECTIONS')} is {most})")
        self._by_host.setdefault(place.host, {})[place] = None
        self._taken += 1
        if self._looking is None:
            self._look_later()

    def leave(self, place: Place) -> None:
        places = self._by_host.get(place.host, {})
        if place in places:
            del places[place]
            self._taken -= 1
            if not places:
                del self._by_host[place.host]

    def close(self) -> None:
        """End all pending connections."""
        while self._taken:
            self._make_room("the daemon is shutting down")
        if self._looking is not None:
            self._looking.cancel()

    def _make_room(self, reason: str) -> None:
        most_taken = max(self._by_host.values(), key=len)
        self._end(next(iter(most_taken)), reason)

    def _end(self, place: Place, reason: str) -> None:
        self.leave(place)
        place.close(reason)

    def _look_later(self) -> None:
        self._looking = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _look(self) -> None:
        now_s = time.monotonic()
        places = [place for places in self._by_host.values() for place in places]
        for place in places:
            if now_s >= place.ends_at_s:
                self._end(place, "no complete command before SEC_TCP_SESSION_DEADLINE")
            elif now_s >= place.silent_until_s:
                self._end(place, "the peer was silent for SEC_DEFAULT_AUTHENTICATION_TIMEOUT")
        self._looking = None
        if self._taken:
            self._look_later()


def _descriptors() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft > 0 else 1024 * 1024  # RLIM_INFINITY is -1
