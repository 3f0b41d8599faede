"""Identifiers of an annex: exact, unique, and never compared by prefix.

The C++ predecessors matched client tokens by prefix, so the lease of `test` also ended `test2`.  They also cut names
to 27 characters, so that a second request could replace the lease of the first.  Here the annex ID is random and
belongs to one request, and a client token is parsed as a whole.
"""

import re
import secrets
from dataclasses import dataclass
from typing import Final

LEASED_TOKEN: Final = re.compile(r"([.\-A-Za-z0-9]{1,36})_([0-9]{10})_[0-9a-f]{16}")  # 36 + 1 + 10 + 1 + 16 = 64
EARLIEST_END_S: Final = 1_000_000_000  # 2001
LATEST_END_S: Final = 4_000_000_000  # 2096: as in lambda/lease.py, which accepts neither durations nor milliseconds
COMMAND_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+=/-]{0,127}")


def new_annex_id() -> str:
    """Return an ID that no other request has, not even one of another daemon in the same account."""
    return f"annex-{secrets.token_hex(10)}"


def new_command_id() -> str:
    """Return a command ID for a request without one."""
    return f"command-{secrets.token_hex(10)}"


def is_end(value: object) -> bool:
    """Return whether the lease function accepts this as the end of a lease, in seconds since the epoch."""
    return isinstance(value, int) and not isinstance(value, bool) and EARLIEST_END_S <= value <= LATEST_END_S


@dataclass(frozen=True)
class LeasedToken:
    """The content of a fleet's client token; it cannot change during the life of the fleet."""

    annex_id: str
    end_of_lease_s: int


def leased_token(annex_id: str, end_of_lease_s: int) -> str:
    """Return a new client token for a fleet.  Raises ValueError for an end or ID that `read_leased_token` refuses."""
    token = f"{annex_id}_{end_of_lease_s}_{secrets.token_hex(8)}"
    if read_leased_token(token) is None:
        raise ValueError(f"a client token cannot hold the annex ID {annex_id!r} and the end {end_of_lease_s!r}")
    return token


def read_leased_token(token: object) -> LeasedToken | None:
    """Parse a token that `leased_token` wrote; return None for any other token."""
    match = LEASED_TOKEN.fullmatch(token) if isinstance(token, str) else None
    if match is None or not is_end(int(match[2])):
        return None
    return LeasedToken(match[1], int(match[2]))
