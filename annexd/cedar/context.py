"""What a server is: everything about a Connection that does not come from its peer."""

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
    """The map of a daemon without CERTIFICATE_MAPFILE."""
    return None


def never_revoked(_claims: Mapping[str, object]) -> bool:
    """The revocation of a daemon without SEC_TOKEN_REVOCATION_EXPR."""
    return False


@dataclass(frozen=True)
class Limits:
    """Bounds on what a peer may make this process hold.

    handshake_message_bytes: one message before the peer is known; an honest one is about 1 kB, and some
    tokens 4 kB.
    command_message_bytes: one message of a peer that has authenticated; user data makes ads of some MB.
    """

    handshake_message_bytes: int = 64 * 1024
    command_message_bytes: int = 16 * 1024 * 1024
    command_ad: AdLimits = field(default_factory=AdLimits)


@dataclass(frozen=True)
class Endpoint:
    """Where the accepted socket ends on our side (getsockname), as the peer should have dialled it."""

    ip: str
    port: int
    shared_port_id: str | None = None


@dataclass(frozen=True)
class Tls:
    """For SSL, what the rim has loaded: the certificate, its key and the authorities that are trusted.

    context: for the server's side; asks the client for its certificate.
    require_certificate, require_mapping: AUTH_SSL_REQUIRE_CLIENT_CERTIFICATE and _MAPPING.
    """

    context: ssl.SSLContext
    require_certificate: bool = False
    require_mapping: bool = False


@dataclass(frozen=True)
class ServerContext:
    """Shared by all connections; make another one after a reconfig.

    version: our "$CondorVersion: 25.14.1 ... $"; clients ask for resume answers from 9.9.0 on only.
    policy: SEC_<level>_* per level; a level that is missing uses SecurityPolicy().
    commands: the registered ones, by number.  Their order is that of ValidCommands.
    random: n bytes fit for keys, e.g. os.urandom.
    new_exchange: our half of a session's key exchange.
    issuer_keys: ids of the keys that can verify a token, "POOL" first.
    advertised: other ip:port strings under which clients may reach us (NAT, TCP_FORWARDING_HOST).
    canonical_user: (method, authenticated name) -> canonical user of the map file, or None where no line
    matches.
    max_token_age_s: SEC_TOKEN_MAX_AGE; 0 or less is no bound.
    is_revoked: whether a token of these claims (JSON values by name, nothing of them proved) is refused.
    pool_password: for PASSWORD; None where that method is not offered.
    tls: for SSL; None where that method is not offered.
    claimtobe_domain: SEC_CLAIMTOBE_INCLUDE_DOMAIN, whether a claimed name has a domain behind its last '@'.

    What follows from these and is kept once it has been asked for: server_policies, by command, and valid_commands,
    what a session is told, by its cipher, its command's level, and whether its user is mapped.
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
    fs_directory: str = "/tmp"  # noqa: S108 (FS_LOCAL_DIR; the name in it is unguessable, and only its owner counts)
    root_to_condor: bool = True
    condor_user: str = "condor"  # the account of HTCondor's daemons, which root then is (get_condor_username)
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
