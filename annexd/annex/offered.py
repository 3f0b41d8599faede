"""The annexes that annexd ordered for idle jobs: the machines of each offer that live or are on their way."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from annexd.annex.index import AnnexIndex, AnnexRecord, Moves
from annexd.annex.lease.heartbeat import TICK_S
from annexd.annex.lease.lease import utc
from annexd.annex.reconcile import ObservedAnnex
from annexd.annex.request.order import FleetOrder
from annexd.annex.status import PoolCounts, PoolSnapshot, Snapshot
from annexd.annex.steps.request_fleet import FleetRequested

UNLISTED_S: Final = 300.0  # after its request, a fleet may be missing in AWS's lists for this long
ALL_GONE_S: Final = 600.0  # after the end of its lease: two runs of the lease function


@dataclass(frozen=True)
class OfferedAnnex:
    """An annex of an offer: `machines` that exist or may still start, and how many of these have not joined the pool in
    time.
    """

    annex_id: str
    offer: str
    machines: int
    in_flight: int
    joined: int
    ordered_s: float  # when its fleet was requested, or 0 before that
    end_s: int
    command_id: str
    owner: str
    claimed: int  # machines that have a job
    began_s: int  # when its lease began
    lease_s: int  # as it was ordered
    hears_s: float  # seconds before its end at which all its machines can still learn of a later one
    moves: int  # number of moves of its end
    held: str  # why annexd must not move its end by itself now
    has_started: bool = False  # whether AWS shows one of its machines


def offered_annexes(
    index: AnnexIndex, looks: Mapping[str, Snapshot], pool: PoolSnapshot, now_s: float, boot_s: float
) -> Iterator[OfferedAnnex]:
    """Yield those that live or may live; `boot_s`: the time within which a machine is expected to join.  Raises
    JournalError.
    """
    for known in index.all():
        if known.offer is None or index.latest_end_s(known.annex_id) + ALL_GONE_S < now_s:
            continue
        found = _offered(known, known.offer, index, looks, pool, now_s, boot_s)
        if found.machines:
            yield found


def fleet_orders(index: AnnexIndex, annexes: Iterable[OfferedAnnex]) -> Iterator[tuple[FleetOrder, str, float]]:
    """Yield the order, the fleet, and the time of its request, for annexes that have a fleet.  Raises JournalError."""
    for annex in annexes:
        state = index.engine.state(annex.command_id)
        order, requested = state.order_as(FleetOrder), state.results.get(FleetRequested)
        if order is not None and requested is not None:
            yield order, requested.fleet_id, annex.ordered_s


def _offered(
    known: AnnexRecord,
    offer: str,
    index: AnnexIndex,
    looks: Mapping[str, Snapshot],
    pool: PoolSnapshot,
    now_s: float,
    boot_s: float,
) -> OfferedAnnex:
    ordered = index.ordered(known)
    asked_s = index.requested_at_s(known)
    units = index.units(known) or ordered.units
    wanted = units if isinstance(units, int) and ordered.has_succeeded is not False else 0
    seen = _seen(known, looks.get(ordered.account or ""), asked_s, now_s)
    is_ended = index.cancellation(known.annex_id) is not None
    machines = wanted if seen is None and not is_ended else _there(seen, wanted, is_ended=is_ended)
    counts = pool.annexes.get(known.annex_id, PoolCounts())
    joined = min(counts.joined, machines)
    is_awaited = not is_ended and (not asked_s or now_s - asked_s < boot_s)
    end_s, moves = index.end_s(known), index.moves(known)
    return OfferedAnnex(
        known.annex_id,
        offer,
        machines,
        machines - joined if is_awaited else 0,
        joined,
        asked_s,
        end_s,
        known.command_id,
        known.owner,
        min(counts.claimed, machines),
        known.made_at_s,
        known.end_of_lease_s - known.made_at_s,
        TICK_S + known.drain_s,
        moves.number,
        _held(moves, _seen_end_s(known, index, seen, looks), end_s, is_ended=is_ended),
        seen is not None and seen.instances > 0,
    )


def _seen_end_s(
    known: AnnexRecord, index: AnnexIndex, seen: ObservedAnnex | None, looks: Mapping[str, Snapshot]
) -> float | None:
    """Return the end that AWS shows; None if no look has followed annexd's last move."""
    look = looks.get(index.ordered(known).account or "")
    is_newer = look is not None and look.at_s >= index.moved_at_s(known)
    return seen.end_of_lease_s if seen is not None and is_newer else None


def _held(moves: Moves, seen_end_s: float | None, end_s: int, *, is_ended: bool) -> str:
    """Return why annexd must not move the end by itself: people's changes take precedence."""
    if is_ended:
        return "it was cancelled"
    if moves.is_under_way:
        return "its end is being moved"
    if moves.is_shortened:
        return "its lease was shortened"
    if seen_end_s is not None and int(seen_end_s) != end_s:
        return f"by AWS it ends at {utc(seen_end_s)}, which annexd has not brought about"
    return ""


def _seen(known: AnnexRecord, look: Snapshot | None, asked_s: float, now_s: float) -> ObservedAnnex | None:
    """Return what the newest look at its account saw; None if that look is not conclusive for this annex.

    A look from before the fleet's request is not, and AWS's lists may lack a young fleet.
    """
    if look is None or look.at_s < asked_s:
        return None
    found = look.annexes.get(known.annex_id)
    if found is None and now_s - asked_s < UNLISTED_S:
        return None
    return found or ObservedAnnex(known.annex_id, known.owner, None, None, None, 0, None)


def _there(seen: ObservedAnnex | None, wanted: int, *, is_ended: bool) -> int:
    """Return the number of existing machines, or of all requested ones while AWS may still start some."""
    if seen is None:
        return 0
    return max(wanted, seen.instances) if seen.is_launching and not is_ended else seen.instances
