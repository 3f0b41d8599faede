"""The peer to authorize, and the lookups of its host names and netgroups.

Lookups happen only if an entry for this user depends on a host name or a netgroup.  A host name of an address counts
only if it resolves to that address again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from annexd.authorization.entry import Entry, is_dns_name, matches
from annexd.authorization.network import peer_address


class Membership(NamedTuple):
    """A query for innetgr(3).  host: an address or a host name.  user, domain: the parts around the last @."""

    netgroup: str
    host: str
    user: str
    domain: str


@dataclass(frozen=True)
class Lookups:
    """Queries to the system.  They may block.  On failure they return nothing instead of raising.

    Each decision queries again; the supplier caches, and clears its cache at a reconfig.
    """

    names: Callable[[str], Sequence[str]]  # address -> its host name and aliases
    addresses: Callable[[str], Sequence[str]]  # host name -> its addresses
    is_local: Callable[[str], bool]  # whether the address is one of this machine's
    is_member: Callable[[Membership], bool]


@dataclass(frozen=True)
class Peer:
    address: str  # an IP address
    user: str  # fully qualified; "unauthenticated@unmapped" without authentication
    method: str | None  # FS, IDTOKENS, ...; FAMILY for an inherited session
    limits: tuple[str, ...] = ()  # of LimitAuthorization; empty means unlimited


def printable(text: str) -> str:
    """Escape line ends and control characters, with which a peer could forge log lines."""
    return text.encode("unicode_escape").decode()


class AccessCheck:
    """The check of one peer for one decision; looks up its host names at most once."""

    def __init__(self, peer: Peer, lookups: Lookups) -> None:
        self.user = peer.user
        self.method = peer.method
        self.address = peer_address(peer.address)
        self._lookups = lookups
        self._names: tuple[str, ...] | None = None

    def __str__(self) -> str:
        names = ", ".join(self._names or ())  # only those that were looked up
        return f"{printable(self.user)} from {self.address}" + (f" ({names})" if names else "")

    @property
    def names(self) -> tuple[str, ...]:
        if self._names is None:
            claimed = self._lookups.names(str(self.address))
            self._names = tuple(name for name in claimed if is_dns_name(name) and self._is_address_of(name))
        return self._names

    def comes_from(self, entry: Entry) -> bool:
        if entry.netgroup is not None:
            return self._is_in_netgroup(entry.netgroup)
        if entry.is_anywhere:
            return True
        if entry.network:
            return self.address in entry.network
        if entry.is_local:
            return self._lookups.is_local(str(self.address))
        return entry.is_by_name and self._is_named(entry)

    def _is_in_netgroup(self, netgroup: str) -> bool:
        """Return whether the netgroup has the peer with its address or one of its names (IpVerify::lookup_user)."""
        user, at, domain = self.user.rpartition("@")
        membership = Membership(netgroup, str(self.address), user if at else domain, domain)
        return self._lookups.is_member(membership) or any(
            self._lookups.is_member(membership._replace(host=name)) for name in self.names
        )

    def _is_named(self, entry: Entry) -> bool:
        if entry.is_resolvable and self._is_address_of(entry.host):
            return True
        return any(matches(entry.host, name) for name in self.names)

    def _is_address_of(self, name: str) -> bool:
        return any(peer_address(text) == self.address for text in self._lookups.addresses(name))
