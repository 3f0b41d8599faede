"""Annexes without AWS: the workflows of annexd with steps that only record what runs, for histories of money."""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from annexd.annex.fleet.access import no_access
from annexd.annex.index import CHANGE, GROW, AnnexIndex
from annexd.annex.request.order import ChangeOrder, FleetOrder, GrowOrder
from annexd.annex.reservations import Reservations, Rules
from annexd.annex.steps import StepContext
from annexd.annex.steps.move_end import EndMoved
from annexd.annex.steps.request_fleet import FleetRequested
from annexd.workflow import Engine, Journal, Nothing, Refused, Results, Workflow

OWNER = "alice@example.org"


@dataclass
class Running:
    """A fleet and its present cost in micro-dollars an hour, which is never above its bound."""

    annex_id: str
    rate: int
    begin_s: int


@dataclass
class Runs:
    """The running fleets by client token, and the ends of the annexes' leases; without `random`, nothing fails."""

    random: Random | None = None
    fleets: dict[str, Running] = field(default_factory=dict)
    ends_s: dict[str, int] = field(default_factory=dict)
    now_s: float = 1_795_000_000.0

    def chance(self, part: float) -> bool:
        return self.random is not None and self.random.random() < part


@dataclass(frozen=True)
class RequestAFleet:
    """Requests a fleet, or is refused, sometimes after the fleet was created."""

    runs: Runs
    name: str = "request_fleet"
    shows_late: bool = True
    intent_type: type[Nothing] = Nothing
    result_type: type[FleetRequested] = FleetRequested

    def plan(self, _order: FleetOrder | GrowOrder, _results: Results) -> Nothing:
        return Nothing()

    def forward(self, order: FleetOrder | GrowOrder, _intent: Nothing) -> FleetRequested:
        fleet = order.further if isinstance(order, GrowOrder) else order
        if self.runs.chance(0.1):
            raise Refused("no", untouched=True)
        self.runs.fleets.setdefault(fleet.client_token, Running(order.annex_id, 0, int(self.runs.now_s)))
        self.runs.ends_s.setdefault(order.annex_id, order.end_of_lease_s)
        if self.runs.chance(0.1):
            raise Refused("something went wrong")
        return FleetRequested(f"fleet-{fleet.client_token}")

    def backward(self, order: FleetOrder | GrowOrder, _intent: Nothing, _asked_at_s: float) -> None:
        fleet = order.further if isinstance(order, GrowOrder) else order
        self.runs.fleets.pop(fleet.client_token, None)


@dataclass(frozen=True)
class EndBefore:
    """The end of a lease before it is moved."""

    end_of_lease_s: int


@dataclass(frozen=True)
class MoveTheEnd:
    """Moves the end of a lease, or is refused; undone if annexd died meanwhile, as annexd's own step is."""

    runs: Runs
    name: str = "move_end"
    shows_late: bool = False
    intent_type: type[EndBefore] = EndBefore
    result_type: type[EndMoved] = EndMoved

    def plan(self, order: ChangeOrder, _results: Results) -> EndBefore:
        return EndBefore(self.runs.ends_s[order.annex_id])

    def forward(self, order: ChangeOrder, _intent: EndBefore) -> EndMoved:
        end_s = order.wanted_end_s
        assert end_s is not None
        assert order.reserved_end_s is None or end_s <= order.reserved_end_s
        if self.runs.chance(0.2):
            raise Refused("no", untouched=True)
        self.runs.ends_s[order.annex_id] = end_s
        return EndMoved(end_s)

    def backward(self, order: ChangeOrder, intent: EndBefore, _asked_at_s: float) -> None:
        """Undo the move, but never extend a shortened lease."""
        self.runs.ends_s[order.annex_id] = min(self.runs.ends_s[order.annex_id], intent.end_of_lease_s)


def engine_of(journal: Journal, runs: Runs) -> Engine:
    others: dict[str, Workflow[Any]] = {
        CHANGE: Workflow(ChangeOrder, (MoveTheEnd(runs),)),
        GROW: Workflow(GrowOrder, (RequestAFleet(runs),)),
    }
    return Engine(journal, Workflow(FleetOrder, (RequestAFleet(runs),)), others=others, now_s=lambda: runs.now_s)


def reservations_of(engine: Engine, runs: Runs, rules: Rules) -> tuple[AnnexIndex, Reservations]:
    index = AnnexIndex(engine)
    return index, Reservations(index, StepContext(no_access, lambda: runs.now_s), rules)
