"""Cancelling an annex begins with its order: one that is under way takes no further step, and is undone."""

from collections.abc import Mapping

from annexd.annex.steps.request_fleet import RequestFleet
from annexd.workflow import Engine, JournalError, Json, Paused, Retry


class StopOrder:
    """The order of the annex is finished: it succeeded, and its lease is to be ended; or nothing of it is left."""

    name = "stop_order"
    shows_late = False

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def plan(self, order: Json, results: Mapping[str, Json]) -> Json:  # noqa: ARG002
        """{order_command_id, cancelled_by}; without an ID for an annex that only the cloud knows."""
        return {name: order[name] for name in ("order_command_id", "cancelled_by")}

    def forward(self, order: Json, intent: Json) -> Json:
        """{gone, ordered_at_s}: whether nothing is left; when its fleet was asked for, or 0."""
        command_id = intent["order_command_id"]
        if command_id is None:
            return {"gone": False, "ordered_at_s": 0.0}
        try:
            if order["keys"]:
                self._engine.change(command_id, order["keys"])
            self._engine.stop(command_id, f"it was cancelled by {intent['cancelled_by']}")
            outcome = self._engine.run_if_free(command_id)
            state = self._engine.state(command_id)
        except (Paused, JournalError) as error:
            raise Retry(str(error), untouched=True) from error
        if outcome is None:
            raise Retry("its order is in the middle of a step, the last that it takes", untouched=True)
        if outcome.retry_at_s is not None:
            raise Retry(f"its order is being undone: {outcome.error}", untouched=True)
        return {"gone": state.is_undone, "ordered_at_s": state.step(RequestFleet.name).asked_at_s}

    def backward(self, order: Json, intent: Json, asked_at_s: float) -> None:
        """An order that was stopped stays stopped."""
