"""The totals of all living annexes, from the journal: their number, their ordered units, and the next end."""

from dataclasses import dataclass

from annexd.annex.index import AnnexIndex, AnnexRecord
from annexd.annex.request.order import FleetOrder
from annexd.workflow import SUCCESS, State


@dataclass(frozen=True)
class Totals:
    """`units`: the target capacities; `next_end_s`: since the epoch, None without an annex."""

    annexes: int = 0
    units: int = 0
    next_end_s: int | None = None


class TotalsReader:
    """Adds up the annexes that were ordered, or are being ordered, and are not over.  Not thread-safe.

    An ended annex never lives again, and a finished order never changes: neither is read twice, so that
    thousands of annexes cost little.
    """

    def __init__(self, index: AnnexIndex) -> None:
        self._index = index
        self._over: set[str] = set()  # command IDs
        self._units: dict[str, int] = {}  # by command ID, of those that succeeded

    def totals(self, now_s: float) -> Totals:
        """Return the totals, after reading new records of the journal.  Raises JournalError."""
        annexes = self._index.all()
        known = {each.command_id for each in annexes}
        self._over &= known
        self._units = {each: units for each, units in self._units.items() if each in known - self._over}
        living = [
            (self._index.units(each) or units, end_s)
            for each in annexes
            if (units := self._units_of(each)) is not None and (end_s := self._end_s(each, now_s)) is not None
        ]
        return Totals(len(living), sum(units for units, _ in living), min((end_s for _, end_s in living), default=None))

    def _units_of(self, annex: AnnexRecord) -> int | None:
        """Return the number of units that it ordered; None if it is over, or its order failed."""
        if annex.command_id in self._over:
            return None
        if (known := self._units.get(annex.command_id)) is not None:
            return known
        state = self._index.engine.state(annex.command_id)
        units = _units(state)
        if state.finished is None:
            return None if state.failure else units
        if state.finished[0] != SUCCESS:
            self._over.add(annex.command_id)
            return None
        self._units[annex.command_id] = units
        return units

    def _end_s(self, annex: AnnexRecord, now_s: float) -> int | None:
        end_s = self._index.end_s(annex)
        if end_s > now_s:
            return end_s
        self._over.add(annex.command_id)
        return None


def _units(state: State) -> int:
    order = state.order_as(FleetOrder)
    capacity = order.units if order else None
    return capacity if isinstance(capacity, int) else 0
