"""Copy the factors and ceilings that condor_userprio has set from the pool's negotiator to those of ghosts.

They are kept in an accountant, and each negotiator has its own.  Without a copy a user that an administrator has
limited would get machines as if there were no limit.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from annexd.daemoncore.pool.outbound import Outbound, OutboundFailed
from annexd.demand.negotiators import Negotiators, find_negotiators

AT_ONCE: Final = 200  # users for each negotiator; the next call continues
NO_CEILING: Final = -1
NEXT_STEP: Final = "annexd needs ADMINISTRATOR there, as condor_userprio does (ALLOW_ADMINISTRATOR)"


class Standing(NamedTuple):
    """The settings of a user that an administrator may change."""

    factor: float
    ceiling: int


Standings = Mapping[str, Standing]  # by user
Rows = Sequence[Sequence[Any]]  # row of an accountant: user, factor, ceiling, whether it is a group, and its quota


@dataclass(frozen=True)
class CopyState:
    """The progress of the copy; a fault says what the ghosts' negotiators do not know."""

    at_s: float = 0.0  # since the epoch; 0 if never
    changed: int = 0
    fault: str | None = None
    limited: frozenset[str] = frozenset()  # users with a ceiling and groups with a quota, at the pool's negotiator


class AccountingCopy:
    """Copies on request; `negotiators` returns the local names of the ghosts' negotiators."""

    def __init__(
        self, outbound: Outbound, collectors: Callable[[], Sequence[str]], negotiators: Callable[[], Collection[str]]
    ) -> None:
        self._outbound, self._collectors, self._negotiators = outbound, collectors, negotiators
        self._limited: frozenset[str] = frozenset()  # of the last response

    async def copy(self) -> CopyState:
        """Copy everything that differs.  Never raises."""
        at_s, changed, faults = time.time(), 0, []
        try:
            negotiators = await self._find()
            rows = await self._rows(negotiators.only_own())
        except (OutboundFailed, LookupError) as error:
            fault = f"priority factors and ceilings cannot be copied: {error}"
            return CopyState(at_s, 0, fault, self._limited)
        wanted, self._limited = standings_of(rows), limited_of(rows)
        for name in self._negotiators():
            try:
                changed += await self._copy_to(negotiators.of_ghosts(name), wanted)
            except (OutboundFailed, LookupError) as error:
                faults.append(f"negotiator {name} does not take priority factors and ceilings: {error}; {NEXT_STEP}")
        return CopyState(at_s, changed, "; ".join(faults) or None, self._limited)

    async def _copy_to(self, address: str, wanted: Standings) -> int:
        """Copy to one negotiator; return how many users' standings were changed.  Raises OutboundFailed."""
        changes = differences(wanted, standings_of(await self._rows(address)))
        if changes:
            rows = [(user, *standing) for user, standing in changes.items()]
            await self._outbound.call("set_standings", {"address": address, "standings": rows})
            found = standings_of(await self._rows(address))
            if refused := [user for user, standing in changes.items() if found.get(user) != standing]:
                raise OutboundFailed(f"{len(refused)} users have others there")
        return len(changes)

    async def _find(self) -> Negotiators:
        """Find the negotiators.  Raises OutboundFailed."""
        faults = []
        for collector in self._collectors():
            try:
                return await find_negotiators(self._outbound, collector)
            except OutboundFailed as error:
                faults.append(f"collector {collector}: {error}")
        raise OutboundFailed("; ".join(faults) or "no collector is configured")

    async def _rows(self, address: str) -> Rows:
        rows: Rows = await self._outbound.call("standings", {"address": address})
        return rows


def standings_of(rows: Rows) -> Standings:
    """Return the users' standings; groups have theirs from the configuration."""
    found = {}
    for user, factor, ceiling, is_group, _quota in rows:
        if not is_group and isinstance(user, str) and "@" in user and isinstance(factor, int | float):
            found[user] = Standing(float(factor), int(ceiling) if isinstance(ceiling, int | float) else NO_CEILING)
    return found


def limited_of(rows: Rows) -> frozenset[str]:
    """Return the users with a ceiling, and the groups with a quota, in lower case."""
    names = set[str]()
    for name, _factor, ceiling, is_group, quota in rows:
        limit = quota if is_group else ceiling
        if isinstance(name, str) and isinstance(limit, int | float) and (limit > 0 if is_group else limit >= 0):
            names.add(name.lower())
    return frozenset(names)


def limits_of(user: str, concurrency: Iterable[str], limited: Collection[str]) -> frozenset[str]:
    """Return the limits of the jobs of a submitter: concurrency limits, quotas of its groups, and a ceiling."""
    name = user.lower()
    groups = name.partition("@")[0].split(".")
    of_groups = {".".join(groups[:length]) for length in range(1, len(groups) + 1)}
    return frozenset([*(f"limit {each}" for each in concurrency), *(({name} | of_groups) & set(limited))])


def differences(wanted: Standings, found: Standings) -> dict[str, Standing]:
    """Return the changes to make, for at most AT_ONCE users."""
    changes = {user: standing for user, standing in wanted.items() if found.get(user) != standing}
    return dict(list(changes.items())[:AT_ONCE])
