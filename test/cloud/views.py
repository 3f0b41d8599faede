"""Fleets and instances as EC2 shows them, in the shapes of the service model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from moto.iam.models import iam_backends

from test.cloud.fleet_troubles import activity
from test.cloud.fleets import Fleet, Fleets
from test.cloud.instances import STATE_CODES, Instance
from test.cloud.whole_instances import REQUESTER, whole, without_network

ACCOUNT = "123456789012"  # moto's
TIMES = ("ValidFrom", "ValidUntil")


def moment(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None)


DEFAULTS = {  # AWS's values for omitted members of a request.  CERTAIN: test/cloud/recordings/fleets.json
    "AllocationStrategy": "lowestPrice",
    "OnDemandAllocationStrategy": "lowestPrice",
    "ExcessCapacityTerminationPolicy": "Default",
    "Type": "maintain",
    "OnDemandTargetCapacity": 0,
    "ReplaceUnhealthyInstances": False,
    "InstanceInterruptionBehavior": "terminate",
}


def fleet_view(fleet: Fleet, now_s: float) -> dict[str, Any]:
    """Return a fleet, without empty Tags or ActivityStatus; its tags are shown only as Tags."""
    times = {name: moment(fleet.config[name]) for name in TIMES if name in fleet.config}
    asked = {key: value for key, value in fleet.config.items() if key != "TagSpecifications"}
    own = {
        "SpotFleetRequestId": fleet.fleet_id,
        "SpotFleetRequestState": fleet.state(now_s),
        "ActivityStatus": activity(fleet, now_s),
        "CreateTime": moment(fleet.created_at_s),
        "SpotFleetRequestConfig": {
            **DEFAULTS,
            **asked,
            **times,
            "TargetCapacity": int(fleet.target),
            "FulfilledCapacity": fleet.fulfilled(),
            "OnDemandFulfilledCapacity": fleet.fulfilled_on_demand(),
        },
        "Tags": [{"Key": key, "Value": value} for key, value in fleet.tags.at(now_s).items()],
    }
    return {key: value for key, value in own.items() if value}


def tag_views(fleets: Fleets, now_s: float) -> Iterator[dict[str, str]]:
    """Yield the tags of all fleets, launch templates and visible instances, as DescribeTags shows them."""
    for fleet in fleets.fleets.values():
        yield from _tag_views(fleet.api.resource, fleet.fleet_id, fleet.tags.at(now_s))
    for template in fleets.templates.known(0.0):
        yield from _tag_views("launch-template", template.template_id, template.tags.at(now_s))
    for instance in fleets.instances.values():
        if instance.is_visible(now_s):
            yield from _tag_views("instance", instance.instance_id, instance.tags.at(now_s))


def _tag_views(kind: str, resource_id: str, tags: Mapping[str, str]) -> Iterator[dict[str, str]]:
    for key, value in tags.items():
        yield {"ResourceId": resource_id, "ResourceType": kind, "Key": key, "Value": value}


def tag_view_of_moto(tag: Mapping[str, str]) -> dict[str, str]:
    return {
        "ResourceId": tag["resource_id"],
        "ResourceType": tag["resource_type"],
        "Key": tag["key"],
        "Value": tag["value"],
    }


def active_instance_view(instance: Instance) -> dict[str, Any]:
    return {
        "InstanceId": instance.instance_id,
        "InstanceType": instance.specification.get("InstanceType"),
        **({"SpotInstanceRequestId": instance.spot_request_id} if instance.is_spot else {}),
        "InstanceHealth": "healthy",
    }


def cancelled_view(fleet_id: str, before: str, after: str) -> dict[str, str]:
    return {
        "SpotFleetRequestId": fleet_id,
        "PreviousSpotFleetRequestState": before,
        "CurrentSpotFleetRequestState": after,
    }


def cancel_error_view(fleet_id: str, code: str) -> dict[str, Any]:
    error = {"Code": code, "Message": f"Spot Fleet request {fleet_id}: {code}"}
    return {"SpotFleetRequestId": fleet_id, "Error": error}


def _state_view(state: str) -> dict[str, Any]:
    return {"Code": STATE_CODES[state], "Name": state}


def terminating_view(instance: Instance, before: str, now_s: float) -> dict[str, Any]:
    return {
        "InstanceId": instance.instance_id,
        "PreviousState": _state_view(before),
        "CurrentState": _state_view(instance.state(now_s)),
    }


def status_view(instance: Instance, now_s: float) -> dict[str, Any]:
    return {
        "InstanceId": instance.instance_id,
        "AvailabilityZone": instance.zone,
        "InstanceState": _state_view(instance.state(now_s)),
        "InstanceStatus": {"Status": "ok"},
        "SystemStatus": {"Status": "ok"},
    }


def _transition(instance: Instance, is_timed: bool) -> str:
    """Return the StateTransitionReason of an instance that AWS ended: with the time, or only AWS's code.

    Both have been observed (evidence.toml).
    """
    at = datetime.fromtimestamp(instance.terminating_at_s or 0.0, UTC)
    return f"Service initiated ({at:%Y-%m-%d %H:%M:%S} GMT)" if is_timed else instance.reason


def reservation_view(instance: Instance, now_s: float, is_whole: bool = False, is_timed: bool = True) -> dict[str, Any]:
    """Return an instance's reservation: each Spot Instance of a fleet has its own, requested by Spot Fleet."""
    view = _instance_view(instance, now_s, is_timed)
    return {
        "ReservationId": f"r-{instance.sequence:017x}",
        "OwnerId": ACCOUNT,
        "RequesterId": REQUESTER,
        "Groups": [],
        "Instances": [whole(view) if is_whole else view],
    }


