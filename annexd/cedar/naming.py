"""From the name that a method proved to HTCondor's name of the user (authentication.cpp)."""

from annexd.cedar.context import ServerContext


def user_of(method: str, name: str, context: ServerContext) -> str:
    """The map file's canonical user, or else name@UID_DOMAIN."""
    canonical = context.canonical_user(method, name)
    if canonical and "@" in canonical:
        return canonical
    return f"{canonical or name}@{context.uid_domain}"
