"""Sessions: what lets a peer come back without authenticating again.

The cache is bounded.  Peers without a name share a small part of it, so that they cannot push out the others.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from annexd.cedar.crypto import AES, hkdf
from annexd.cedar.identity import Identity
from annexd.cedar.secret import Secret

FAMILY_METHOD = "FAMILY"  # CAUTH_FAMILY of condor_auth.h
_INHERITED_USERS = {"SessionKey": "condor@parent", "FamilySessionKey": "condor@family"}

SLOP_S = 20  # SEC_SESSION_DURATION_SLOP: we keep a session a little longer than the client does


@dataclass
class Session:
    """keys: by cipher ("AES").  expires_at_s: None never.  lease_s: unused for so long, it ends; 0 is no
    lease.  encryption, integrity: with a legacy cipher; AES has both always.
    """

    id: str
    keys: Mapping[str, Secret]
    identity: Identity
    expires_at_s: float | None = None
    lease_s: int = 0
    used_at_s: float = 0.0
    encryption: bool = True
    integrity: bool = True

    def is_over(self, now_s: float) -> bool:
        if self.expires_at_s is not None and now_s >= self.expires_at_s:
            return True
        return bool(self.lease_s) and now_s >= self.used_at_s + self.lease_s + SLOP_S


class SessionCache:
    """All sessions of this daemon, inherited ones included.

    id_prefix: "<host>:<pid>:<epoch>", unique to this process.  capacity: sessions that were negotiated.
    """

    def __init__(self, id_prefix: str, capacity: int = 10_000, first_number: int = 0) -> None:
        self._id_prefix = id_prefix
        self._next_number = first_number
        self._inherited: OrderedDict[str, Session] = OrderedDict()
        self._known: OrderedDict[str, Session] = OrderedDict()
        self._unknown: OrderedDict[str, Session] = OrderedDict()
        self._shelves = (self._known, self._unknown, self._inherited)
        self._bounds = ((self._known, capacity), (self._unknown, max(1, capacity // 10)))

    def new_id(self) -> str:
        number = self._next_number
        self._next_number += 1
        return f"{self._id_prefix}:{number}"

    def inherit(self, session: Session) -> None:
        """Keep a session that came from condor_master: never pushed out."""
        self._inherited[session.id] = session

    def add(self, session: Session) -> None:
        """Keep a negotiated session, in place of the one that was unused longest if there is no room."""
        shelf = self._known if session.identity.named else self._unknown
        shelf[session.id] = session
        for full, capacity in self._bounds:
            while len(full) > capacity:
                full.popitem(last=False)

    def find(self, session_id: str, now_s: float) -> Session | None:
        """The session of this id, renewed by this use; None if there is none or it is over."""
        for shelf in self._shelves:
            if session := shelf.get(session_id):
                if session.is_over(now_s):
                    del shelf[session_id]
                    return None
                session.used_at_s = now_s
                shelf.move_to_end(session_id)
                return session
        return None

    def expire(self, now_s: float) -> int:
        """Drop what is over; how many there were.  For a timer: find() never returns them anyway."""
        over = [(shelf, key) for shelf in self._shelves for key, kept in shelf.items() if kept.is_over(now_s)]
        for shelf, key in over:
            del shelf[key]
        return len(over)

    def __len__(self) -> int:
        return sum(len(shelf) for shelf in self._shelves)


def inherited_sessions(
    text: str, *, family: bool = True, ciphers: Collection[str] = (AES,)
) -> tuple[Session, ...]:
    """The sessions that condor_master hands to its children in CONDOR_PRIVATE_INHERIT.

    family: SEC_USE_FAMILY_SESSION.  ciphers: those that this daemon uses.  What it cannot read is left out; its
    peers then negotiate a session.
    """
    kinds = {"SessionKey", "FamilySessionKey"} if family else {"SessionKey"}
    words = (word.partition(":") for word in text.split())
    found = [_inherited_session(kind, claim, ciphers) for kind, _, claim in words if kind in kinds]
    return tuple(session for session in found if session)


def _inherited_session(kind: str, claim: str, ciphers: Collection[str]) -> Session | None:
    """claim: <id>#[<name>=<value>;...]<key>, the id and the values without #[ and ] (condor_claimid_parser)."""
    session_id, mark, rest = claim.partition("#[")
    text, end, key = rest.rpartition("]")
    facts = _facts(text)
    named = [cipher for cipher in _ciphers(facts) if cipher in ciphers]
    if not (mark and end and session_id and key and named):
        return None
    return Session(
        id=session_id,
        keys={cipher: _inherited_key(cipher, key.encode(errors="surrogateescape")) for cipher in named},
        identity=Identity(_INHERITED_USERS[kind], FAMILY_METHOD),
        expires_at_s=_expiry(facts),
        encryption=facts.get("encryption", "YES").upper() == "YES",
        integrity=facts.get("integrity", "YES").upper() == "YES",
    )


def _facts(text: str) -> Mapping[str, str]:
    """By lower-case names; values without their quotes."""
    parts = (fact.partition("=") for fact in text.split(";"))
    return {name.strip().lower(): value.strip('" ') for name, _, value in parts}


def _ciphers(facts: Mapping[str, str]) -> list[str]:
    """The list counts if it is there; it has dots, since a claim has no commas (SecMan::ImportSecSessionInfo)."""
    return (facts.get("cryptomethodslist") or facts.get("cryptomethods") or AES).upper().split(".")


def _inherited_key(cipher: str, key: bytes) -> Secret:
    """SecMan::CreateNonNegotiatedSecuritySession; the key's digits count as text."""
    return Secret(hkdf(key, b"keygen") if cipher == AES else hashlib.md5(key, usedforsecurity=False).digest())


def _expiry(facts: Mapping[str, str]) -> float | None:
    value = facts.get("sessionexpires", "")
    return float(value) or None if value.isdecimal() else None