def _instance_view(instance: Instance, now_s: float, is_timed: bool) -> dict[str, Any]:
    spec = instance.specification
    view: dict[str, Any] = {
        "InstanceId": instance.instance_id,
        "ImageId": spec.get("ImageId"),
        "InstanceType": spec.get("InstanceType"),
        "State": _state_view(instance.state(now_s)),
        "LaunchTime": moment(instance.launched_at_s),
        "Placement": {"AvailabilityZone": instance.zone, "Tenancy": "default"},
        "PrivateIpAddress": instance.private_ip(),
        "SubnetId": spec.get("SubnetId"),
        "KeyName": spec.get("KeyName"),
        "PlatformDetails": "Linux/UNIX",
        "InstanceLifecycle": "spot" if instance.is_spot else None,
        "SpotInstanceRequestId": instance.spot_request_id if instance.is_spot else None,
        "SecurityGroups": spec.get("SecurityGroups"),
        "IamInstanceProfile": _profile_view(spec.get("IamInstanceProfile")),
        "Tags": [{"Key": key, "Value": value} for key, value in instance.tags.at(now_s).items()] or None,
    }
    if view["State"]["Name"] in {"shutting-down", "terminated"}:
        view["StateReason"] = {"Code": instance.reason, "Message": instance.reason}
        if instance.reason.startswith("Server."):
            view["StateTransitionReason"] = _transition(instance, is_timed)
    response = {name: value for name, value in view.items() if value is not None}
    return without_network(response) if view["State"]["Name"] == "terminated" else response


def _profile_view(profile: Any) -> dict[str, str] | None:
    if not profile:
        return None
    return {"Arn": profile_arn(profile)}


def profile_arn(profile: Mapping[str, str]) -> str:
    """Return a profile's ARN with its path, even if it was named without (github.com/floci-io/floci/issues/3855)."""
    name = profile.get("Name")
    known = iam_backends[ACCOUNT]["aws"].instance_profiles.values()
    found = next((each.arn for each in known if each.name == name), None)
    return str(profile.get("Arn") or found or f"arn:aws:iam::{ACCOUNT}:instance-profile/{name}")
