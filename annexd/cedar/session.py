"""Keep sessions, with which a peer returns without authenticating again.

IDs are sent in clear, so an ID alone grants and changes nothing: a session counts as used once its key is proved.  That
requires AES: a frame of BLOWFISH or 3DES can be replayed on another connection, and proves nothing.

The cache is bounded.  Unnamed peers share a small partition of it, so they cannot evict the others.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from annexd.cedar.crypto import AES, hkdf
from annexd.cedar.identity import Identity
from annexd.cedar.secret import Secret

FAMILY_METHOD = "FAMILY"  # CAUTH_FAMILY of condor_auth.h
_INHERITED_USERS = {"SessionKey": "condor@parent", "FamilySessionKey": "condor@family"}

ID_BYTES = 16
SLOP_S = 20  # SEC_SESSION_DURATION_SLOP: how much longer than the client this daemon keeps a session


@dataclass
class SecuritySession:
    """key: for cipher.  expires_at_s: None means never.  lease_s: it ends after this time without use; 0: no lease."""

    id: str
    key: Secret
    identity: Identity
    expires_at_s: float | None = None
    lease_s: int = 0
    used_at_s: float = 0.0
    cipher: str = AES

    def has_expired(self, now_s: float) -> bool:
        if self.expires_at_s is not None and now_s >= self.expires_at_s:
            return True
        return bool(self.lease_s) and now_s >= self.used_at_s + self.lease_s + SLOP_S


class SessionCache:
    """All sessions of this daemon, inherited ones included.

    id_prefix: "<host>:<pid>:<epoch>", unique to this process, for readers of logs.  capacity: negotiated sessions.
    random_hex: returns hexadecimal digits for n bytes, fit for keys.
    """

    def __init__(
        self, id_prefix: str, capacity: int = 10_000, random_hex: Callable[[int], str] = secrets.token_hex
    ) -> None:
        self._id_prefix = id_prefix
        self._random_hex = random_hex
        self._inherited: OrderedDict[str, SecuritySession] = OrderedDict()
        self._named: OrderedDict[str, SecuritySession] = OrderedDict()
        self._unnamed: OrderedDict[str, SecuritySession] = OrderedDict()
        self._partitions = (self._named, self._unnamed, self._inherited)
        self._bounds = ((self._named, capacity), (self._unnamed, max(1, capacity // 10)))

    def new_id(self) -> str:
        """Return an unguessable ID, so that peers cannot probe for sessions."""
        return f"{self._id_prefix}:{self._random_hex(ID_BYTES)}"

    def inherit(self, session: SecuritySession) -> None:
        """Keep a session from condor_master; it is never evicted."""
        self._inherited[session.id] = session

    def add(self, session: SecuritySession) -> None:
        """Keep a negotiated session; evict the least recently used one if the partition is full."""
        partition = self._named if session.identity.named else self._unnamed
        partition[session.id] = session
        for full, capacity in self._bounds:
            while len(full) > capacity:
                full.popitem(last=False)

    def find(self, session_id: str, now_s: float) -> SecuritySession | None:
        """Return the session with this ID, without renewing it; None if unknown or expired."""
        found = next((partition[session_id] for partition in self._partitions if session_id in partition), None)
        return found if found and not found.has_expired(now_s) else None

    def renew(self, session: SecuritySession, now_s: float) -> None:
        """Renew a session whose key the peer has proved."""
        session.used_at_s = now_s
        for partition in self._partitions:
            if session.id in partition:
                partition.move_to_end(session.id)

    def expire(self, now_s: float) -> int:
        """Drop expired sessions and return their number.  For a timer; find() never returns them."""
        over = [
            (partition, key)
            for partition in self._partitions
            for key, kept in partition.items()
            if kept.has_expired(now_s)
        ]
        for partition, key in over:
            del partition[key]
        return len(over)

    def __len__(self) -> int:
        return sum(len(partition) for partition in self._partitions)


def inherited_sessions(text: str, *, family: bool = True) -> tuple[SecuritySession, ...]:
    """Parse the sessions that condor_master passes to its children in CONDOR_PRIVATE_INHERIT.

    family: SEC_USE_FAMILY_SESSION.  Malformed sessions and those without an AES key are left out; their peers then
    negotiate one.
    """
    kinds = {"SessionKey", "FamilySessionKey"} if family else {"SessionKey"}
    entries = (entry.partition(":") for entry in text.split())
    found = [_inherited_session(kind, claim) for kind, _, claim in entries if kind in kinds]
    return tuple(session for session in found if session)


def _inherited_session(kind: str, claim: str) -> SecuritySession | None:
    """Parse <id>#[<name>=<value>;...]<key>, ID and values without #[ and ] (condor_claimid_parser)."""
    session_id, mark, rest = claim.partition("#[")
    text, end, key = rest.rpartition("]")
    facts = _facts(text)
    if not (mark and end and session_id and key and AES in _ciphers(facts)):
        return None
    return SecuritySession(
        id=session_id,
        key=Secret(hkdf(key.encode(errors="surrogateescape"), b"keygen")),  # the digits as text, not decoded
        identity=Identity(_INHERITED_USERS[kind], FAMILY_METHOD),
        expires_at_s=_expiry(facts),
    )


def _facts(text: str) -> Mapping[str, str]:
    """Parse name=value pairs by lower-case names; values are unquoted."""
    parts = (fact.partition("=") for fact in text.split(";"))
    return {name.strip().lower(): value.strip('" ') for name, _, value in parts}


def _ciphers(facts: Mapping[str, str]) -> list[str]:
    """Return the ciphers; the list takes precedence, with dots for commas (SecMan::ImportSecSessionInfo)."""
    return (facts.get("cryptomethodslist") or facts.get("cryptomethods") or AES).upper().split(".")


def _expiry(facts: Mapping[str, str]) -> float | None:
    value = facts.get("sessionexpires", "")
    return float(value) or None if value.isdecimal() else None
