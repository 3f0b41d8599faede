"""Stop the orders of an annex before cancelling it: what is in progress takes no further step and is undone."""

from dataclasses import dataclass

from annexd.annex.request.order import CancelOrder, Order, with_requester
from annexd.annex.steps.annex_commands import AnnexCommands
from annexd.annex.steps.request_fleet import RequestFleet
from annexd.workflow import Engine, JournalError, Paused, Results, Retry, State


@dataclass(frozen=True)
class StopIntent:
    """The annex whose order is stopped; without an ID, an annex that only the cloud knows."""

    order_command_id: str | None
    cancelled_by: str


@dataclass(frozen=True)
class OrderStopped:
    """Whether nothing of the order is left, its fleets, and the time of the newest one's request, or 0."""

    is_gone: bool
    ordered_at_s: float
    fleet_ids: tuple[str, ...]


class StopOrder:
    """Stops the annex's order until it is finished: it succeeded and its lease must end, or nothing is left of it."""

    name = "stop_order"
    intent_type = StopIntent
    shows_late = False
    result_type = OrderStopped

    def __init__(self, engine: Engine, commands: AnnexCommands) -> None:
        self._engine, self._commands = engine, commands

    def plan(self, order: CancelOrder, _results: Results) -> StopIntent:
        return StopIntent(order.subject.order_command_id, order.cancelled_by)

    def forward(self, order: CancelOrder, intent: StopIntent) -> OrderStopped:
        command_id = intent.order_command_id
        if command_id is None:
            return OrderStopped(is_gone=False, ordered_at_s=0.0, fleet_ids=order.subject.fleet_ids)
        try:
            stopped = [self._stopped(command_id, order, undone=True)]
            stopped += [self._stopped(each, order) for each in self._commands.resizes(order.annex_id)]
            fleet_ids = self._commands.fleet_ids(order.annex_id)
        except (Paused, JournalError) as error:
            raise Retry(str(error), untouched=True) from error
        asked_at_s = max(state.step(RequestFleet.name).asked_at_s for state in stopped)
        return OrderStopped(stopped[0].is_undone, asked_at_s, fleet_ids)

    def _stopped(self, command_id: str, order: CancelOrder, *, undone: bool = False) -> State:
        """Return the state of an order that makes no more progress, or is `undone`.  Raises Retry until then.

        A further fleet whose undo is stuck does not delay the end of the others.
        """
        self._hand_over_keys(command_id, order)
        self._engine.stop(command_id, f"it was cancelled by {order.cancelled_by}")
        outcome = self._engine.run_if_free(command_id)
        if outcome is None:
            raise Retry("its order is in its last step", untouched=True)
        if undone and outcome.retry_at_s is not None:
            raise Retry(f"its order is being undone: {outcome.error}", untouched=True)
        return self._engine.state(command_id)

    def _hand_over_keys(self, command_id: str, order: CancelOrder) -> None:
        """Give an order of the annex the keys of the cancellation for its undo, if some were given."""
        state = self._engine.state(command_id)
        annex_order = state.order_as(Order)
        if order.given is not None and annex_order is not None:
            self._engine.change(command_id, with_requester(annex_order, order.given))

    def backward(self, _order: CancelOrder, _intent: StopIntent, _asked_at_s: float) -> None:
        """Do nothing: a stopped order remains stopped."""
