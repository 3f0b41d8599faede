"""Whether a connection authenticates, encrypts and checks integrity: both sides' wishes, reconciled by
tables.

After SecMan::FillInSecurityPolicyAd and SecMan::ReconcileSecurityPolicyAds (condor_secman.cpp).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache

from annexd.cedar.commands import Command
from annexd.cedar.crypto import AES
from annexd.cedar.errors import PolicyMismatch
from annexd.cedar.legacy import BLOWFISH, TRIPLE_DES
from annexd.cedar.levels import Level

KEPT = 32  # of what is worked out for many connections; strangers make some of it, of up to 64 kB
CIPHERS = (AES, BLOWFISH, TRIPLE_DES)


class Requirement(IntEnum):
    """One side's wish for one feature; the order is that of strength."""

    NEVER = 0
    OPTIONAL = 1
    PREFERRED = 2
    REQUIRED = 3


@dataclass(frozen=True)
class SecurityPolicy:
    """SEC_<level>_*: what this daemon wants for commands of one level.  The defaults are HTCondor's.

    methods: of authentication, by preference, spelled FS, IDTOKENS, ...; only those that can work now.
    crypto_methods: of CIPHERS; AES comes first wherever it stands.
    """

    authentication: Requirement = Requirement.OPTIONAL
    encryption: Requirement = Requirement.OPTIONAL
    integrity: Requirement = Requirement.OPTIONAL
    negotiation: Requirement = Requirement.PREFERRED
    methods: tuple[str, ...] = ("FS", "IDTOKENS")
    crypto_methods: tuple[str, ...] = (AES,)
    session_duration_s: int = 86400
    session_lease_s: int = 3600


# What comes of our wish and the client's: True is YES, False is NO, None is failure.
_R, _P, _O, _N = Requirement.REQUIRED, Requirement.PREFERRED, Requirement.OPTIONAL, Requirement.NEVER
RECONCILED: Mapping[tuple[Requirement, Requirement], bool | None] = {  # by (client, server)
    (_R, _R): True, (_R, _P): True,  (_R, _O): True,  (_R, _N): None,
    (_P, _R): True, (_P, _P): True,  (_P, _O): True,  (_P, _N): False,
    (_O, _R): True, (_O, _P): True,  (_O, _O): False, (_O, _N): False,
    (_N, _R): None, (_N, _P): False, (_N, _O): False, (_N, _N): False,
}  # fmt: skip

_BY_FIRST_LETTER: Mapping[str, Requirement] = {  # sec_alpha_to_sec_req: only the first letter is looked at
    "R": _R, "Y": _R, "T": _R, "P": _P, "O": _O, "N": _N, "F": _N,
}  # fmt: skip

_NAMES = {**dict.fromkeys(("TOKEN", "TOKENS", "IDTOKEN", "IDTOKENS"), "IDTOKENS"), "TRIPLEDES": TRIPLE_DES}

# What a client's ad says of them.
_WISHES = (
    "authentication",
    "authenticationnew",
    "encryption",
    "integrity",
    "cryptomethods",
    "authmethods",
    "sessionduration",
    "sessionlease",
)

# What cannot be had without what, in the order in which FillInSecurityPolicyAd mends it.
_DEPENDENCIES = (
    ("authentication", "encryption"),
    ("authentication", "integrity"),
    ("negotiation", "authentication"),
    ("negotiation", "encryption"),
    ("negotiation", "integrity"),
)


@dataclass(frozen=True, eq=False)  # made once for a command, so that it is known by itself
class ServerPolicy:
    """A SecurityPolicy made consistent for one command."""

    policy: SecurityPolicy
    authentication_new: Requirement  # not raised by encryption or integrity, unlike policy.authentication

    @property
    def takes_raw_commands(self) -> bool:
        return self.policy.negotiation is not _R and self.authentication_new is not _R


@dataclass(frozen=True)
class Agreement:
    """What both sides do.  methods and ciphers: the common ones in our order, as the client spells them.

    cipher: the first of them, as we spell it.  takes_tokens: clients are told which keys sign them.
    """

    authentication: bool
    authentication_required: bool
    encryption: bool
    integrity: bool
    methods: tuple[str, ...]
    ciphers: tuple[str, ...]
    cipher: str
    duration_s: int
    lease_s: int | None
    takes_tokens: bool


def requirement_of(text: str) -> Requirement | None:
    """Return what a setting or an ad says; None for anything else."""
    return _BY_FIRST_LETTER.get(text[:1].upper())


def canonical_method(name: str) -> str:
    return _NAMES.get(name.upper(), name.upper())


