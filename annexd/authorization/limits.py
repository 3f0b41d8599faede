"""A session may be good for less than its user: LimitAuthorization, and the condor:/ scopes of a token."""

from collections.abc import Collection

from annexd.authorization.entry import fold
from annexd.cedar.levels import Level, implied

_LEVELS = {fold(level): level for level in Level}  # getPermissionFromString ignores case


def within_limits(levels: Collection[Level], limits: Collection[str]) -> bool:
    """Whether one of the levels that would do is open, or among the limits and what they imply.

    A name that is no level adds nothing, so that a scope of condor:/BOGUS leaves a token with nothing.
    """
    if not limits:
        return True
    allowed = {level for name in limits for level in _with_implied(name)}
    return any(level is Level.ALLOW or level in allowed for level in levels)


def _with_implied(name: str) -> Collection[Level]:
    level = _LEVELS.get(fold(name.strip()))
    return () if level is None else implied(level)
