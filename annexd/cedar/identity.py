"""Who the peer is, as far as it has proved it."""

from dataclasses import dataclass

UNMAPPED_DOMAIN = "unmapped"  # condor_auth.h
ANONYMOUS_USER = "CONDOR_ANONYMOUS_USER"  # STR_ANONYMOUS
_NOBODY = (ANONYMOUS_USER, f"unauthenticated@{UNMAPPED_DOMAIN}")


def is_mapped(user: str) -> bool:
    """Whether a user is of a domain."""
    _, at, domain = user.rpartition("@")
    return bool(at and domain) and domain != UNMAPPED_DOMAIN


@dataclass(frozen=True)
class TokenFacts:
    """What a token says of itself, for the log and for DC_SEC_QUERY."""

    subject: str
    issuer: str
    token_id: str
    scopes: tuple[str, ...] = ()
    expires_at_s: float | None = None


@dataclass(frozen=True)
class Identity:
    """user is fully qualified (bob@example.org), or without a domain if the method gives none.

    limits: the levels that a token's condor:/ scopes name (LimitAuthorization); empty means no limit.
    method: as HTCondor names it in its ads (FS, IDTOKENS, FAMILY), or None without authentication.
    """

    user: str
    method: str | None = None
    limits: tuple[str, ...] = ()
    token: TokenFacts | None = None

    @property
    def authenticated(self) -> bool:
        return self.method is not None

    @property
    def proof(self) -> str:
        """How the user was proved, for the log."""
        if not self.token:
            return f"by {self.method}" if self.method else "without authentication"
        scopes = f" with {' '.join(self.token.scopes)}" if self.token.scopes else ""
        return f"by {self.method}, token {self.token.token_id} of {self.token.issuer} for {self.token.subject}{scopes}"

    @property
    def named(self) -> bool:
        """Whether the peer is somebody; who may be anybody gets little room, whatever the method."""
        return self.authenticated and self.user not in _NOBODY

    @property
    def mapped(self) -> bool:
        """Whether the user belongs to a domain, as commands with force_authentication need."""
        return self.authenticated and is_mapped(self.user)


UNAUTHENTICATED = Identity(_NOBODY[1])