def for_command(policy: SecurityPolicy, command: Command) -> ServerPolicy:
    """Raises PolicyMismatch if our own configuration contradicts itself."""
    if command.force_authentication:
        policy = replace(policy, authentication=_R)
    is_open = command.level is Level.ALLOW and not command.force_authentication
    authentication_new = _O if is_open else policy.authentication
    wants = {name: getattr(policy, name) for dependency in _DEPENDENCIES for name in dependency}
    for needed, feature in _DEPENDENCIES:
        _make_consistent(wants, needed, feature)
    return ServerPolicy(replace(policy, **wants), authentication_new)


def _make_consistent(wants: dict[str, Requirement], needed: str, feature: str) -> None:
    if wants[needed] is _N:
        if wants[feature] is _R:
            raise PolicyMismatch(
                f"{feature} is required and {needed} is never to be used",
                "one cannot be had without the other",
                "correct the SEC_* settings of this daemon",
            )
        wants[feature] = _N
    wants[needed] = max(wants[needed], wants[feature])


def reconcile(client: Mapping[str, object], server: ServerPolicy) -> Agreement:
    """client: the ad of DC_AUTHENTICATE, by lower-case names.  Raises PolicyMismatch if both exclude each
    other.
    """
    return _reconcile(tuple((name, str(client[name])) for name in _WISHES if client.get(name) is not None), server)


@lru_cache(maxsize=KEPT)  # clients of one kind wish the same
def _reconcile(wishes: tuple[tuple[str, str], ...], server: ServerPolicy) -> Agreement:
    client, policy = dict(wishes), server.policy
    is_new = "authenticationnew" in client  # since 23.10
    theirs = want(client, "authenticationnew" if is_new else "authentication")
    ours = server.authentication_new if is_new else policy.authentication
    authentication = _combined("authentication", theirs, ours)
    encryption = _combined("encryption", want(client, "encryption"), policy.encryption)
    integrity = _combined("integrity", want(client, "integrity"), policy.integrity)
    ciphers = _in_common(_strongest_first(policy.crypto_methods), client, "cryptomethods")
    cipher = _first(ciphers, policy.crypto_methods)
    is_forced = authentication and cipher == AES
    return Agreement(
        authentication=authentication,
        authentication_required=_R in {theirs, ours},
        encryption=encryption or is_forced,
        integrity=integrity or is_forced,
        methods=_in_common(policy.methods, client, "authmethods"),
        ciphers=ciphers,
        cipher=cipher,
        duration_s=min(policy.session_duration_s, _seconds(client.get("sessionduration"))),
        lease_s=_lease_s(policy.session_lease_s, client),
        takes_tokens="IDTOKENS" in policy.methods,
    )


def want(client: Mapping[str, str], name: str) -> Requirement:
    return requirement_of(client.get(name, "")) or _N


def _combined(feature: str, theirs: Requirement, ours: Requirement) -> bool:
    agreed = RECONCILED[theirs, ours]
    if agreed is None:
        raise PolicyMismatch(
            f"no agreement on {feature}",
            f"the peer says {theirs.name}, this daemon {ours.name}",
            f"change SEC_CLIENT_{feature.upper()} on the client, or SEC_DEFAULT_{feature.upper()} here",
        )
    return agreed


def _in_common(ours: tuple[str, ...], client: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Our order, the client's spelling, and whatever either names twice (SecMan::ReconcileMethodLists)."""
    theirs = [(canonical_method(word), word) for word in _words(client.get(name))]
    return tuple(word for mine in map(canonical_method, ours) for method, word in theirs if method == mine)


def _words(text: object) -> list[str]:
    return text.replace(",", " ").split() if isinstance(text, str) else []


def _strongest_first(ciphers: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(ciphers, key=lambda cipher: cipher != AES))


def _first(ciphers: tuple[str, ...], ours: tuple[str, ...]) -> str:
    if not ciphers:
        raise PolicyMismatch(
            "no cipher in common",
            f"this daemon has {', '.join(ours) or 'none'}",
            "add AES to SEC_CLIENT_CRYPTO_METHODS on the client",
        )
    return canonical_method(ciphers[0])


def _seconds(value: object) -> int:
    """A duration of an ad: a number, or as SessionDuration always is, a string; 0 if it is missing or
    neither.
    """
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _lease_s(ours: int, client: Mapping[str, str]) -> int | None:
    """The shorter; 0 leaves it to the other.  None if the client knows no leases."""
    if "sessionlease" not in client:
        return None
    theirs = _seconds(client["sessionlease"])
    return min(ours, theirs) if ours and theirs else ours or theirs
