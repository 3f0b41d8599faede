"""Room for those of whom nobody knows yet who they are, and who has to leave when it is full or their time is over.

To refuse newcomers would let whoever opens enough connections lock everybody out.  So the newcomer gets the place of
the one who has waited longest, among those of the address that has most places: an honest client needs it for some
milliseconds, a silent one for as long as it can.  Of IPv6, where one machine has as many addresses as it likes, the
network of 64 bits counts (RFC 4291, 2.5.4).
"""

import asyncio
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from annexd.authorization.network import peer_address
from annexd.daemoncore.program import knob

SHARE_OF_DESCRIPTORS = 2  # one in two may be a stranger's connection; the others are for orders, AWS and files
LOOK_S = 0.25  # between two looks at whose time is over
HOST_BITS = 64  # of an IPv6 network, beyond which its addresses are one machine's


@dataclass(eq=False)
class Place:
    """A connection's, until it has sent its whole command.  host: see counted_as.  close: end the connection, for the
    reason given.
    """

    host: str
    close: Callable[[str], None]
    ends_at_s: float  # of time.monotonic(), whatever happens
    silent_until_s: float  # of time.monotonic(), if nothing comes


def counted_as(address: str) -> str:
    """What the places of a peer's IP address are counted by."""
    if ":" not in address:
        return address
    found = peer_address(address)
    if not isinstance(found, IPv6Address):
        return str(found or address)
    return str(IPv6Network((int(found), HOST_BITS), strict=False))


class PendingConnections:
    def __init__(self) -> None:
        self._by_host: dict[str, dict[Place, None]] = {}  # the longest there is the first
        self._taken = 0
        self._looking: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return self._taken

    def enter(self, place: Place, most: int) -> None:
        """Take a place; another one ends at once if there are `most` already."""
        room = max(1, min(most, _descriptors() // SHARE_OF_DESCRIPTORS))
        while self._taken >= room:
            self._make_room(f"others needed its place ({knob('MAX_PENDING_CONNECTIONS')} is {most})")
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
        """Everybody has to leave."""
        while self._taken:
            self._make_room("the daemon ends")
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
                self._end(place, "its session took too long")
            elif now_s >= place.silent_until_s:
                self._end(place, "the peer was silent for too long")
        self._looking = None
        if self._taken:
            self._look_later()


def _descriptors() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft > 0 else 1024 * 1024  # RLIM_INFINITY is -1
