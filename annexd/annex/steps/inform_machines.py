"""Inform an annex's machines of the new end of their lease, through the annex's object in S3."""

from typing import Final

from annexd.annex.fleet.inventory import fleets_of_annex
from annexd.annex.join.config_bundle import Present
from annexd.annex.lease.heartbeat import TICK_S
from annexd.annex.request.defaults import DAY_S
from annexd.annex.request.order import ChangeOrder
from annexd.annex.steps.change_checks import LeaseRead, MachinesInformed, MoveIntent, Turn, is_cancelled, was_cancelled
from annexd.annex.steps.context import StepContext, require_settled
from annexd.annex.steps.put_object import put_present
from annexd.workflow import Refused, Results, Retry

NOT_INFORMED: Final = "its machines do not know the earlier end, and do not drain before it"


class InformMachines:
    """Writes the new end into the annex's object in S3."""

    name = "inform_machines"
    intent_type = MoveIntent
    shows_late = False
    result_type = MachinesInformed

    def __init__(self, context: StepContext) -> None:
        self._context = context

    def plan(self, _order: ChangeOrder, results: Results) -> MoveIntent:
        return MoveIntent(results.of(Turn).fleets, results.of(LeaseRead))

    def forward(self, order: ChangeOrder, intent: MoveIntent) -> MachinesInformed:
        lease = intent.lease
        if order.subject.order is None:
            return MachinesInformed(f"{NOT_INFORMED}: annexd has no record of their order")
        try:
            if not inform(self._context, order, intent, lease.end_of_lease_s):
                raise was_cancelled(intent.fleets.annex_id)
        except (Retry, Refused) as error:
            if lease.is_longer:
                raise
            return MachinesInformed(f"{NOT_INFORMED}: {error}")
        drains_s = lease.from_s - order.drain_s - TICK_S
        if lease.is_longer and order.drain_s and self._context.now_s() > drains_s:
            message = "machines that have begun to drain for the earlier end still leave the pool"
            return MachinesInformed(message)
        return MachinesInformed("")

    def backward(self, _order: ChangeOrder, _intent: MoveIntent, asked_at_s: float) -> None:
        """Wait until an earlier write can no longer take effect.  The old end is written after the tag has it: the tag
        limits the cost.
        """
        require_settled(self._context, asked_at_s)


def inform(context: StepContext, order: ChangeOrder, intent: MoveIntent, end_s: int) -> bool:
    """Write the end into the annex's object; False for a cancelled annex, whose machines were asked to leave.

    Raises Retry or Refused.
    """
    annex, annex_order, clients = intent.fleets, order.subject.order, context.access(order.target)
    if annex_order is None or annex_order.join is None:
        return True
    if is_cancelled(fleets_of_annex(clients.ec2, annex.annex_id, annex.fleet_ids)):
        return False
    put_present(context, clients, annex_order, Present(end_s, intent.lease.max_lease_s, leaving=annex.leaving))
    if not is_cancelled(fleets_of_annex(clients.ec2, annex.annex_id, annex.fleet_ids)):
        return True
    now_s = int(context.aws_now_s(clients))  # it was cancelled meanwhile, and its machines knew that before
    put_present(context, clients, annex_order, Present(now_s, DAY_S, cancelled_s=now_s))
    return False
