"""SEC_* and ALLOW_*: the security configuration, read as HTCondor's SecMan reads it."""

import os
import socket
from collections.abc import Iterator, Mapping
from functools import cache

from cryptography.hazmat.backends.openssl import backend

from annexd.authorization import FAMILY, PARENT, AuthorizationPolicy
from annexd.cedar.commands import Command
from annexd.cedar.context import ServerContext
from annexd.cedar.crypto import AES
from annexd.cedar.legacy import is_usable
from annexd.cedar.levels import Level
from annexd.cedar.policy import CIPHERS, Requirement, SecurityPolicy, canonical_method, requirement_of
from annexd.cedar.session import SessionCache
from annexd.daemoncore.config.parameters import Parameters, param
from annexd.daemoncore.privileges import own_user
from annexd.daemoncore.program import current
from annexd.daemoncore.security.credentials import ServerCredentials
from annexd.daemoncore.security.map_file import read_map_file
from annexd.daemoncore.security.revocation import Revocation
from annexd.daemoncore.security.security import Security

FALL_BACK = {
    **dict.fromkeys((Level.ADVERTISE_STARTD, Level.ADVERTISE_SCHEDD, Level.ADVERTISE_MASTER), "DAEMON"),
    Level.ANNEX: "ADMINISTRATOR",
}
METHODS = frozenset({"FS", "IDTOKENS", "SSL", "PASSWORD", "CLAIMTOBE", "ANONYMOUS"})  # that this daemon implements
DEFAULT_METHODS = "FS, IDTOKENS, SSL"  # of HTCondor's FS, IDTOKENS, KERBEROS, SCITOKENS, SSL


def read_security(
    commands: Mapping[int, Command], sessions: SessionCache, version: str, addresses: tuple[str, ...]
) -> tuple[Security, tuple[str, ...]]:
    """Read the security configuration; return it with warnings for the log.  Raises BadConfiguration."""
    look_up = Parameters()
    methods = {level: _configured_methods(level) for level in Level}
    credentials = ServerCredentials.read(look_up, frozenset().union(*methods.values()))
    map_file = read_map_file(look_up)
    authorization = AuthorizationPolicy.read(param, current().subsystem).with_holes(PARENT, FAMILY)
    context = ServerContext(
        version=version,
        policy={level: _policy(look_up, level, methods[level], credentials.usable) for level in Level},
        commands=commands,
        sessions=sessions,
        random=os.urandom,
        trust_domain=look_up.text("TRUST_DOMAIN"),
        uid_domain=look_up.text("UID_DOMAIN", socket.getfqdn()),
        issuer_keys=credentials.issuer_keys,
        advertised=addresses,
        fs_directory=look_up.text("FS_LOCAL_DIR", "/tmp"),  # noqa: S108 - HTCondor's default; the name is random
        root_to_condor=look_up.boolean("FS_ROOT_TO_CONDOR", True),
        condor_user=own_user(),
        canonical_user=map_file.canonical_user,
        max_token_age_s=look_up.integer("SEC_TOKEN_MAX_AGE", -1, minimum=-1),
        is_revoked=Revocation.read(look_up).is_revoked,
        pool_password=credentials.password,
        tls=credentials.tls,
        claimtobe_domain=look_up.boolean("SEC_CLAIMTOBE_INCLUDE_DOMAIN", True),
    )
    look_up.check()
    warnings = authorization.warnings + credentials.warnings + map_file.warnings + _cipher_warnings(context.policy)
    return Security(context, authorization, credentials.signing_keys.secret), warnings


def _policy(look_up: Parameters, level: Level, configured: tuple[str, ...], usable: frozenset[str]) -> SecurityPolicy:
    default = SecurityPolicy()
    return SecurityPolicy(
        authentication=_requirement(look_up, level, "AUTHENTICATION", default.authentication),
        encryption=_requirement(look_up, level, "ENCRYPTION", default.encryption),
        integrity=_requirement(look_up, level, "INTEGRITY", default.integrity),
        negotiation=_requirement(look_up, level, "NEGOTIATION", default.negotiation),
        methods=tuple(method for method in configured if method in usable),
        crypto_methods=tuple(cipher for cipher in _configured_ciphers(level) if _is_usable(cipher)),
        session_duration_s=_session_duration_s(look_up, level, default.session_duration_s),
        session_lease_s=look_up.integer(_knob(level, "SESSION_LEASE"), default.session_lease_s),
    )


def _session_duration_s(look_up: Parameters, level: Level, default: int) -> int:
    """Read SEC_<level>_SESSION_DURATION, then the knob of this subsystem alone.

    The manual gives the opposite order, but in HTCondor the general knob wins (getIntSecSetting always returns "not
    found").
    """
    of_subsystem = look_up.integer(
        _knob(level, "SESSION_DURATION", prefix=f"SEC_{current().subsystem}"), default, minimum=1
    )
    return look_up.integer(_knob(level, "SESSION_DURATION"), of_subsystem, minimum=1)


def _knob(level: Level, setting: str, prefix: str = "SEC") -> str:
    """Return the knob that defines SEC_<level>_<setting>, falling back to SEC_DEFAULT_<setting>."""
    names = [f"{prefix}_{step}_{setting}" for step in (level, FALL_BACK.get(level)) if step]
    return next((name for name in names if param(name) is not None), f"{prefix}_DEFAULT_{setting}")


def _requirement(look_up: Parameters, level: Level, setting: str, default: Requirement) -> Requirement:
    knob = _knob(level, setting)
    text = param(knob)
    if text is None:
        return default
    if (requirement := requirement_of(text.strip())) is None:
        look_up.faults.append(f'{knob} must be REQUIRED, PREFERRED, OPTIONAL or NEVER, not "{text}"')
        return Requirement.REQUIRED
    return requirement


def _configured_methods(level: Level) -> tuple[str, ...]:
    """Return the configured methods that this daemon implements, in order."""
    configured = (param(_knob(level, "AUTHENTICATION_METHODS")) or DEFAULT_METHODS).replace(",", " ").split()
    return tuple(name for name in map(canonical_method, configured) if name in METHODS)


def _configured_ciphers(level: Level) -> tuple[str, ...]:
    """Return the configured ciphers; legacy ones only if named."""
    configured = (param(_knob(level, "CRYPTO_METHODS")) or AES).replace(",", " ").split()
    return tuple(dict.fromkeys(name for name in map(canonical_method, configured) if name in CIPHERS))


@cache
def _is_usable(cipher: str) -> bool:
    return cipher == AES or is_usable(cipher)


def _cipher_warnings(policies: Mapping[Level, SecurityPolicy]) -> tuple[str, ...]:
    """Return one warning per knob, even if several levels use it."""
    found = [warning for level, policy in policies.items() for warning in _warnings_of(level, policy)]
    return tuple(dict.fromkeys(found))


def _warnings_of(level: Level, policy: SecurityPolicy) -> Iterator[str]:
    knob = _knob(level, "CRYPTO_METHODS")
    if not policy.crypto_methods:
        yield f"{knob} names no usable cipher: no client can get a session"
    for cipher in _configured_ciphers(level):
        if not _is_usable(cipher):
            yield (
                f"{cipher} of {knob} is not offered: {backend.openssl_version_text()} does not provide it; "
                "the legacy provider may be missing"
            )
    if {*policy.crypto_methods} - {AES} and policy.integrity is not Requirement.REQUIRED:
        yield (
            f"{knob} names a legacy cipher, but {_knob(level, 'INTEGRITY')} is not REQUIRED: a network attacker "
            "can take over sessions that use it without integrity"
        )
