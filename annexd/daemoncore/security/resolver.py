"""Look up hosts and netgroups for ALLOW_* and DENY_* lists that name them.

A client's address selects the name server that is queried, and so how long a missing response takes.  So the resolver
is queried only if a decision needs it, and in threads that nothing else waits for.

With NO_DNS there are no queries: 10-1-2-3.DEFAULT_DOMAIN_NAME is 10.1.2.3, and no other host has a name
(ipv6_hostname.cpp).
"""

import ctypes
import ipaddress
import re
import socket
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import NoReturn, TypeVar

from annexd.authorization import Lookups, Membership
from annexd.daemoncore.config.parameters import Parameters
from annexd.daemoncore.ttl_cache import TtlCache

MAX_CACHED = 1024
CACHED_S = 60  # a changed address is noticed within this time

Question = TypeVar("Question", bound=Hashable)
Answer = TypeVar("Answer")

_innetgr = ctypes.CDLL(None).innetgr
_innetgr.argtypes = [ctypes.c_char_p] * len(Membership._fields)
_innetgr_lock = Lock()  # innetgr(3) is not thread-safe


def _cached(look_up: Callable[[Question], Answer]) -> Callable[[Question], Answer]:
    """Cache answers for CACHED_S: a resolver that is down must not be queried for every command."""
    recent: TtlCache[Question, Answer] = TtlCache(CACHED_S, MAX_CACHED)

    def answer(question: Question) -> Answer:
        known = recent.get(question)
        return recent.put(question, look_up(question)) if known is None else known

    return answer


def names_of(address: str) -> tuple[str, ...]:
    domain = _domain_without_dns()
    return _resolved_names(address) if domain is None else _synthetic_name(address, domain)


def addresses_of(name: str) -> tuple[str, ...]:
    domain = _domain_without_dns()
    return _resolved_addresses(name) if domain is None else _address_in_name(name, domain)


def _domain_without_dns() -> str | None:
    """Return DEFAULT_DOMAIN_NAME if NO_DNS is true, else None."""
    look_up = Parameters()
    return look_up.text("DEFAULT_DOMAIN_NAME") if look_up.boolean("NO_DNS", False) else None


def _synthetic_name(address: str, domain: str) -> tuple[str, ...]:
    """Make the name of an address; names must not begin with a dash, as that of ::1 would."""
    dashed = re.sub("[.:]", "-", address)
    return (f"{'0' if dashed.startswith('-') else ''}{dashed}.{domain}",) if domain else ()


def _address_in_name(name: str, domain: str) -> tuple[str, ...]:
    host = name.partition(f".{domain}")[0] if domain else name
    text = host.replace("-", ":" if "--" in host or host.count("-") == 7 else ".")
    try:
        return (str(ipaddress.ip_address(text)),)
    except ValueError:
        return ()


@_cached
def _resolved_names(address: str) -> tuple[str, ...]:
    try:
        name, aliases, _addresses = socket.gethostbyaddr(address)
    except OSError:
        return ()
    return (name, *aliases)


@_cached
def _resolved_addresses(name: str) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(address[0]) for _family, _type, _proto, _name, address in found))


@_cached
def is_local(address: str) -> bool:
    """Return whether the address belongs to this machine: whether it can be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


@_cached
def is_member(asked: Membership) -> bool:
    """Query the system's netgroup database: /etc/netgroup, NIS, LDAP or other sources in nsswitch.conf.

    NUL would end a name in C; no member of a netgroup has one in its name.
    """
    with _innetgr_lock:
        return bool(_innetgr(*(word.replace("\0", "?").encode(errors="replace") for word in asked)))


class NeedsResolver(Exception):
    """The decision needs the resolver."""


def _needs_resolver(question: object) -> NoReturn:
    raise NeedsResolver(question)


LOOKUPS = Lookups(names=names_of, addresses=addresses_of, is_local=is_local, is_member=is_member)
WITHOUT_RESOLVER = Lookups(
    names=_needs_resolver, addresses=_needs_resolver, is_local=is_local, is_member=_needs_resolver
)  # raise NeedsResolver
RESOLVER = ThreadPoolExecutor(max_workers=16, thread_name_prefix="resolver")
