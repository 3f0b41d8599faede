"""Query a pool for ghosts, and for the negotiation cycles that have seen them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from annexd.condor import bindings
from annexd.daemoncore.pool.outbound import NoAnswer, Outbound, OutboundFailed
from annexd.demand.confirmation import Cycle, Schedd
from annexd.demand.ghost_ad import ANNEXD, GHOSTS
from annexd.demand.negotiators import Negotiators, find_negotiators

MAX_RECORDS: Final = 10_000
NEGOTIATOR_TIMEOUT_S: Final = 25.0  # it responds only between two cycles
CYCLES: Final = range(3)  # NEGOTIATION_CYCLE_STATS_LENGTH
OF_NEGOTIATORS: Final = tuple(f"LastNegotiationCycle{what}{n}" for n in CYCLES for what in ("Time", "End"))
OF_SUBMITTERS: Final = ("ScheddName", "MyAddress", "ScheddIpAddr", "CondorVersion")
OF_GHOSTS: Final = ("Name", "MyAddress", "LastHeardFrom", "MachineLastMatchTime")

# Attributes of a ghost for a GhostReading: its address, the time since when it exists, its last match, and the matches.
Row = tuple[str, int, int | None, tuple[tuple[str, int], ...]]


@dataclass(frozen=True)
class PoolLook:
    """The responses of a collector and the negotiators of ghosts: cycles, or why they are unknown, by negotiator, None
    for a busy one; schedds by address; ghosts by name.
    """

    cycles: Mapping[str, Sequence[Cycle] | str | None]
    schedds: Mapping[str, Schedd]
    ghosts: Mapping[str, Row]


class PoolQueries:
    """Queries for the ghosts of one annexd."""

    def __init__(self, outbound: Outbound, annexd: str) -> None:
        self._outbound, self._annexd = outbound, annexd

    async def look(self, collector: str, negotiators: Collection[str]) -> PoolLook:
        """Query negotiators first: then the ghosts have all matches of the cycles that the negotiators know.

        Raises OutboundFailed if the collector does not respond.
        """
        cycles = await self._cycles(collector, negotiators)
        submitters = await self._query("Submitter", collector, "true", OF_SUBMITTERS)
        return PoolLook(cycles, schedds_of(submitters), await self._ghosts(collector))

    async def _cycles(self, collector: str, names: Collection[str]) -> dict[str, list[Cycle] | str | None]:
        found: dict[str, list[Cycle] | str | None] = {}
        if names:
            negotiators = await find_negotiators(self._outbound, collector)
            for name in names:
                found[name] = await self._cycles_of(name, negotiators)
        return found

    async def _cycles_of(self, name: str, negotiators: Negotiators) -> list[Cycle] | str | None:
        arguments = {"kind": "Negotiator", "constraint": "true", "attributes": OF_NEGOTIATORS}
        try:
            address = negotiators.of_ghosts(name)
            rows = await self._outbound.call("query", {**arguments, "collector": address}, NEGOTIATOR_TIMEOUT_S)
        except NoAnswer:
            return None  # it may be in a long cycle; GhostWatch reports one that takes too long
        except (OutboundFailed, LookupError) as error:
            return f"negotiator {name} does not answer ({error}): condor_annex -demand-config writes its configuration"
        return [cycle for row in rows for cycle in cycles_in(row)]

    async def _ghosts(self, collector: str) -> dict[str, Row]:
        """Return this annexd's ghosts by name."""
        mine = f"Offline =?= true && {GHOSTS} isnt undefined && {ANNEXD} == {bindings.quote(self._annexd)}"
        arguments = {"collector": collector, "constraint": mine, "attributes": OF_GHOSTS, "limit": MAX_RECORDS}
        rows = await self._outbound.call("offline_matches", arguments)
        return {
            str(name): (
                str(address),
                int(heard_s or 0),
                matched_s if isinstance(matched_s, int) else None,
                _pairs(found),
            )
            for name, address, heard_s, matched_s, found in rows
        }

    async def _query(
        self, kind: str, collector: str, constraint: str, attributes: Sequence[str]
    ) -> Iterable[Sequence[Any]]:
        arguments = {"kind": kind, "collector": collector, "constraint": constraint, "attributes": attributes}
        rows: Iterable[Sequence[Any]] = await self._outbound.call("query", arguments)
        return rows


def _pairs(records: Iterable[Sequence[Any]]) -> tuple[tuple[str, int], ...]:
    return tuple((schedd, number) for schedd, number in records)


def cycles_in(row: Sequence[Any]) -> list[Cycle]:
    """Return the completed cycles in a negotiator's ad: pairs of start and end."""
    pairs = zip(row[::2], row[1::2], strict=True)
    return [Cycle(began_s, ended_s) for began_s, ended_s in pairs if _is_time(began_s) and _is_time(ended_s)]


def _is_time(value: Any) -> bool:
    return isinstance(value, int) and value > 0


def schedds_of(rows: Iterable[Sequence[Any]]) -> dict[str, Schedd]:
    """Return the schedds with jobs here, including those of other pools, by their addresses."""
    found = {}
    for name, *addresses, version in rows:
        if isinstance(name, str):
            schedd = Schedd(name, version_of(version))
            found.update({address: schedd for address in addresses if isinstance(address, str)})
    return found


def version_of(text: object) -> tuple[int, ...]:
    """Return the numbers in `$CondorVersion: 25.14.1 ...`; () for anything else, which is older than all."""
    words = str(text).split()
    numbers = words[1].split(".") if len(words) > 1 else []
    return tuple(int(each) for each in numbers) if all(each.isdecimal() for each in numbers) else ()
