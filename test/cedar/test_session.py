"""Sessions: their lifetime and number, and those inherited from condor_master."""

import inspect
import re
import secrets
from dataclasses import replace

import pytest

from annexd.cedar.identity import UNAUTHENTICATED, Identity
from annexd.cedar.secret import Secret
from annexd.cedar.session import SecuritySession, SessionCache, inherited_sessions
from test.cedar.recording import kdf

ALICE = Identity("alice@annex.test", "FS")
KEY = Secret(bytes(32))


def _session(session_id: str, identity: Identity = ALICE, **facts: float) -> SecuritySession:
    return SecuritySession(session_id, KEY, identity, **facts)  # type: ignore[arg-type]


def test_session_ids_are_unguessable() -> None:
    """Each ID has 128 random bits, by default from the operating system."""
    found = [SessionCache("host:1:2").new_id() for _ in range(1000)]
    assert all(re.fullmatch("host:1:2:[0-9a-f]{32}", each) for each in found)
    assert len({each[-16:] for each in found} | {each[9:25] for each in found}) == 2000, "no part of it is a counter"
    assert inspect.signature(SessionCache).parameters["random_hex"].default is secrets.token_hex


def test_a_session_expires() -> None:
    cache = SessionCache("x")
    cache.add(_session("a", expires_at_s=100))
    assert cache.find("a", 99.9)
    assert cache.find("a", 100) is None


def test_a_lease_is_renewed_by_use() -> None:
    cache = SessionCache("x")
    cache.add(_session("a", lease_s=50, used_at_s=0))
    for now_s in (69, 69 + 69):
        cache.renew(_found(cache, "a", now_s), now_s)
    assert cache.find("a", 69 + 69 + 70) is None


def _found(cache: SessionCache, session_id: str, now_s: float) -> SecuritySession:
    session = cache.find(session_id, now_s)
    assert session is not None
    return session


def test_a_lookup_changes_nothing() -> None:
    """An eavesdropper can cause a lookup, which does not count as use."""
    cache = SessionCache("x", capacity=2)
    for name in "ab":
        cache.add(_session(name, lease_s=50, used_at_s=0))
    before = replace(_found(cache, "a", 60))
    assert _found(cache, "a", 60) == before
    cache.add(_session("c", lease_s=50, used_at_s=0))
    assert [bool(cache.find(name, 1)) for name in "abc"] == [False, True, True], "the lookup did not renew it"
    assert cache.find("b", 70) is None
    assert len(cache) == 2, "the timer drops it"


def test_a_full_cache_evicts_the_least_recently_used_session() -> None:
    cache = SessionCache("x", capacity=2)
    cache.add(_session("a"))
    cache.add(_session("b"))
    cache.renew(_found(cache, "a", 1), 1)
    cache.add(_session("c"))
    assert [bool(cache.find(name, 1)) for name in "abc"] == [True, False, True]


def test_unnamed_peers_cannot_evict_other_sessions() -> None:
    cache = SessionCache("x", capacity=20)
    cache.add(_session("alice"))
    for number in range(1000):
        cache.add(_session(str(number), UNAUTHENTICATED))
    assert cache.find("alice", 1)
    assert len(cache) == 3


def test_expired_sessions_are_dropped() -> None:
    cache = SessionCache("x")
    for number in range(10):
        cache.add(_session(str(number), expires_at_s=number))
    assert cache.expire(4) == 5
    assert len(cache) == 5


def test_inherited_sessions_are_never_evicted() -> None:
    cache = SessionCache("x", capacity=1)
    cache.inherit(_session("family:1"))
    for name in "abc":
        cache.add(_session(name))
    assert cache.find("family:1", 10.0**12)


def test_the_key_of_the_family_session_is_derived_from_its_claim() -> None:
    vector = kdf()
    (session,) = inherited_sessions(f"FamilySessionKey:{vector['family_claim']}")
    assert session.id == vector["family_sid"]
    assert session.key == Secret(bytes.fromhex(vector["family_aes_key_hex"]))
    assert session.identity == Identity("condor@family", "FAMILY")
    assert session.expires_at_s is None


def test_both_inherited_sessions_are_parsed_and_the_family_session_is_optional() -> None:
    text = 'SessionKey:a:1#[Encryption="YES";]00 FamilySessionKey:family:2#[x="]#[";]11'
    users = [session.identity.user for session in inherited_sessions(text)]
    assert users == ["condor@parent", "condor@family"]
    assert [session.id for session in inherited_sessions(text, family=False)] == ["a:1"]


def test_an_inherited_session_may_expire() -> None:
    (session,) = inherited_sessions("SessionKey:a#[SessionExpires=1795360300;]00")
    assert session.expires_at_s == 1795360300


@pytest.mark.parametrize(
    "text", ["", "x", "SessionKey:", "SessionKey:a", "SessionKey:a#[]", "SessionKey:#[]00", "Other:a#[]00"]
)
def test_a_malformed_claim_is_ignored(text: str) -> None:
    assert inherited_sessions(text) == ()


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ('CryptoMethodsList="AES.BLOWFISH.3DES";CryptoMethods="BLOWFISH";', True),
        ('CryptoMethodsList="BLOWFISH.3DES";CryptoMethods="AES";', False),
        ('CryptoMethods="3DES";', False),
        ('CryptoMethods="aes";Encryption="NO";Integrity="NO";', True),
        ("", True),
    ],
)
def test_an_inherited_session_is_used_only_if_its_claim_allows_aes(facts: str, expected: bool) -> None:
    """The older ciphers cannot prove the key on each connection."""
    assert bool(inherited_sessions(f"FamilySessionKey:family:1#[{facts}]0a1b")) is expected
