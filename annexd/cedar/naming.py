"""Map the name that a method proved to HTCondor's user name (authentication.cpp)."""

import string

from annexd.cedar.context import ServerContext

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def user_of(method: str, name: str, context: ServerContext, *, default: str) -> str:
    """Return the map file's canonical user for a proved name, or the method's default if no line matches.

    A canonical user without a domain is in UID_DOMAIN.
    """
    canonical = context.canonical_user(method, name)
    if not canonical:
        return default
    return canonical if "@" in canonical else f"{canonical}@{context.uid_domain}"


def with_lower_domain(user: str) -> str:
    """Lower the case of the domain, for every method (Condor_Auth_Base::setRemoteDomain)."""
    name, at, domain = user.rpartition("@")
    return f"{name}{at}{domain.translate(_LOWER) if at else domain}"
