"""The settings of a server: everything that a Connection needs and does not get from its peer."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from annexd.cedar.classad import AdLimits
from annexd.cedar.commands import Command
from annexd.cedar.crypto import KeyExchange
from annexd.cedar.levels import Level
from annexd.cedar.policy import SecurityPolicy, ServerPolicy
from annexd.cedar.secret import Secret
from annexd.cedar.session import SessionCache


def unmapped(_method: str, _name: str) -> str | None:
    """Map no name: a daemon without CERTIFICATE_MAPFILE."""
    return None


def never_revoked(_claims: Mapping[str, object]) -> bool:
    """Revoke no token: a daemon without SEC_TOKEN_REVOCATION_EXPR."""
    return False


@dataclass(frozen=True)
class Limits:
    """Limits on the memory that a peer can occupy.

    handshake_message_bytes: one message before the peer is known; an honest one has about 1 kB, some tokens 4 kB.
    command_message_bytes: one message of an authenticated peer; user data makes ads of some MB.
    """

    handshake_message_bytes: int = 64 * 1024
    command_message_bytes: int = 16 * 1024 * 1024
    command_ad: AdLimits = field(default_factory=AdLimits)


@dataclass(frozen=True)
class Endpoint:
    """The local address of the accepted socket (getsockname), as the peer should have dialled it."""

    ip: str
    port: int
    shared_port_id: str | None = None


@dataclass(frozen=True)
class Tls:
    """The TLS settings for SSL, loaded by the caller: certificate, key and trusted authorities.

    context: for the server side; asks the client for its certificate.
    require_certificate, require_mapping: AUTH_SSL_REQUIRE_CLIENT_CERTIFICATE and _MAPPING.
    """

    context: ssl.SSLContext
    require_certificate: bool = False
    require_mapping: bool = False


@dataclass(frozen=True)
class ServerContext:
    """Shared by all connections; replaced at a reconfig.

    version: this daemon's "$CondorVersion: 25.14.1 ... $"; clients request resume answers since 9.9.0.
    policy: SEC_<level>_* per level; a missing level uses SecurityPolicy().
    commands: the registered commands by number, in the order of ValidCommands.
    random: returns n bytes fit for keys, e.g. os.urandom.
    new_exchange: makes this daemon's half of a session's key exchange.
    issuer_keys: IDs of the keys that can verify a token, "POOL" first.
    advertised: other ip:port strings by which clients may reach this daemon (NAT, TCP_FORWARDING_HOST).
    canonical_user: (method, authenticated name) -> canonical user of the map file; None if no line matches.
    max_token_age_s: SEC_TOKEN_MAX_AGE; no limit if 0 or less.
    is_revoked: whether to refuse a token with these claims (JSON values by name, not verified yet).
    pool_password: for PASSWORD; None if that method is not offered.
    tls: for SSL; None if that method is not offered.
    claimtobe_domain: SEC_CLAIMTOBE_INCLUDE_DOMAIN: whether a claimed name includes a domain after its last '@'.

    Caches: server_policies by command, and valid_commands by cipher, level of the command, and whether the user is
    mapped.
    """

    version: str
    policy: Mapping[Level, SecurityPolicy]
    commands: Mapping[int, Command]
    sessions: SessionCache
    random: Callable[[int], bytes]
    trust_domain: str
    uid_domain: str
    issuer_keys: tuple[str, ...] = ()
    advertised: tuple[str, ...] = ()
    fs_directory: str = "/tmp"  # noqa: S108 (FS_LOCAL_DIR; the name is unguessable, and only its owner matters)
    root_to_condor: bool = True
    condor_user: str = "condor"  # the account that root is mapped to (get_condor_username)
    canonical_user: Callable[[str, str], str | None] = unmapped
    max_token_age_s: int = 0
    is_revoked: Callable[[Mapping[str, object]], bool] = never_revoked
    pool_password: Secret | None = None
    tls: Tls | None = None
    claimtobe_domain: bool = True
    limits: Limits = field(default_factory=Limits)
    new_exchange: Callable[[], KeyExchange] = KeyExchange
    server_policies: dict[int, ServerPolicy] = field(default_factory=dict, init=False)
    valid_commands: dict[tuple[str, Level, bool], str] = field(default_factory=dict, init=False)
