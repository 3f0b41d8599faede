"""Parse an entry of an ALLOW_* or DENY_* list: users and hosts.

    user@domain   user@domain/host   host   network   user/network/mask   */host   +netgroup

A user is a pattern.  A host is an address, a network (10.1.*, 10.1.0.0/16, 10.1.0.0/255.255.0.0, fe80:*),
{:local_ips:}, or a pattern for host names.  A netgroup lists users and hosts.  After condor_ipverify.cpp, split_entry
and ExpandHostAddresses.
"""

import re
import string
from dataclasses import dataclass

from annexd.authorization.network import Network, parse_network

LOCAL_ADDRESSES = "{:local_ips:}"
EQUIVALENT_USERS = {"condor@": "condor_pool@", "condor_pool@": "condor@"}  # USE_POOL_USERNAME_EQUIVALENT

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_DNS_NAME = re.compile(r"(?:[A-Za-z0-9-]|\.(?=[^.]))+")  # what resolve_hostname_raw looks up


def fold(text: str) -> str:
    """Lower the case of ASCII only, as strcasecmp does: the Kelvin sign is not a k."""
    return text.translate(_LOWER)


def matches(pattern: str, text: str) -> bool:
    """Match as matches_withwildcard: one * anywhere and one at the end; further ones are literal."""
    start, star, rest = fold(pattern).partition("*")
    text = fold(text)
    if not star or not text.startswith(start):
        return not star and text == start
    tail = text[len(start) :]
    return rest[:-1] in tail if rest.endswith("*") else tail.endswith(rest)


def is_dns_name(text: str) -> bool:
    return _DNS_NAME.fullmatch(text) is not None


@dataclass(frozen=True)
class Entry:
    text: str
    users: tuple[str, ...]  # alternative patterns
    host: str
    network: Network | None = None
    netgroup: str | None = None  # its name

    @property
    def is_anywhere(self) -> bool:
        return self.host in ("*", "*/*")

    @property
    def is_local(self) -> bool:
        return fold(self.host) == LOCAL_ADDRESSES

    @property
    def is_by_name(self) -> bool:
        """Return whether the match depends on the peer's host names, or on the addresses of a host name."""
        return self.netgroup is None and not (self.is_anywhere or self.network or set("/<>?:") & set(self.host))

    @property
    def needs_lookup(self) -> bool:
        """Return whether the match needs the resolver or the netgroup database."""
        return self.is_by_name or self.netgroup is not None

    @property
    def is_resolvable(self) -> bool:
        return self.is_by_name and is_dns_name(self.host)

    def admits_user(self, user: str) -> bool:
        return any(matches(pattern, user) for pattern in self.users)


def parse_entry(text: str, *, pool_equivalent: bool) -> Entry:
    if text.startswith("+"):
        return Entry(text, users=("*",), host="", netgroup=text[1:])
    user, host = _split(text)
    return Entry(text, _users(user, pool_equivalent), host, parse_network(host))


def _split(text: str) -> tuple[str, str]:
    user, slash, host = text.partition("/")
    if not slash:
        return (text, "*") if "@" in text else ("*", text)
    if "/" in host or "@" in user or text.startswith("*") or not parse_network(text):
        return user, host
    return "*", text


def _users(user: str, pool_equivalent: bool) -> tuple[str, ...]:
    if pool_equivalent:
        for prefix, other in EQUIVALENT_USERS.items():
            if fold(user).startswith(prefix):
                return user, other + user[len(prefix) :]
    return (user,)


def fault(entry: Entry) -> str | None:
    """Return why an entry cannot mean what its author intended, or None."""
    if entry.netgroup is not None:
        return None if entry.netgroup else "the netgroup has no name"
    if not (set("@*") & set(entry.users[0])):
        return f"it is not a network, and as user/host its user {entry.users[0]!r} has no domain"
    if entry.is_anywhere or entry.is_local or entry.is_resolvable:
        return None
    if entry.network:
        return _fault_of_network(entry.host, entry.network)
    if entry.is_by_name and "*" in entry.host:
        return None
    return f"its host {entry.host!r} is neither an address, a network nor a host name"


def _fault_of_network(host: str, network: Network) -> str | None:
    base, _, mask = host.partition("/")
    if network.prefixlen == 0 and mask not in ("0", "0.0.0.0"):  # noqa: S104
        return f"it matches every IPv{network.version} address"
    bits = 128 if ":" in base else 32
    if mask.isdecimal() and int(mask[:9]) > bits:
        return f"its mask has more than {bits} bits, so it matches {base} only"
    return None
