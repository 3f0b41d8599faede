"""The settings of both daemons for sessions, methods and credentials.  Their lists are in lists.py."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from test.parity.clients import FEATURES, REQUIREMENTS


@dataclass(frozen=True)
class Server:
    """A configuration of both daemons; `settings` are its lines."""

    name: str
    settings: str = ""


DEFAULT = Server("default")


def server_with(settings: str) -> Server:
    return Server(settings, settings.replace("; ", "\n"))


def with_requirements(chosen: Mapping[str, str], level: str = "DEFAULT") -> Server:
    return server_with("; ".join(f"SEC_{level}_{feature} = {want}" for feature, want in chosen.items()))


def every_requirement() -> Iterator[Server]:
    for number in range(len(REQUIREMENTS) ** len(FEATURES)):
        digits = [number // len(REQUIREMENTS) ** place % len(REQUIREMENTS) for place in range(len(FEATURES))]
        yield with_requirements({feature: REQUIREMENTS[digit] for feature, digit in zip(FEATURES, digits, strict=True)})


METHODS = tuple(
    server_with(f"SEC_DEFAULT_AUTHENTICATION_METHODS = {methods}")
    for methods in (
        "FS",
        "IDTOKENS",
        "SSL",
        "PASSWORD",
        "CLAIMTOBE",
        "ANONYMOUS",
        "MUNGE",
        "KERBEROS",
        "BOGUS",
        "BOGUS, fs",
        "",
        "TOKEN",
        "tokens",
        "IDTOKEN FS",
        "CLAIMTOBE,FS",
        "ANONYMOUS, SSL, IDTOKENS",
        "FS,FS,IDTOKENS,TOKEN",
        "SCITOKENS,FS",
        "PASSWORD,IDTOKENS,SSL,FS",
        "GSI, NTSSPI, ANONYMOUS",
        "FS_REMOTE, CLAIMTOBE",
    )
)
LEVEL_REQUIREMENTS = tuple(
    map(
        server_with,
        (
            "SEC_READ_AUTHENTICATION = REQUIRED",
            "SEC_READ_AUTHENTICATION = NEVER; SEC_READ_ENCRYPTION = NEVER; SEC_READ_INTEGRITY = NEVER",
            "SEC_WRITE_AUTHENTICATION = OPTIONAL; SEC_WRITE_ENCRYPTION = OPTIONAL; SEC_WRITE_INTEGRITY = OPTIONAL",
            "SEC_DAEMON_AUTHENTICATION = OPTIONAL; SEC_DAEMON_ENCRYPTION = OPTIONAL; SEC_DAEMON_INTEGRITY = OPTIONAL",
            "SEC_ADVERTISE_STARTD_AUTHENTICATION = NEVER; SEC_DAEMON_ENCRYPTION = OPTIONAL",
            "SEC_ADMINISTRATOR_NEGOTIATION = NEVER",
            "SEC_ALLOW_AUTHENTICATION = REQUIRED; SEC_ALLOW_ENCRYPTION = REQUIRED",
            "SEC_NEGOTIATOR_AUTHENTICATION = PREFERRED; SEC_CONFIG_INTEGRITY = OPTIONAL",
            "SEC_DEFAULT_AUTHENTICATION = yes; SEC_DEFAULT_ENCRYPTION = true; SEC_DEFAULT_INTEGRITY = r",
            "SEC_DEFAULT_AUTHENTICATION = optional; SEC_DEFAULT_ENCRYPTION = false; SEC_DEFAULT_INTEGRITY = no",
            "SEC_DEFAULT_AUTHENTICATION = P; SEC_DEFAULT_ENCRYPTION = Opt; SEC_DEFAULT_INTEGRITY = prefer",
            "SEC_WRITE_AUTHENTICATION_METHODS = CLAIMTOBE; SEC_ADMINISTRATOR_AUTHENTICATION_METHODS = FS",
            "SEC_DAEMON_AUTHENTICATION_METHODS = IDTOKENS; SEC_ADVERTISE_MASTER_AUTHENTICATION_METHODS = FS",
            "SEC_ALLOW_AUTHENTICATION_METHODS = ANONYMOUS; SEC_READ_AUTHENTICATION_METHODS = SSL,FS",
        ),
    )
)
SESSIONS = tuple(
    map(
        server_with,
        (
            "SEC_DEFAULT_SESSION_DURATION = 30",
            "SEC_WRITE_SESSION_DURATION = 5 * 7",
            "SEC_DEFAULT_SESSION_LEASE = 17",
            "SEC_DEFAULT_SESSION_LEASE = 0",
            "SEC_DAEMON_SESSION_LEASE = 10; SEC_READ_SESSION_DURATION = 11",
            "SEC_SCHEDD_WRITE_SESSION_DURATION = 21; SEC_ANNEXD_WRITE_SESSION_DURATION = 21",
            (
                "SEC_SCHEDD_DEFAULT_SESSION_DURATION = 22; SEC_ANNEXD_DEFAULT_SESSION_DURATION = 22; "
                "SEC_WRITE_SESSION_DURATION=23"
            ),
            "TRUST_DOMAIN = elsewhere.org",
            "TRUST_DOMAIN = ; UID_DOMAIN = elsewhere.org",
            "UID_DOMAIN = Elsewhere.ORG",
        ),
    )
)
PROOFS = tuple(
    map(
        server_with,
        (
            "SEC_TOKEN_MAX_AGE = 3600",
            "SEC_TOKEN_MAX_AGE = 10",
            "SEC_TOKEN_MAX_AGE = 0",
            'SEC_TOKEN_REVOCATION_EXPR = jti == "revoked"',
            'SEC_TOKEN_BLACKLIST_EXPR = jti == "revoked"',
            'SEC_TOKEN_REVOCATION_EXPR = sub =!= "alice@annexd.test"',
            "SEC_TOKEN_REVOCATION_EXPR = true",
            'SEC_TOKEN_REVOCATION_EXPR = "words"',
            "SEC_TOKEN_REVOCATION_EXPR = undefined",
            'SEC_TOKEN_REVOCATION_EXPR = iss == "elsewhere.org" || isUndefined(exp)',
            "SEC_TOKEN_POOL_SIGNING_KEY_FILE = $(LOCAL_DIR)/none",
            "SEC_PASSWORD_DIRECTORY = $(LOCAL_DIR)/none.d",
            "SEC_PASSWORD_DIRECTORY = $(LOCAL_DIR)/none; SEC_TOKEN_POOL_SIGNING_KEY_FILE = $(LOCAL_DIR)/none",
            "SEC_TOKEN_POOL_SIGNING_KEY_IS_PASSWORD = True",
            "SEC_PASSWORD_FILE = $(LOCAL_DIR)/none",
            "SEC_PASSWORD_FILE = $(LOCAL_DIR)/other-password",
            "AUTH_SSL_SERVER_CERTFILE = $(LOCAL_DIR)/none",
            (
                "AUTH_SSL_SERVER_CERTFILE = $(LOCAL_DIR)/none, $(LOCAL_DIR)/host.pem; "
                "AUTH_SSL_SERVER_KEYFILE = $(TWO_KEYS)"
            ),
            "AUTH_SSL_REQUIRE_CLIENT_CERTIFICATE = True",
            "AUTH_SSL_REQUIRE_CLIENT_MAPPING = True",
            "AUTH_SSL_SERVER_CAFILE = $(LOCAL_DIR)/stranger.pem",
            "AUTH_SSL_SERVER_CAFILE = $(LOCAL_DIR)/none",
            "CERTIFICATE_MAPFILE =",
            "CERTIFICATE_MAPFILE = $(LOCAL_DIR)/none",
            "CERTIFICATE_MAPFILE_ASSUME_HASH_KEYS = True",
            "SEC_CLAIMTOBE_INCLUDE_DOMAIN = False",
            "FS_LOCAL_DIR = $(LOCAL_DIR)",
            "FS_LOCAL_DIR = $(LOCAL_DIR)/none",
            "FS_ROOT_TO_CONDOR = False",
        ),
    )
)
