"""EC2 Fleets as EC2 shows them: FleetData and the response to DeleteFleets, by the service model."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from test.cloud.fleet_troubles import NO_SPOT, TROUBLES, activity
from test.cloud.fleets import Fleet
from test.cloud.instances import Instance
from test.cloud.specifications import TEMPLATE
from test.cloud.views import moment

KEPT = (
    "Context",
    "ExcessCapacityTerminationPolicy",
    "OnDemandOptions",
    "ReplaceUnhealthyInstances",
    "SpotOptions",
    "TargetCapacitySpecification",
)
OVERRIDES = ("InstanceType", "SubnetId", "AvailabilityZone", "WeightedCapacity", "Priority")


def fleet_view(fleet: Fleet, now_s: float) -> dict[str, Any]:
    """Return FleetData, for type instant with its instances and errors.

    CERTAIN: "Valid only when Type is set to instant".
    """
    config = fleet.config
    times = {name: moment(config[name]) for name in ("ValidFrom", "ValidUntil") if config.get(name) is not None}
    token = {"ClientToken": fleet.client_token} if fleet.client_token else {}
    status = activity(fleet, now_s)
    wanted = {**config["TargetCapacitySpecification"], "TotalTargetCapacity": int(fleet.target)}
    return {
        **{name: config[name] for name in KEPT if name in config},
        **token,
        **times,
        "FleetId": fleet.fleet_id,
        "FleetState": fleet.state(now_s),
        **({"ActivityStatus": status} if status else {}),
        "CreateTime": moment(fleet.created_at_s),
        "FulfilledCapacity": fleet.fulfilled(),
        "FulfilledOnDemandCapacity": fleet.fulfilled_on_demand(),
        "LaunchTemplateConfigs": config["LaunchTemplateConfigs"],
        "TargetCapacitySpecification": wanted,
        "TerminateInstancesWithExpiration": fleet.order.terminates_at_expiry,
        "Type": fleet.order.kind,
        "Tags": [{"Key": key, "Value": value} for key, value in fleet.tags.at(now_s).items()],
        **(of_instant(fleet) if fleet.order.kind == "instant" else {}),
    }


def of_instant(fleet: Fleet) -> dict[str, Any]:
    """Return what was launched, one entry for each pool, and the errors for the rest."""
    pools: defaultdict[tuple[str, bool], list[Instance]] = defaultdict(list)
    for each in fleet.instances:
        pools[str(each.specification.get("InstanceType")), each.is_spot].append(each)
    response = [
        {
            "LaunchTemplateAndOverrides": _made_of(each[0].specification),
            "Lifecycle": "spot" if is_spot else "on-demand",
            "InstanceIds": [one.instance_id for one in each],
            "InstanceType": kind,
        }
        for (kind, is_spot), each in pools.items()
    ]
    return {"Instances": response, "Errors": _errors(fleet)}


def _errors(fleet: Fleet) -> list[dict[str, Any]]:
    """Return an error for each specification if capacity is missing.

    The codes are LIKELY: those that github.com/aws/karpenter-provider-aws, pkg/errors, expects.
    """
    if fleet.fulfilled() >= fleet.target:
        return []
    code = {"quota": "MaxSpotInstanceCountExceeded", "control-policy": "UnauthorizedOperation"}.get(
        fleet.trouble, "InsufficientInstanceCapacity"
    )
    message = next((text for _, _, text in TROUBLES[fleet.trouble].events if text), NO_SPOT)
    return [
        {
            "LaunchTemplateAndOverrides": _made_of(each),
            "Lifecycle": "spot",
            "ErrorCode": code,
            "ErrorMessage": message,
        }
        for each in fleet.specifications
    ]


def _made_of(specification: Any) -> dict[str, Any]:
    overrides = {name: specification[name] for name in OVERRIDES if name in specification}
    return {"LaunchTemplateSpecification": specification[TEMPLATE], "Overrides": overrides}


def deleted_view(fleet_id: str, before: str, after: str) -> dict[str, str]:
    return {"FleetId": fleet_id, "PreviousFleetState": before, "CurrentFleetState": after}


def not_deleted_view(fleet_id: str, code: str, message: str) -> dict[str, Any]:
    return {"FleetId": fleet_id, "Error": {"Code": code, "Message": message}}
