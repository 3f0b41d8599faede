"""Decide whether a connection authenticates, encrypts and checks integrity, by reconciling both policies.

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

MAX_CACHED = 32  # entries of a cache that is shared by all peers; unauthenticated ones can add entries of up to 64 kB
CIPHERS = (AES, BLOWFISH, TRIPLE_DES)


class Requirement(IntEnum):
    """One side's requirement for one feature, in order of strength (HTCondor's sec_req)."""

    NEVER = 0
    OPTIONAL = 1
    PREFERRED = 2
    REQUIRED = 3


@dataclass(frozen=True)
class SecurityPolicy:
    """This daemon's requirements for commands of one level (SEC_<level>_*), with HTCondor's defaults.

    methods: authentication methods by preference (FS, IDTOKENS, ...); only those that can work now.
    crypto_methods: from CIPHERS; AES always comes first.
    """

    authentication: Requirement = Requirement.OPTIONAL
    encryption: Requirement = Requirement.OPTIONAL
    integrity: Requirement = Requirement.OPTIONAL
    negotiation: Requirement = Requirement.PREFERRED
    methods: tuple[str, ...] = ("FS", "IDTOKENS")
    crypto_methods: tuple[str, ...] = (AES,)
    session_duration_s: int = 86400
    session_lease_s: int = 3600


# The result of both requirements: True is YES, False is NO, None is a failure.
_R, _P, _O, _N = Requirement.REQUIRED, Requirement.PREFERRED, Requirement.OPTIONAL, Requirement.NEVER
RECONCILED: Mapping[tuple[Requirement, Requirement], bool | None] = {  # by (client, server)
    (_R, _R): True, (_R, _P): True,  (_R, _O): True,  (_R, _N): None,
    (_P, _R): True, (_P, _P): True,  (_P, _O): True,  (_P, _N): False,
    (_O, _R): True, (_O, _P): True,  (_O, _O): False, (_O, _N): False,
    (_N, _R): None, (_N, _P): False, (_N, _O): False, (_N, _N): False,
}  # fmt: skip

_BY_FIRST_LETTER: Mapping[str, Requirement] = {  # sec_alpha_to_sec_req: only the first letter counts
    "R": _R, "Y": _R, "T": _R, "P": _P, "O": _O, "N": _N, "F": _N,
}  # fmt: skip

_NAMES = {**dict.fromkeys(("TOKEN", "TOKENS", "IDTOKEN", "IDTOKENS"), "IDTOKENS"), "TRIPLEDES": TRIPLE_DES}

# The attributes of a client's ad that state its policy.
_CLIENT_ATTRIBUTES = (
    "authentication",
    "authenticationnew",
    "encryption",
    "integrity",
    "cryptomethods",
    "authmethods",
    "sessionduration",
    "sessionlease",
)

# (required, by): which feature requires which, in the order in which FillInSecurityPolicyAd resolves conflicts.
_DEPENDENCIES = (
    ("authentication", "encryption"),
    ("authentication", "integrity"),
    ("negotiation", "authentication"),
    ("negotiation", "encryption"),
    ("negotiation", "integrity"),
)


@dataclass(frozen=True, eq=False)  # made once for each command and compared by identity
class ServerPolicy:
    """A SecurityPolicy made consistent for one command."""

    policy: SecurityPolicy
    authentication_new: Requirement  # unlike policy.authentication, not raised by encryption or integrity

    @property
    def accepts_raw_commands(self) -> bool:
        return self.policy.negotiation is not _R and self.authentication_new is not _R


@dataclass(frozen=True)
class Agreement:
    """The policy that both sides follow.

    methods, ciphers: the common ones in this daemon's order and the client's spelling.
    cipher: the first of ciphers in canonical spelling.  accepts_tokens: whether to send the IDs of the signing keys.
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
    accepts_tokens: bool


def requirement_of(text: str) -> Requirement | None:
    """Return what a setting or an ad says; None for anything else."""
    return _BY_FIRST_LETTER.get(text[:1].upper())


def canonical_method(name: str) -> str:
    return _NAMES.get(name.upper(), name.upper())


