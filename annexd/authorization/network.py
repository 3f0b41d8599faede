"""Parse addresses and networks in HTCondor's notation (condor_netaddr.cpp, from_net_string)."""

import re
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAPPED = IPv6Network("::ffff:0:0/96")  # RFC 4291, 2.5.5.2
_DIGITS = re.compile(r"[0-9]+")
_BRACKETED = re.compile(r"\[([^]]*)\]")


def parse_address(text: str) -> Address | None:
    """Parse an address, optionally in [brackets] with any text after them."""
    bracketed = _BRACKETED.match(text)
    return _pton(bracketed[1] if bracketed else text)


def _pton(text: str) -> Address | None:
    if "%" in text:  # a scope ID, which inet_pton does not accept
        return None
    for kind in (IPv4Address, IPv6Address):
        try:
            return kind(text)
        except AddressValueError:
            continue
    return None


def peer_address(text: str) -> Address | None:
    """Parse a peer's address; drop its scope ID, and unwrap an IPv4-mapped address."""
    address = parse_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def parse_network(text: str) -> Network | None:
    """Parse a network; unwrap an IPv4-mapped one, as peer_address does: ::ffff:10.1.0.0/112 is 10.1.0.0/16."""
    network = _parsed(text)
    if isinstance(network, IPv6Network) and network.subnet_of(MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - MAPPED.prefixlen))
    return network


def _parsed(text: str) -> Network | None:
    base, slash, mask = text.partition("/")
    if slash:
        return _masked(base, mask)
    return _ipv6_prefix(text) if ":" in text else _ipv4_prefix(text)


def _masked(base: str, mask: str) -> Network | None:
    address = parse_address(base)
    if address is None:
        return None
    bits = _mask_bits(address, mask)
    return None if bits is None else _network(address, min(bits, address.max_prefixlen))


def _network(address: Address, bits: int) -> Network:
    if isinstance(address, IPv4Address):
        return IPv4Network((int(address), bits), strict=False)
    return IPv6Network((int(address), bits), strict=False)


def _mask_bits(address: Address, mask: str) -> int | None:
    if not mask:
        return 0  # strtoul("") is 0
    if _DIGITS.fullmatch(mask):
        return int(mask[:9]) if len(mask) <= 9 else address.max_prefixlen
    mask_address = parse_address(mask)
    if isinstance(address, IPv4Address) and isinstance(mask_address, IPv4Address):
        return _ones(int(mask_address))
    return None


def _ones(mask: int) -> int | None:
    """Count the ones of a mask if contiguous, in any position: 0.255.0.0 gives 8, as in HTCondor."""
    ones = f"{mask:b}".strip("0")
    return None if "0" in ones else len(ones)


def _ipv4_prefix(text: str) -> IPv4Network | None:
    """Parse 10.1.2.3 or the start of an address: 10.1.*, 10.1. and 10.1 are all 10.1.0.0/16."""
    if not 1 <= len(text) <= 15:
        return None
    parts = re.sub(r"\.?[*.]\Z", "", text).split(".")
    if parts == [""]:
        return IPv4Network("0.0.0.0/0")
    if len(parts) > 4 or not all(_DIGITS.fullmatch(part) and int(part) <= 255 for part in parts):
        return None
    octets = bytes(int(part) for part in parts)
    return IPv4Network((octets.ljust(4, b"\0"), 8 * len(octets)))


def _ipv6_prefix(text: str) -> IPv6Network | None:
    """Parse an address or the start of one up to a colon: fe80:* is fe80::/16."""
    if "*" not in text:
        address = parse_address(text)
        return IPv6Network(address) if isinstance(address, IPv6Address) else None
    if text.index("*") != text.rindex(":") + 1:
        return None
    address = _pton(text.replace("*", ":", 1))
    if not isinstance(address, IPv6Address):
        return None
    return IPv6Network((int(address), 16 * text.count(":")), strict=False)
