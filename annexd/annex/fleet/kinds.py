"""The two AWS APIs for fleets, and the names that each uses for the same things.

Spot Fleet (RequestSpotFleet) and EC2 Fleet (CreateFleet) have the same shape: a client token, tags, a window in which
capacity is provisioned, states, an end with or without the instances, a history.  The rest of annexd is independent of
the kind.
Sources: botocore's EC2 model; EC2 user guide, "EC2 Fleet request states" and "Spot Fleet request states".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from annexd.aws import answers

LAUNCHING: Final = frozenset({"submitted", "active", "modifying"})
RUNNING_ON: Final = frozenset({"cancelled_running", "deleted_running"})  # ended, but its instances were not
TERMINATING: Final = frozenset({"cancelled_terminating", "deleted_terminating"})
OVER: Final = frozenset({"cancelled", "deleted", "failed"})  # AWS's own state: all its instances are gone
ENDED: Final = OVER | RUNNING_ON | TERMINATING


@dataclass(frozen=True)
class FleetKind:
    """One API: the operations as AWS names them, botocore's methods, and the members of calls and responses."""

    name: str  # shown to people
    resource: str  # AWS's type of resource, in tags and ARNs
    prefix: str  # of IDs
    instance_tag: str  # on its instances; nobody but AWS can set an aws: tag
    describe: str
    describe_method: str
    ids: str
    listed: str
    own_id: str
    state: str
    request: str  # the member that holds the token and the rest of the request; empty: the fleet itself
    end: str
    end_method: str
    refused: str
    history: str
    history_method: str
    history_id: str

    def request_of(self, seen: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the part of a description with the client token, the validity and the type.  Raises UnknownShape."""
        found: Mapping[str, Any] = answers.value(seen, self.request, dict) if self.request else seen
        return found

    def target_of(self, seen: Mapping[str, Any]) -> object:
        """Return the requested units of capacity."""
        if self.request:
            return self.request_of(seen).get("TargetCapacity")
        wanted = seen.get("TargetCapacitySpecification")
        return wanted.get("TotalTargetCapacity") if isinstance(wanted, Mapping) else None


SPOT_FLEET: Final = FleetKind(
    name="Spot Fleet request",
    resource="spot-fleet-request",
    prefix="sfr-",
    instance_tag="aws:ec2spot:fleet-request-id",
    describe="DescribeSpotFleetRequests",
    describe_method="describe_spot_fleet_requests",
    ids="SpotFleetRequestIds",
    listed="SpotFleetRequestConfigs",
    own_id="SpotFleetRequestId",
    state="SpotFleetRequestState",
    request="SpotFleetRequestConfig",
    end="CancelSpotFleetRequests",
    end_method="cancel_spot_fleet_requests",
    refused="UnsuccessfulFleetRequests",
    history="DescribeSpotFleetRequestHistory",
    history_method="describe_spot_fleet_request_history",
    history_id="SpotFleetRequestId",
)
EC2_FLEET: Final = FleetKind(
    name="EC2 Fleet",
    resource="fleet",
    prefix="fleet-",
    instance_tag="aws:ec2:fleet-id",
    describe="DescribeFleets",
    describe_method="describe_fleets",
    ids="FleetIds",
    listed="Fleets",
    own_id="FleetId",
    state="FleetState",
    request="",
    end="DeleteFleets",
    end_method="delete_fleets",
    refused="UnsuccessfulFleetDeletions",
    history="DescribeFleetHistory",
    history_method="describe_fleet_history",
    history_id="FleetId",
)
KINDS: Final = (SPOT_FLEET, EC2_FLEET)
FLEET_TAGS: Final = [kind.instance_tag for kind in KINDS]


def kind_of(fleet_id: str) -> FleetKind:
    """Return the kind of the fleet with this ID; an ID of neither form is a Spot Fleet request's, which AWS refuses."""
    return next((kind for kind in KINDS if fleet_id.startswith(kind.prefix)), SPOT_FLEET)
