"""The last step: the fleet, with its lease in its token.

Only the fleet costs money, so it is created last and undone first.  After a lost response the same request is sent
again with the same token.  Undo finds the fleet by the whole token, over all pages, ends it with its instances, and
looks again until they are gone.
"""

from dataclasses import dataclass
from typing import Any

from annexd.annex.fleet.inventory import end_fleet, fleets_with_token
from annexd.annex.fleet.kinds import EC2_FLEET as EC2_FLEET_KIND
from annexd.annex.fleet.kinds import OVER, FleetKind
from annexd.annex.fleet.kinds import SPOT_FLEET as SPOT_FLEET_KIND
from annexd.annex.request.fleet_api import EC2_FLEET
from annexd.annex.request.order import FleetOrder
from annexd.annex.steps.check_lease_function import CHECK_AGAIN_S, LeaseFunctionSeen, lease_function_of
from annexd.annex.steps.context import StepContext, before_the_end, require_settled, translate_aws_errors
from annexd.annex.steps.switch import with_switch_hint
from annexd.aws import Clients, answers
from annexd.workflow import Refused, Results, Retry


@dataclass(frozen=True)
class FleetIntent:
    """The token that identifies the fleet, and the latest time to request it; the order's `config` is the request."""

    client_token: str
    valid_until_s: int
    end_of_lease_s: int
    checked_at_s: float  # when the lease function was last seen to work


@dataclass(frozen=True)
class FleetRequested:
    """The fleet that AWS created."""

    fleet_id: str


class RequestFleet:
    """Requests one fleet by either API; with the journaled client token, repeated requests create only one."""

    name = "request_fleet"
    intent_type = FleetIntent
    shows_late = True
    result_type = FleetRequested

    def __init__(self, context: StepContext) -> None:
        self._context = context

    def plan(self, order: FleetOrder, results: Results) -> FleetIntent:
        checked_at_s = results.of(LeaseFunctionSeen).checked_at_s
        return FleetIntent(order.client_token, order.valid_until_s, order.end_of_lease_s, checked_at_s)

    def forward(self, order: FleetOrder, intent: FleetIntent) -> FleetRequested:
        before_the_end(self._context, intent.end_of_lease_s)
        clients = self._context.access(order.target)
        if self._context.now_s() >= intent.valid_until_s:
            return _found_late(clients.ec2, intent.client_token, kind_of_api(order.api))
        self._check_again(order, intent, clients)
        with with_switch_hint(order.api):
            return FleetRequested(_requested(clients.ec2, order))

    def _check_again(self, order: FleetOrder, intent: FleetIntent, clients: Clients) -> None:
        """Check that the lease function has worked within the last minute before anything is billed."""
        begun_s = self._context.now_s()
        if 0 <= begun_s - intent.checked_at_s <= CHECK_AGAIN_S:
            return
        lease_function_of(self._context, order.target, clients)
        looked_s = self._context.now_s() - begun_s
        if not 0 <= looked_s <= CHECK_AGAIN_S:
            raise Retry(f"the check of the lease function took {looked_s:.0f} s: it may be closed now", untouched=True)

    def backward(self, order: FleetOrder, intent: FleetIntent, asked_at_s: float) -> None:
        """End every fleet with this token, until no fleet and no instance is left.

        EC2's list may lack a new fleet for a while.
        """
        ec2, kind = self._context.access(order.target).ec2, kind_of_api(order.api)
        fleets = fleets_with_token(ec2, intent.client_token, kind)
        if not fleets:
            require_settled(self._context, asked_at_s, f"the {kind.name} with this token")
            return
        for fleet in fleets:
            end_fleet(ec2, fleet.fleet_id, fleet.state)
            if fleet.state not in OVER and self._context.now_s() < intent.valid_until_s + self._context.settle_s:
                raise Retry(f"{fleet.fleet_id} is {fleet.state}: AWS may not show yet what it launched last")


def kind_of_api(api: str) -> FleetKind:
    return EC2_FLEET_KIND if api == EC2_FLEET else SPOT_FLEET_KIND


def _requested(ec2: Any, order: FleetOrder) -> str:
    """Request the fleet, and return its ID."""
    if order.api == EC2_FLEET:
        with translate_aws_errors("CreateFleet"):
            return answers.text(ec2.create_fleet(**order.config), "FleetId")
    with translate_aws_errors("RequestSpotFleet", IamFleetRole=order.config.get("IamFleetRole")):
        answer = ec2.request_spot_fleet(SpotFleetRequestConfig=order.config)
        return answers.text(answer, "SpotFleetRequestId")


def _found_late(ec2: Any, token: str, kind: FleetKind) -> FleetRequested:
    """Find the fleet of an earlier request, after an outage so long that AWS would not accept the request again."""
    for fleet in fleets_with_token(ec2, token, kind):
        return FleetRequested(fleet.fleet_id)
    raise Refused("annexd could not request the instances within the provisioning delay", untouched=True)
