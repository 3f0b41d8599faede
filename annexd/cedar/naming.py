"""From the name that a method proved to HTCondor's name of the user (authentication.cpp)."""

import string

from annexd.cedar.context import ServerContext

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def user_of(method: str, name: str, context: ServerContext, *, default: str) -> str:
    """The map file's canonical user for what the method proved, in UID_DOMAIN if it names no domain; or else the
    method's own default.
    """
    canonical = context.canonical_user(method, name)
    if not canonical:
        return default
    return canonical if "@" in canonical else f"{canonical}@{context.uid_domain}"


def with_lower_domain(user: str) -> str:
    """As Condor_Auth_Base::setRemoteDomain, whatever the method: one domain has one name."""
    name, at, domain = user.rpartition("@")
    return f"{name}{at}{domain.translate(_LOWER) if at else domain}"
