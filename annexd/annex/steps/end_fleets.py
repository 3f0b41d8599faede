"""Cancel an annex: end its lease now, by a tag that nothing overrides, and end its fleets.

The tag is decisive: with it the lease function ends everything that is left, even if annexd dies right after it.
"""

import contextlib
from dataclasses import dataclass
from typing import Any

from annexd.annex.fleet.inventory import ENDING, Fleet, cancel_fleet, living_instances, terminate
from annexd.annex.fleet.kinds import ENDED
from annexd.annex.join.config_bundle import Present
from annexd.annex.lease.lease import TAG_CANCELLED, utc
from annexd.annex.request.defaults import DAY_S
from annexd.annex.request.order import CancelOrder
from annexd.annex.steps.context import StepContext
from annexd.annex.steps.put_object import put_present
from annexd.annex.steps.stop_order import OrderStopped
from annexd.annex.steps.tag_fleets import AnnexFleets, fleets_of, write_tag
from annexd.aws import Clients
from annexd.workflow import Refused, Results, Retry


@dataclass(frozen=True)
class EndIntent:
    """The fleets to end; `is_gone` means that stop_order found no fleet."""

    fleets: AnnexFleets
    is_gone: bool


@dataclass(frozen=True)
class FleetsEnded:
    """The time at which the lease ended, by AWS's clock."""

    end_of_lease_s: int


class EndFleets:
    """Tags the fleets of the annex as cancelled and ends them."""

    name = "end_fleets"
    intent_type = EndIntent
    shows_late = False
    result_type = FleetsEnded

    def __init__(self, context: StepContext) -> None:
        self._context = context

    def plan(self, order: CancelOrder, results: Results) -> EndIntent:
        stopped = results.of(OrderStopped)
        return EndIntent(AnnexFleets(order.annex_id, stopped.fleet_ids, stopped.ordered_at_s), stopped.is_gone)

    def forward(self, order: CancelOrder, intent: EndIntent) -> FleetsEnded:
        if intent.is_gone:
            return FleetsEnded(int(self._context.now_s()))
        clients = self._context.access(order.target)
        now_s = int(self._context.aws_now_s(clients))
        fleets = fleets_of(self._context, clients.ec2, intent.fleets)
        untagged = {fleet.fleet_id for fleet in fleets if not _ended(clients.ec2, fleet, now_s)}
        for fleet in fleets_of(self._context, clients.ec2, intent.fleets):
            if fleet.state not in ENDED or not (fleet.is_cancelled or fleet.fleet_id in untagged):
                raise Retry(f"{fleet.fleet_id} is {fleet.state} and was cancelled just now; annexd checks it again")
            _terminate_the_rest(clients.ec2, fleet)
        self._inform_machines(order, clients, now_s)
        return FleetsEnded(now_s)

    def _inform_machines(self, order: CancelOrder, clients: Clients, now_s: int) -> None:
        """Inform the machines, so that late ones leave, and all leave if an accepted cancellation has no effect."""
        if order.subject.order is not None:
            with contextlib.suppress(Retry, Refused):  # whatever ended the fleet has ended them
                present = Present(now_s, DAY_S, cancelled_s=now_s)
                put_present(self._context, clients, order.subject.order, present)

    def backward(self, _order: CancelOrder, _intent: EndIntent, _asked_at_s: float) -> None:
        """Do nothing: a lease is never extended by an undo."""


def _ended(ec2: Any, fleet: Fleet, now_s: int) -> bool:
    """Tag and cancel a fleet; return False if these keys may not tag, so that the fleet's state must suffice."""
    is_tagged = fleet.is_cancelled or write_tag(ec2, fleet.fleet_id, TAG_CANCELLED, utc(now_s))
    if fleet.state not in ENDED or fleet.runs_on:
        cancel_fleet(ec2, fleet.fleet_id)
    return is_tagged


def _terminate_the_rest(ec2: Any, fleet: Fleet) -> None:
    """End the instances of a fleet that was cancelled without them: a second cancellation might not end them."""
    with contextlib.suppress(Retry, Refused):  # then the lease function ends them at its next run
        running = [one.instance_id for one in living_instances(ec2, fleet.fleet_id) if one.state != ENDING]
        if running:
            terminate(ec2, running)
