"""Carry out the changes of an annex one after another, and after its order."""

from dataclasses import dataclass

from annexd.annex.request.order import ChangeOrder, GrowOrder, ShrinkOrder
from annexd.annex.steps.annex_commands import AnnexCommands
from annexd.annex.steps.change_checks import MachinesInformed, Turn
from annexd.annex.steps.context import StepContext
from annexd.annex.steps.inform_machines import InformMachines
from annexd.annex.steps.move_end import MoveEnd
from annexd.annex.steps.put_object import PutObject
from annexd.annex.steps.request_fleet import RequestFleet
from annexd.annex.steps.tag_fleets import AnnexFleets
from annexd.workflow import SUCCESS, Engine, Refused, Results, Retry, State, StepState


@dataclass(frozen=True)
class TurnIntent:
    """The turn of a change, after the annex's order and earlier changes."""

    annex_id: str
    subject_key: str
    order_command_id: str | None
    command_id: str


class WaitForTurn:
    """Waits until the annex's order and all earlier changes of its end are finished."""

    name = "wait_for_turn"
    intent_type = TurnIntent
    shows_late = False
    result_type = Turn

    def __init__(self, context: StepContext, engine: Engine, commands: AnnexCommands) -> None:
        self._context, self._engine, self._commands = context, engine, commands

    def plan(self, order: ChangeOrder | GrowOrder | ShrinkOrder, _results: Results) -> TurnIntent:
        return TurnIntent(order.annex_id, order.subject.key, order.subject.order_command_id, order.command_id)

    def forward(self, order: ChangeOrder | GrowOrder | ShrinkOrder, intent: TurnIntent) -> Turn:
        state = self._engine.state(intent.order_command_id) if intent.order_command_id else None
        if state is not None and state.finished is None:
            raise Retry(f"annex {intent.annex_id} is still being ordered", untouched=True)
        if state is not None and (state.is_undone or state.is_given_up):
            raise Refused(f"annex {intent.annex_id} does not exist: its order failed", untouched=True)
        acts = [] if state is None else [state.step(PutObject.name)]
        for command_id in reversed(self._commands.earlier_changes(intent.subject_key, intent.command_id)):
            change = self._engine.state(command_id)
            if change.finished is None:
                raise Retry(f"{command_id} is still changing this annex", untouched=True)
            acts += change.step(MoveEnd.name), change.step(InformMachines.name)
            if change.finished[0] == SUCCESS and acts[-1].asked_at_s + self._context.settle_s < self._context.now_s():
                break  # those before it were done when its turn came
        unclear_at_s = max(map(_unclear_at_s, acts), default=0.0)
        if state is None:
            return Turn(AnnexFleets(intent.annex_id, order.subject.fleet_ids, 0.0), unclear_at_s)
        fleet_ids, leaving = self._commands.fleet_ids(intent.annex_id), self._commands.leaving(intent.annex_id)
        return Turn(AnnexFleets(intent.annex_id, fleet_ids, self._newest_s(state, intent), leaving), unclear_at_s)

    def _newest_s(self, state: State, intent: TurnIntent) -> float:
        """Return when the newest fleet was requested."""
        resizes = map(self._engine.state, self._commands.resizes(intent.annex_id))
        return max(each.step(RequestFleet.name).asked_at_s for each in (state, *resizes))

    def backward(self, _order: ChangeOrder | GrowOrder | ShrinkOrder, _intent: TurnIntent, _asked_at_s: float) -> None:
        """Do nothing: this step creates nothing."""


def _unclear_at_s(step: StepState) -> float:
    """Return when tag or object were last written without a clear response, forward or back; 0 if never."""
    is_clear = not (isinstance(step.result, MachinesInformed) and step.result.warning)
    back_at_s = step.undo_at_s if step.undo_attempts > 1 else 0.0
    return max(step.unsettled_at_s if is_clear else step.asked_at_s, back_at_s)