def for_command(policy: SecurityPolicy, command: Command) -> ServerPolicy:
    """Make a policy consistent for one command.  Raises PolicyMismatch if the configuration contradicts itself."""
    if command.force_authentication:
        policy = replace(policy, authentication=_R)
    is_open = command.level is Level.ALLOW and not command.force_authentication
    authentication_new = _O if is_open else policy.authentication
    requirements = {name: getattr(policy, name) for dependency in _DEPENDENCIES for name in dependency}
    for needed, feature in _DEPENDENCIES:
        _make_consistent(requirements, needed, feature)
    return ServerPolicy(replace(policy, **requirements), authentication_new)


def _make_consistent(requirements: dict[str, Requirement], needed: str, feature: str) -> None:
    if requirements[needed] is _N:
        if requirements[feature] is _R:
            raise PolicyMismatch(
                f"{feature} is REQUIRED and {needed} is NEVER",
                f"{feature} requires {needed}",
                "correct the SEC_* settings of this daemon",
            )
        requirements[feature] = _N
    requirements[needed] = max(requirements[needed], requirements[feature])


def reconcile(client: Mapping[str, object], server: ServerPolicy) -> Agreement:
    """Reconcile both policies.  Raises PolicyMismatch if they exclude each other.

    client: the ad of DC_AUTHENTICATE by lower-case names.
    """
    return _reconcile(
        tuple((name, str(client[name])) for name in _CLIENT_ATTRIBUTES if client.get(name) is not None), server
    )


@lru_cache(maxsize=MAX_CACHED)  # clients of one kind send the same attributes
def _reconcile(attributes: tuple[tuple[str, str], ...], server: ServerPolicy) -> Agreement:
    client, policy = dict(attributes), server.policy
    is_new = "authenticationnew" in client  # since 23.10
    theirs = client_requirement(client, "authenticationnew" if is_new else "authentication")
    ours = server.authentication_new if is_new else policy.authentication
    authentication = _combined("authentication", theirs, ours)
    encryption = _combined("encryption", client_requirement(client, "encryption"), policy.encryption)
    integrity = _combined("integrity", client_requirement(client, "integrity"), policy.integrity)
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
        accepts_tokens="IDTOKENS" in policy.methods,
    )


def client_requirement(client: Mapping[str, str], name: str) -> Requirement:
    return _BY_FIRST_LETTER.get(client.get(name, "")[:1].upper(), _N)


def _combined(feature: str, theirs: Requirement, ours: Requirement) -> bool:
    agreed = RECONCILED[theirs, ours]
    if agreed is None:
        raise PolicyMismatch(
            f"no agreement on {feature}",
            f"the peer has {theirs.name}, this daemon {ours.name}",
            f"change SEC_CLIENT_{feature.upper()} on the client, or SEC_DEFAULT_{feature.upper()} here",
        )
    return agreed


def _in_common(ours: tuple[str, ...], client: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Return the common methods in this daemon's order and the client's spelling, with duplicates.

    After SecMan::ReconcileMethodLists.
    """
    theirs = [(canonical_method(word), word) for word in _words(client.get(name))]
    return tuple(word for expected in map(canonical_method, ours) for method, word in theirs if method == expected)


def _words(text: object) -> list[str]:
    return text.replace(",", " ").split() if isinstance(text, str) else []


def _strongest_first(ciphers: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(ciphers, key=lambda cipher: cipher != AES))


def _first(ciphers: tuple[str, ...], ours: tuple[str, ...]) -> str:
    if not ciphers:
        raise PolicyMismatch(
            "no cipher in common",
            f"this daemon accepts {', '.join(ours) or 'none'}",
            "add AES to SEC_CLIENT_CRYPTO_METHODS on the client",
        )
    return canonical_method(ciphers[0])


def _seconds(value: object) -> int:
    """Parse a duration of an ad: a number or a string, as SessionDuration is; 0 if missing or malformed."""
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _lease_s(ours: int, client: Mapping[str, str]) -> int | None:
    """Return the shorter lease, where 0 means no preference; None if the client does not support leases."""
    if "sessionlease" not in client:
        return None
    theirs = _seconds(client["sessionlease"])
    return min(ours, theirs) if ours and theirs else ours or theirs
