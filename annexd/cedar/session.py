"""Sessions: what lets a peer come back without authenticating again.

An id is sent in clear, so it opens nothing and changes nothing here: a session counts as used once its key was shown.
That takes AES: a frame of BLOWFISH or 3DES can be said again on another connection, and shows nothing.

The cache is bounded.  Peers without a name share a small part of it, so that they cannot push out the others.
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
SLOP_S = 20  # SEC_SESSION_DURATION_SLOP: we keep a session a little longer than the client does


@dataclass
class SecuritySession:
    """key: for cipher.  expires_at_s: None never.  lease_s: unused for so long, it ends; 0 is no lease."""

    id: str
    key: Secret
    identity: Identity
    expires_at_s: float | None = None
    lease_s: int = 0
    used_at_s: float = 0.0
    cipher: str = AES

    def is_over(self, now_s: float) -> bool:
        if self.expires_at_s is not None and now_s >= self.expires_at_s:
            return True
        return bool(self.lease_s) and now_s >= self.used_at_s + self.lease_s + SLOP_S


class SessionCache:
    """All sessions of this daemon, inherited ones included.

    id_prefix: "<host>:<pid>:<epoch>", unique to this process, for who reads logs.  capacity: sessions that were
    negotiated.  random_hex: hexadecimal digits for so many bytes, fit for keys.
    """

    def __init__(
        self, id_prefix: str, capacity: int = 10_000, random_hex: Callable[[int], str] = secrets.token_hex
    ) -> None:
        self._id_prefix = id_prefix
        self._random_hex = random_hex
        self._inherited: OrderedDict[str, SecuritySession] = OrderedDict()
        self._known: OrderedDict[str, SecuritySession] = OrderedDict()
        self._unknown: OrderedDict[str, SecuritySession] = OrderedDict()
        self._shelves = (self._known, self._unknown, self._inherited)
        self._bounds = ((self._known, capacity), (self._unknown, max(1, capacity // 10)))

    def new_id(self) -> str:
        """Unguessable, so that nobody can even ask which sessions there are."""
        return f"{self._id_prefix}:{self._random_hex(ID_BYTES)}"

    def inherit(self, session: SecuritySession) -> None:
        """Keep a session that came from condor_master: never pushed out."""
        self._inherited[session.id] = session

    def add(self, session: SecuritySession) -> None:
        """Keep a negotiated session, in place of the one that was unused longest if there is no room."""
        shelf = self._known if session.identity.named else self._unknown
        shelf[session.id] = session
        for full, capacity in self._bounds:
            while len(full) > capacity:
                full.popitem(last=False)

    def find(self, session_id: str, now_s: float) -> SecuritySession | None:
        """The session of this id, unchanged; None if there is none or it is over."""
        found = next((shelf[session_id] for shelf in self._shelves if session_id in shelf), None)
        return found if found and not found.is_over(now_s) else None

    def used(self, session: SecuritySession, now_s: float) -> None:
        """Renew a session whose key the peer has shown."""
        session.used_at_s = now_s
        for shelf in self._shelves:
            if session.id in shelf:
                shelf.move_to_end(session.id)

    def expire(self, now_s: float) -> int:
        """Drop what is over; how many there were.  For a timer: find() never returns them anyway."""
        over = [(shelf, key) for shelf in self._shelves for key, kept in shelf.items() if kept.is_over(now_s)]
        for shelf, key in over:
            del shelf[key]
        return len(over)

    def __len__(self) -> int:
        return sum(len(shelf) for shelf in self._shelves)


def inherited_sessions(text: str, *, family: bool = True) -> tuple[SecuritySession, ...]:
    """The sessions that condor_master hands to its children in CONDOR_PRIVATE_INHERIT.

    family: SEC_USE_FAMILY_SESSION.  Those that it cannot read, or that have no key for AES, are left out; their peers
    then negotiate a session.
    """
    kinds = {"SessionKey", "FamilySessionKey"} if family else {"SessionKey"}
    words = (word.partition(":") for word in text.split())
    found = [_inherited_session(kind, claim) for kind, _, claim in words if kind in kinds]
    return tuple(session for session in found if session)


def _inherited_session(kind: str, claim: str) -> SecuritySession | None:
    """claim: <id>#[<name>=<value>;...]<key>, the id and the values without #[ and ] (condor_claimid_parser)."""
    session_id, mark, rest = claim.partition("#[")
    text, end, key = rest.rpartition("]")
    facts = _facts(text)
    if not (mark and end and session_id and key and AES in _ciphers(facts)):
        return None
    return SecuritySession(
        id=session_id,
        key=Secret(hkdf(key.encode(errors="surrogateescape"), b"keygen")),  # the key's digits count as text
        identity=Identity(_INHERITED_USERS[kind], FAMILY_METHOD),
        expires_at_s=_expiry(facts),
    )


def _facts(text: str) -> Mapping[str, str]:
    """By lower-case names; values without their quotes."""
    parts = (fact.partition("=") for fact in text.split(";"))
    return {name.strip().lower(): value.strip('" ') for name, _, value in parts}


def _ciphers(facts: Mapping[str, str]) -> list[str]:
    """The list counts if it is there; it has dots, since a claim has no commas (SecMan::ImportSecSessionInfo)."""
    return (facts.get("cryptomethodslist") or facts.get("cryptomethods") or AES).upper().split(".")


def _expiry(facts: Mapping[str, str]) -> float | None:
    value = facts.get("sessionexpires", "")
    return float(value) or None if value.isdecimal() else None
