"""Copy the factors and ceilings that condor_userprio has set from the pool's negotiator to those of ghosts.

They live in an accountant, of which each negotiator has its own.  Without a copy a user whom an administrator has
limited gets machines as if there were no limit.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from annexd.daemoncore.pool.outbound import Outbound, OutboundFailed
from annexd.demand.negotiators import Negotiators, find_negotiators

AT_ONCE: Final = 200  # users for each negotiator; the next call goes on
NO_CEILING: Final = -1
NEXT_STEP: Final = "annexd needs ADMINISTRATOR there, as condor_userprio does (ALLOW_ADMINISTRATOR)"


class Standing(NamedTuple):
    """What an administrator may set of a user."""

    factor: float
    ceiling: int


Standings = Mapping[str, Standing]  # by user


@dataclass(frozen=True)
class CopyState:
    """How far the copy is; a fault says what the ghosts' negotiators do not know."""

    at_s: float = 0.0  # since the epoch; 0 if never
    changed: int = 0
    fault: str | None = None


class AccountingCopy:
    """Copies on request; `negotiators` returns the local names of the ghosts' negotiators."""

    def __init__(
        self, outbound: Outbound, collectors: Callable[[], Sequence[str]], negotiators: Callable[[], Collection[str]]
    ) -> None:
        self._outbound, self._collectors, self._negotiators = outbound, collectors, negotiators

    async def copy(self) -> CopyState:
        """Make what differs equal.  Never raises."""
        at_s, changed, faults = time.time(), 0, []
        try:
            negotiators = await self._find()
            wanted = await self._standings(negotiators.only_own())
        except (OutboundFailed, LookupError) as error:
            return CopyState(at_s, 0, f"priority factors and ceilings cannot be copied: {error}")
        for name in self._negotiators():
            try:
                changed += await self._copy_to(negotiators.of_ghosts(name), wanted)
            except (OutboundFailed, LookupError) as error:
                faults.append(f"negotiator {name} does not take priority factors and ceilings: {error}; {NEXT_STEP}")
        return CopyState(at_s, changed, "; ".join(faults) or None)

    async def _copy_to(self, address: str, wanted: Standings) -> int:
        """Return how many users' standings were changed.  Raises OutboundFailed."""
        changes = differences(wanted, await self._standings(address))
        if changes:
            rows = [(user, *standing) for user, standing in changes.items()]
            await self._outbound.call("set_standings", {"address": address, "standings": rows})
            found = await self._standings(address)
            if refused := [user for user, standing in changes.items() if found.get(user) != standing]:
                raise OutboundFailed(f"{len(refused)} users have others there")
        return len(changes)

    async def _find(self) -> Negotiators:
        """Raises OutboundFailed."""
        faults = []
        for collector in self._collectors():
            try:
                return await find_negotiators(self._outbound, collector)
            except OutboundFailed as error:
                faults.append(f"collector {collector}: {error}")
        raise OutboundFailed("; ".join(faults) or "no collector is configured")

    async def _standings(self, address: str) -> Standings:
        return standings_of(await self._outbound.call("standings", {"address": address}))


def standings_of(rows: Iterable[Sequence[Any]]) -> Standings:
    """Read the rows of an accountant: user, factor, ceiling, and whether it is a group, which the configuration has."""
    found = {}
    for user, factor, ceiling, is_group in rows:
        if not is_group and isinstance(user, str) and "@" in user and isinstance(factor, int | float):
            found[user] = Standing(float(factor), int(ceiling) if isinstance(ceiling, int | float) else NO_CEILING)
    return found


def differences(wanted: Standings, found: Standings) -> dict[str, Standing]:
    """Return what to change, AT_ONCE users at most."""
    changes = {user: standing for user, standing in wanted.items() if found.get(user) != standing}
    return dict(list(changes.items())[:AT_ONCE])
