"""The identity of a peer, as far as it is proved."""

from dataclasses import dataclass

UNMAPPED_DOMAIN = "unmapped"  # condor_auth.h
ANONYMOUS_USER = "CONDOR_ANONYMOUS_USER"  # STR_ANONYMOUS
_NOBODY = (ANONYMOUS_USER, f"unauthenticated@{UNMAPPED_DOMAIN}")


def is_mapped(user: str) -> bool:
    """Return whether a user is of a domain."""
    _, at, domain = user.rpartition("@")
    return bool(at and domain) and domain != UNMAPPED_DOMAIN


@dataclass(frozen=True)
class TokenFacts:
    """The claims of a token that the log and DC_SEC_QUERY show."""

    subject: str
    issuer: str
    token_id: str
    scopes: tuple[str, ...] = ()
    expires_at_s: float | None = None


@dataclass(frozen=True)
class Identity:
    """user: fully qualified (bob@example.org), or without a domain if the method gives none.

    method: as in HTCondor's ads (FS, IDTOKENS, FAMILY); None without authentication.
    limits: the levels named by a token's condor:/ scopes (LimitAuthorization); empty means unlimited.
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
        """Describe how the user was authenticated, for the log."""
        if not self.token:
            return f"by {self.method}" if self.method else "without authentication"
        scopes = f" with {' '.join(self.token.scopes)}" if self.token.scopes else ""
        return f"by {self.method}, token {self.token.token_id} of {self.token.issuer} for {self.token.subject}{scopes}"

    @property
    def named(self) -> bool:
        """Return whether the user is a specific one.  All others get smaller limits, whatever the method."""
        return self.authenticated and self.user not in _NOBODY

    @property
    def mapped(self) -> bool:
        """Return whether the user has a domain, as commands with force_authentication require."""
        _, at, domain = self.user.rpartition("@")
        return self.authenticated and bool(at and domain) and domain != UNMAPPED_DOMAIN


UNAUTHENTICATED = Identity(_NOBODY[1])
