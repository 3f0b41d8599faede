"""Step 5: the fleet, the only thing that costs money, and so the last to be made and the first to be
undone.

An answer that was lost is got by sending the same request with the same token.  Undo finds the fleet by
that token, as a whole and over all pages, ends it with its instances, and looks again until they are
gone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from annexd.annex.steps.asking import World, asking, before_the_end, settled
from annexd.aws import answers
from annexd.aws.errors import MAX_CODE, MAX_MESSAGE, is_cancelled_already
from annexd.workflow import Json, Refused, Retry

ENDED: Final = frozenset({"cancelled", "cancelled_running", "cancelled_terminating", "failed"})  # BatchState
OVER: Final = frozenset({"cancelled", "failed"})  # AWS's own word for that all its instances are gone
GONE: Final = frozenset({"terminated"})  # InstanceStateName
ENDING: Final = "shutting-down"
BATCH: Final = 500  # instances in one call


class RequestSpotFleet:
    """One Spot Fleet request, which the journaled client token makes one however often it is sent."""

    name = "request_spot_fleet"

    def __init__(self, world: World) -> None:
        self._world = world

    def plan(self, order: Json, results: Mapping[str, Json]) -> Json:  # noqa: ARG002
        """{client_token, valid_until_s, end_of_lease_s}; the request itself is the order's `config`."""
        return {name: order[name] for name in ("client_token", "valid_until_s", "end_of_lease_s")}

    def forward(self, order: Json, intent: Json) -> Json:
        """{spot_fleet_request_id}"""
        before_the_end(self._world, intent["end_of_lease_s"])
        ec2 = self._world.access(order).ec2
        if self._world.now_s() >= intent["valid_until_s"]:
            return _found_late(ec2, intent["client_token"])
        with asking("RequestSpotFleet"):
            answer = ec2.request_spot_fleet(SpotFleetRequestConfig=order["config"])
            return {"spot_fleet_request_id": answers.text(answer, "SpotFleetRequestId")}

    def backward(self, order: Json, intent: Json, asked_at_s: float) -> None:
        """End every fleet with this token, until neither it nor an instance of it is left."""
        ec2 = self._world.access(order).ec2
        fleets = _fleets(ec2, intent["client_token"])
        if not fleets:
            settled(self._world, asked_at_s, "a Spot Fleet request with this token")
            return
        for fleet in fleets:
            fleet_id, state = fleet.fleet_id, fleet.state
            _end(ec2, fleet_id, state)
            if state not in OVER and self._world.now_s() < intent.get("valid_until_s", 0.0) + self._world.settle_s:
                raise Retry(f"{fleet_id} is {state}: what it launched last may not be told of yet")


def _found_late(ec2: Any, token: str) -> Json:
    """annexd was away for so long that AWS would not take the request again: was it made before?"""
    for fleet in _fleets(ec2, token):
        return {"spot_fleet_request_id": fleet.fleet_id}
    raise Refused("annexd could not ask for the instances within the provisioning delay", untouched=True)


@dataclass(frozen=True)
class _Fleet:
    fleet_id: str
    state: str


def _fleets(ec2: Any, token: str) -> list[_Fleet]:
    with asking("DescribeSpotFleetRequests"):
        return [
            _Fleet(answers.text(fleet, "SpotFleetRequestId"), answers.text(fleet, "SpotFleetRequestState"))
            for fleet in answers.listed(ec2, "describe_spot_fleet_requests", "SpotFleetRequestConfigs")
            if answers.value(fleet, "SpotFleetRequestConfig", dict).get("ClientToken") == token
        ]


def _end(ec2: Any, fleet_id: str, state: str) -> None:
    """Return when a fleet was seen ended first, and then without instances.  Raises Retry until then."""
    if state not in ENDED:
        _cancel(ec2, fleet_id)
        raise Retry(f"{fleet_id} was cancelled, it is looked at again")
    left = {instance: its_state for instance, its_state in _instances(ec2, fleet_id) if its_state not in GONE}
    running = [instance for instance, its_state in left.items() if its_state != ENDING]
    if running:  # cancelled by somebody else without ending its instances, or launched in that moment
        _terminate(ec2, running)
    if left:
        raise Retry(f"{fleet_id} still has {len(left)} instances, the first is {next(iter(left))}")


def _cancel(ec2: Any, fleet_id: str) -> None:
    with asking(f"CancelSpotFleetRequests {fleet_id}"):
        answer = ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet_id], TerminateInstances=True)
        refusals = [refusal.get("Error", {}) for refusal in answer.get("UnsuccessfulFleetRequests") or ()]
    for error in refusals:
        code, message = str(error.get("Code", ""))[:MAX_CODE], str(error.get("Message"))[:MAX_MESSAGE]
        if not is_cancelled_already(code):
            raise Retry(f"{fleet_id} could not be cancelled ({code}): {message}")


def _terminate(ec2: Any, instances: list[str]) -> None:
    with asking("TerminateInstances"):
        for first in range(0, len(instances), BATCH):
            ec2.terminate_instances(InstanceIds=instances[first : first + BATCH])


def _instances(ec2: Any, fleet_id: str) -> list[tuple[str, str]]:
    """ID and state of all its instances; AWS puts this tag on them when it launches them."""
    filters = [{"Name": "tag:aws:ec2spot:fleet-request-id", "Values": [fleet_id]}]
    with asking("DescribeInstances"):
        return [
            (answers.text(instance, "InstanceId"), answers.text(instance.get("State"), "Name"))
            for reservation in answers.listed(ec2, "describe_instances", "Reservations", Filters=filters)
            for instance in answers.rows(reservation, "Instances")
        ]
