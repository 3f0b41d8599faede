"""Apply the limits of a session: LimitAuthorization, and the condor:/ scopes of a token."""

from collections.abc import Collection

from annexd.authorization.entry import fold
from annexd.cedar.levels import Level, implied

_LEVELS = {fold(level): level for level in Level}  # getPermissionFromString ignores case


def within_limits(levels: Collection[Level], limits: Collection[str]) -> bool:
    """Return whether one of the sufficient levels is ALLOW, or is among the limits or implied by them.

    An unknown limit permits nothing, so a token whose only scope is condor:/BOGUS permits nothing.
    """
    if not limits:
        return True
    allowed = {level for name in limits for level in _with_implied(name)}
    return any(level is Level.ALLOW or level in allowed for level in levels)


def _with_implied(name: str) -> Collection[Level]:
    level = _LEVELS.get(fold(name.strip()))
    return () if level is None else implied(level)
