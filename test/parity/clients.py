"""The clients of the parity suite: their credentials and session requirements."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from test.parity.credentials import TOKENS, folder

REQUIREMENTS = ("NEVER", "OPTIONAL", "PREFERRED", "REQUIRED")
FEATURES = ("AUTHENTICATION", "ENCRYPTION", "INTEGRITY", "NEGOTIATION")


@dataclass(frozen=True)
class Client:
    """A client; `settings` are its configuration, with $(LOCAL_DIR) for the pool's directory."""

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)

    def __add__(self, other: "Client") -> "Client":
        return Client(f"{self.name}, {other.name}", {**self.settings, **other.settings})


def by(methods: str, name: str = "", **settings: str) -> Client:
    return Client(name or methods, {"SEC_CLIENT_AUTHENTICATION_METHODS": methods, **settings})


def with_token(name: str, methods: str = "IDTOKENS") -> Client:
    return by(methods, f"{methods} with a token {name}", SEC_TOKEN_DIRECTORY=f"$(LOCAL_DIR)/{folder(name)}")


def with_certificate(name: str, methods: str = "SSL") -> Client:
    return by(
        methods,
        f"{methods} with the certificate {name}",
        AUTH_SSL_CLIENT_CERTFILE=f"$(LOCAL_DIR)/{name}.pem",
        AUTH_SSL_CLIENT_KEYFILE=f"$(LOCAL_DIR)/{name}.key",
    )


def with_password(name: str, methods: str = "PASSWORD") -> Client:
    return by(methods, f"{methods} with the {name}", SEC_PASSWORD_FILE=f"$(LOCAL_DIR)/{name}")


def claiming(user: str, methods: str = "CLAIMTOBE", **settings: str) -> Client:
    return by(methods, f"{methods} as {user}", SEC_CLAIMTOBE_USER=user, **settings)


def with_requirements(**wants: str) -> Client:
    """Create a client with requirements, such as ENCRYPTION="NEVER"."""
    name = " ".join(f"{feature.lower()} {want}" for feature, want in wants.items())
    return Client(name, {f"SEC_CLIENT_{feature}": want for feature, want in wants.items()})


METHODS = (
    by("FS"),
    with_token("good"),
    with_token("with a wrong signature"),
    by("SSL"),
    with_certificate("alice"),
    with_password("password"),
    claiming("alice"),
    by("ANONYMOUS"),
    by("MUNGE"),
)
PROOFS = (
    Client("default"),
    *METHODS,
    *map(with_token, TOKENS),
    *map(with_certificate, ("bob", "carol", "expired", "foreign")),
    by("SSL", "SSL without trust in the server", AUTH_SSL_CLIENT_CAFILE="$(LOCAL_DIR)/stranger.pem"),
    with_password("other-password"),
    with_password("none"),
    *map(claiming, ("bob@annexd.test", "eve", "condor@family", "condor", "a b", "alice@", "alice@x@y", "*", "é")),
    claiming("alice", UID_DOMAIN="site.org"),
    claiming("alice", SEC_CLAIMTOBE_INCLUDE_DOMAIN="False"),
    *map(by, ("KERBEROS", "SCITOKENS", "GSI", "NTSSPI", "FS_REMOTE", "BOGUS", "fs", "Fs FS,,fs", "BOGUS,FS")),
)
FALL_BACKS = (
    with_token("with a wrong signature", "IDTOKENS,FS"),
    with_token("expired", "TOKEN, CLAIMTOBE"),
    with_token("of another trust domain", "TOKENS,FS"),
    with_token("good", "idtoken"),
    with_token("good", "FS,IDTOKENS"),
    with_token("good", "ANONYMOUS,CLAIMTOBE,PASSWORD,SSL,IDTOKENS,FS"),
    with_certificate("expired", "SSL,FS"),
    with_certificate("foreign", "SSL,PASSWORD,CLAIMTOBE"),
    with_password("other-password", "PASSWORD,FS"),
    with_password("none", "PASSWORD,ANONYMOUS"),
    with_password("other-password", "PASSWORD,SSL,IDTOKENS"),
    by("MUNGE,KERBEROS,FS"),
    by("SCITOKENS,CLAIMTOBE"),
    by("IDTOKENS,SSL,ANONYMOUS"),
)


def negotiates(chosen: Mapping[str, str]) -> bool:
    """Return whether the client negotiates.  One that needs no session sends a raw ping and never gets a response.

    As in FillInSecurityPolicyAd, a stronger requirement for another feature does not override NEVER.
    """
    if chosen.get("NEGOTIATION", "REQUIRED") in ("PREFERRED", "REQUIRED") or "REQUIRED" in chosen.values():
        return True  # or fails at once, since its configuration contradicts itself
    wants_something = chosen["AUTHENTICATION"] != "NEVER" and "PREFERRED" in chosen.values()
    return wants_something and chosen["NEGOTIATION"] == "OPTIONAL"
