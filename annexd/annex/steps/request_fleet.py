"""Step 3: the fleet, with its lease in its token: the only thing that costs money, and so the last to be made and the
first to be undone.

An answer that was lost is got by sending the same request with the same token.  Undo finds the fleet by that token,
as a whole and over all pages, ends it with its instances, and looks again until they are gone.
"""

from dataclasses import dataclass
from typing import Any

from annexd.annex.fleet.inventory import end_fleet, fleets_with_token
from annexd.annex.fleet.kinds import OVER
from annexd.annex.request.order import FleetOrder
from annexd.annex.steps.check_lease_function import CHECK_AGAIN_S, LeaseFunctionSeen, lease_function_of
from annexd.annex.steps.context import StepContext, before_the_end, require_settled, translate_aws_errors
from annexd.aws import Clients, answers
from annexd.workflow import Refused, Results, Retry


@dataclass(frozen=True)
class FleetIntent:
    """The token that identifies the fleet, and the latest time to request it; the order's `config` is the request."""

    client_token: str
    valid_until_s: int
    end_of_lease_s: int
    checked_at_s: float  # when the lease function was seen at work


@dataclass(frozen=True)
class FleetRequested:
    """The fleet that AWS created."""

    fleet_id: str


class RequestFleet:
    """One Spot Fleet request, which the journaled client token makes one however often it is sent."""

    name = "request_fleet"
    intent_type = FleetIntent
    shows_late = True
    result_type = FleetRequested

    def __init__(self, world: StepContext) -> None:
        self._world = world

    def plan(self, order: FleetOrder, results: Results) -> FleetIntent:
        checked_at_s = results.of(LeaseFunctionSeen).checked_at_s
        return FleetIntent(order.client_token, order.valid_until_s, order.end_of_lease_s, checked_at_s)

    def forward(self, order: FleetOrder, intent: FleetIntent) -> FleetRequested:
        before_the_end(self._world, intent.end_of_lease_s)
        clients = self._world.access(order.target)
        if self._world.now_s() >= intent.valid_until_s:
            return _found_late(clients.ec2, intent.client_token)
        self._check_again(order, intent, clients)
        with translate_aws_errors("RequestSpotFleet", IamFleetRole=order.config.get("IamFleetRole")):
            answer = clients.ec2.request_spot_fleet(SpotFleetRequestConfig=order.config)
            return FleetRequested(answers.text(answer, "SpotFleetRequestId"))

    def _check_again(self, order: FleetOrder, intent: FleetIntent, clients: Clients) -> None:
        """Check that the lease function has worked within the last minute before anything is billed."""
        begun_s = self._world.now_s()
        if 0 <= begun_s - intent.checked_at_s <= CHECK_AGAIN_S:
            return
        lease_function_of(self._world, order.target, clients)
        looked_s = self._world.now_s() - begun_s
        if not 0 <= looked_s <= CHECK_AGAIN_S:
            raise Retry(f"the look at the lease function took {looked_s:.0f} s: it may be closed now", untouched=True)

    def backward(self, order: FleetOrder, intent: FleetIntent, asked_at_s: float) -> None:
        """End every fleet with this token, until no fleet and no instance is left.

        EC2's list may leave out for a while what RequestSpotFleet has just answered with.
        """
        ec2 = self._world.access(order.target).ec2
        fleets = fleets_with_token(ec2, intent.client_token)
        if not fleets:
            require_settled(self._world, asked_at_s, "a Spot Fleet request with this token")
            return
        for fleet in fleets:
            end_fleet(ec2, fleet.fleet_id, fleet.state)
            if fleet.state not in OVER and self._world.now_s() < intent.valid_until_s + self._world.settle_s:
                raise Retry(f"{fleet.fleet_id} is {fleet.state}: what it launched last may not be told of yet")


def _found_late(ec2: Any, token: str) -> FleetRequested:
    """annexd was away for so long that AWS would not take the request again: was it made before?"""
    for fleet in fleets_with_token(ec2, token):
        return FleetRequested(fleet.fleet_id)
    raise Refused("annexd could not ask for the instances within the provisioning delay", untouched=True)
