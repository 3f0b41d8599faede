"""The steps of a further fleet: those of an order, for the fleet in a GrowOrder, and the check before them."""

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from annexd.annex.lease.lease import utc
from annexd.annex.request.order import FleetOrder, GrowOrder
from annexd.annex.steps.change_checks import Turn, is_cancelled, lasting
from annexd.annex.steps.context import StepContext, require_settled
from annexd.annex.steps.tag_fleets import fleets_of
from annexd.workflow import Nothing, Refused, Results, Step

IntentT = TypeVar("IntentT")
ResultT = TypeVar("ResultT")


class CheckAnnex:
    """Checks that the annex lives and that its end is still that of the further fleet.  Creates nothing."""

    name = "check_annex"
    intent_type = Turn
    shows_late = False
    result_type = Nothing

    def __init__(self, context: StepContext) -> None:
        self._context = context

    def plan(self, _order: GrowOrder, results: Results) -> Turn:
        return results.of(Turn)

    def forward(self, order: GrowOrder, intent: Turn) -> Nothing:
        require_settled(self._context, intent.unclear_at_s)
        ec2 = self._context.access(order.target).ec2
        fleets = lasting(fleets_of(self._context, ec2, intent.fleets))
        if is_cancelled(fleets):
            message = f"annex {order.annex_id} was cancelled: it gets no more machines"
            raise Refused(message, untouched=True, result="InvalidState")
        end_s = min(fleet.written_end_s for fleet in fleets)
        if end_s != order.end_of_lease_s:
            message = f"the end of annex {order.annex_id} was moved to {utc(end_s)} meanwhile: ask again"
            raise Refused(message, untouched=True, result="InvalidState")
        return Nothing()

    def backward(self, _order: GrowOrder, _intent: Turn, _asked_at_s: float) -> None:
        """Do nothing: this step creates nothing."""


@dataclass(frozen=True)
class OfFurtherFleet(Generic[IntentT, ResultT]):
    """Wraps a step of an order for the further fleet."""

    step: Step[FleetOrder, IntentT, ResultT]

    @property
    def name(self) -> str:
        return self.step.name

    @property
    def shows_late(self) -> bool:
        return self.step.shows_late

    @property
    def intent_type(self) -> type[IntentT]:
        return self.step.intent_type

    @property
    def result_type(self) -> type[ResultT]:
        return self.step.result_type

    def plan(self, order: GrowOrder, results: Results) -> IntentT:
        return self.step.plan(order.further, results)

    def forward(self, order: GrowOrder, intent: IntentT) -> ResultT:
        return self.step.forward(_with_keys(order), intent)

    def backward(self, order: GrowOrder, intent: IntentT, asked_at_s: float) -> None:
        self.step.backward(_with_keys(order), intent, asked_at_s)


def _with_keys(order: GrowOrder) -> FleetOrder:
    """Return the fleet's order with the keys of the command."""
    return replace(order.further, target=order.target)
