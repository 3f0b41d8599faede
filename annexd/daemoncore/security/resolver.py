"""What the system says of hosts and netgroups, for ALLOW_* and DENY_* lists that name them.

Whoever connects chooses, with the address, whose name server is asked, and how long it takes to say nothing.  So the
resolver is asked only where a decision needs it, and in threads that nothing else waits for.

With NO_DNS nobody is asked: 10-1-2-3.DEFAULT_DOMAIN_NAME is 10.1.2.3, and no other host has a name (ipv6_hostname.cpp).
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
from annexd.daemoncore.ttl_cache import Recent

FORGET_S = 60  # an address that moved is noticed within this time

Question = TypeVar("Question", bound=Hashable)
Answer = TypeVar("Answer")

_innetgr = ctypes.CDLL(None).innetgr
_innetgr.argtypes = [ctypes.c_char_p] * len(Membership._fields)
_one_at_a_time = Lock()  # innetgr(3) is not safe for threads


def _cached(look_up: Callable[[Question], Answer]) -> Callable[[Question], Answer]:
    """The same answer for FORGET_S: a resolver that is down must not be asked for every command."""

    recent = Recent[Question, Answer](FORGET_S)

    def answer(question: Question) -> Answer:
        known = recent.get(question)
        return recent.put(question, look_up(question)) if known is None else known

    return answer


def names_of(address: str) -> tuple[str, ...]:
    domain = _domain_without_dns()
    return _resolved_names(address) if domain is None else _made_up_name(address, domain)


def addresses_of(name: str) -> tuple[str, ...]:
    domain = _domain_without_dns()
    return _resolved_addresses(name) if domain is None else _meant_address(name, domain)


def _domain_without_dns() -> str | None:
    """DEFAULT_DOMAIN_NAME where NO_DNS is set."""
    look_up = Parameters()
    return look_up.text("DEFAULT_DOMAIN_NAME") if look_up.boolean("NO_DNS", False) else None


def _made_up_name(address: str, domain: str) -> tuple[str, ...]:
    """No name begins with a dash, as ::1 would."""
    dashed = re.sub("[.:]", "-", address)
    return (f"{'0' if dashed.startswith('-') else ''}{dashed}.{domain}",) if domain else ()


def _meant_address(name: str, domain: str) -> tuple[str, ...]:
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
    """Whether the address is one of this machine's: it can be bound to."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


@_cached
def is_member(asked: Membership) -> bool:
    """As the system's netgroup database says: /etc/netgroup, NIS, LDAP or what nsswitch.conf names.  No member of a
    netgroup has a NUL in its name, with which C would end it.
    """
    with _one_at_a_time:
        return bool(_innetgr(*(word.replace("\0", "?").encode(errors="replace") for word in asked)))


class NeedsResolver(Exception):
    """The decision depends on what the resolver says."""


def _not_now(question: object) -> NoReturn:
    raise NeedsResolver(question)


LOOKUPS = Lookups(names=names_of, addresses=addresses_of, is_local=is_local, is_member=is_member)
AT_ONCE = Lookups(names=_not_now, addresses=_not_now, is_local=is_local, is_member=_not_now)  # raise NeedsResolver
RESOLVER = ThreadPoolExecutor(max_workers=16, thread_name_prefix="resolver")
