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
CHECK_S = 0.25  # between two checks of the deadlines
HOST_BITS = 64  # prefix length of an IPv6 network whose addresses count as one host


@dataclass(eq=False)
class PendingConnection:
    """A connection that has not sent its whole command yet.

    `host`: see counting_host.  `close(reason)` ends the connection.
    """

    host: str
    close: Callable[[str], None]
    ends_at_s: float  # in time.monotonic(): deadline of the whole session
    silent_until_s: float  # in time.monotonic(): deadline of the next bytes


def counting_host(address: str) -> str:
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
        self._by_host: dict[str, dict[PendingConnection, None]] = {}  # each in order of arrival
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return self._count

    def enter(self, pending: PendingConnection, max_pending: int) -> None:
        """Add a connection, and evict another one if there are `max_pending` already."""
        limit = max(1, min(max_pending, _descriptors() // SHARE_OF_DESCRIPTORS))
        while self._count >= limit:
            self._evict_one(f"evicted by a newer connection ({knob('MAX_PENDING_CONNECTIONS')} is {max_pending})")
        self._by_host.setdefault(pending.host, {})[pending] = None
        self._count += 1
        if self._timer is None:
            self._check_later()

    def leave(self, pending: PendingConnection) -> None:
        connections = self._by_host.get(pending.host, {})
        if pending in connections:
            del connections[pending]
            self._count -= 1
            if not connections:
                del self._by_host[pending.host]

    def close(self) -> None:
        """End all pending connections."""
        while self._count:
            self._evict_one("the daemon is shutting down")
        if self._timer is not None:
            self._timer.cancel()

    def _evict_one(self, reason: str) -> None:
        busiest = max(self._by_host.values(), key=len)
        self._end(next(iter(busiest)), reason)

    def _end(self, pending: PendingConnection, reason: str) -> None:
        self.leave(pending)
        pending.close(reason)

    def _check_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(CHECK_S, self._check_deadlines)

    def _check_deadlines(self) -> None:
        now_s = time.monotonic()
        connections = [pending for connections in self._by_host.values() for pending in connections]
        for pending in connections:
            if now_s >= pending.ends_at_s:
                self._end(pending, "no complete command before SEC_TCP_SESSION_DEADLINE")
            elif now_s >= pending.silent_until_s:
                self._end(pending, "the peer was silent for SEC_DEFAULT_AUTHENTICATION_TIMEOUT")
        self._timer = None
        if self._count:
            self._check_later()


def _descriptors() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft > 0 else 1024 * 1024  # RLIM_INFINITY is -1
