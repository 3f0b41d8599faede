"""Stop the order of an annex before cancelling the annex: an order in progress takes no further step and is undone."""

from dataclasses import dataclass

from annexd.annex.request.order import CancelOrder, FleetOrder, with_requester
from annexd.annex.steps.request_fleet import RequestFleet
from annexd.workflow import Engine, JournalError, Paused, Results, Retry


@dataclass(frozen=True)
class StopIntent:
    """Whose order is stopped: without an ID that of an annex that only the cloud knows."""

    order_command_id: str | None
    cancelled_by: str


@dataclass(frozen=True)
class OrderStopped:
    """Whether nothing of the order is left, and the time of its fleet request, or 0."""

    is_gone: bool
    ordered_at_s: float


class StopOrder:
    """The order of the annex is finished: it succeeded, and its lease is to be ended; or nothing of it is left."""

    name = "stop_order"
    intent_type = StopIntent
    shows_late = False
    result_type = OrderStopped

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def plan(self, order: CancelOrder, _results: Results) -> StopIntent:
        return StopIntent(order.subject.order_command_id, order.cancelled_by)

    def forward(self, order: CancelOrder, intent: StopIntent) -> OrderStopped:
        command_id = intent.order_command_id
        if command_id is None:
            return OrderStopped(is_gone=False, ordered_at_s=0.0)
        try:
            self._hand_over_keys(command_id, order)
            self._engine.stop(command_id, f"it was cancelled by {intent.cancelled_by}")
            outcome = self._engine.run_if_free(command_id)
            state = self._engine.state(command_id)
        except (Paused, JournalError) as error:
            raise Retry(str(error), untouched=True) from error
        if outcome is None:
            raise Retry("its order is in the middle of a step, the last that it takes", untouched=True)
        if outcome.retry_at_s is not None:
            raise Retry(f"its order is being undone: {outcome.error}", untouched=True)
        return OrderStopped(state.is_undone, state.step(RequestFleet.name).asked_at_s)

    def _hand_over_keys(self, command_id: str, order: CancelOrder) -> None:
        """Give the annex's order the keys of the cancellation for its undo, if some were given."""
        annex_order = self._engine.state(command_id).order_as(FleetOrder)
        if order.given is not None and annex_order is not None:
            self._engine.change(command_id, with_requester(annex_order, order.given))

    def backward(self, _order: CancelOrder, _intent: StopIntent, _asked_at_s: float) -> None:
        """Do nothing: a stopped order remains stopped."""
