"""AWS's service model decides what a Spot Fleet request may hold, and all of it is passed on."""

from collections.abc import Set
from typing import Any

import pytest

from annexd.annex.request.defaults import Defaults
from annexd.annex.request.request import BulkRequest
from annexd.annex.request.shapes import config_shape
from annexd.annex.request.spot_fleet import checked_config
from test.annex.ads import NOW_S, bulk_request_ad
from test.annex.samples import sample_of

CHANGED = {"ValidFrom", "ValidUntil", "ClientToken", "TerminateInstancesWithExpiration"}
COUNTED = {"FulfilledCapacity", "OnDemandFulfilledCapacity"}  # by AWS: "You cannot set this value"
NEVER = {  # by the model's own documentation
    "InstanceNetworkInterfaceSpecification.NetworkInterfaceId",
    "EbsBlockDevice.AvailabilityZone",
    "EbsBlockDevice.AvailabilityZoneId",
}
ONE = {
    "SpotFleetLaunchSpecification.InstanceType",
    "SpotFleetLaunchSpecification.SecurityGroups",
    "SpotFleetLaunchSpecification.SubnetId",
    "LaunchTemplateOverrides.InstanceType",
    "FleetLaunchTemplateSpecification.LaunchTemplateId",
    "SpotPlacement.AvailabilityZone",
    "LaunchTemplateOverrides.AvailabilityZone",
    "IamInstanceProfileSpecification.Name",
}
OTHER = {
    "SpotFleetLaunchSpecification.InstanceRequirements",
    "SpotFleetLaunchSpecification.NetworkInterfaces",
    "LaunchTemplateOverrides.InstanceRequirements",
    "FleetLaunchTemplateSpecification.LaunchTemplateName",
    "SpotPlacement.AvailabilityZoneId",
    "LaunchTemplateOverrides.AvailabilityZoneId",
    "IamInstanceProfileSpecification.Arn",
}
CONFIG = "SpotFleetRequestConfigData"
SPECIFICATIONS, TEMPLATES = "LaunchSpecifications", "LaunchTemplateConfigs"
WAYS = {
    SPECIFICATIONS: {f"{CONFIG}.{TEMPLATES}", f"{CONFIG}.OnDemandTargetCapacity"},
    TEMPLATES: {f"{CONFIG}.{SPECIFICATIONS}"},
}
CASES = [(way, others | without) for way, others in WAYS.items() for without in (ONE, OTHER)]


def everything(without: Set[str] = frozenset()) -> dict[str, Any]:
    sample: dict[str, Any] = sample_of(config_shape(), without | NEVER)
    return sample


@pytest.mark.parametrize(("way", "without"), CASES)
def test_every_field_of_the_model_reaches_the_order_unchanged(way: str, without: set[str]) -> None:
    fleet = everything(without)
    ad = {**bulk_request_ad(LaunchSpecifications=None), **fleet}
    config = BulkRequest.from_ad(ad, NOW_S, Defaults()).config
    assert way in config
    for name in set(fleet) - CHANGED - COUNTED:
        assert config[name] == fleet[name], name
    assert set(config) == (set(fleet) | {"ValidUntil"}) - {"ValidFrom", "ClientToken"} - COUNTED


def test_these_are_all_the_fields_that_the_model_has() -> None:
    """Each field is in one of the cases above, except those that AWS's documentation forbids."""
    tried = set[str]().union(*({path for path, _, _ in _leaves(everything(without), "")} for _, without in CASES))
    known = {path for path, _, _ in _leaves(everything(), "")}
    assert known - tried == set()


def test_every_field_is_found_in_any_case() -> None:
    faults: list[str] = []
    assert checked_config(_lower(everything()), faults) == everything()
    assert faults == []


def _lower(value: Any) -> Any:
    if isinstance(value, dict):
        return {name.lower(): _lower(item) for name, item in value.items()}
    return [_lower(item) for item in value] if isinstance(value, list) else value


def test_a_field_of_the_wrong_type_is_reported_by_its_path() -> None:
    for path, holder, name in _leaves(everything(), ""):
        whole = holder[name]
        holder[name] = {"wrong": 1}
        faults: list[str] = []
        checked_config(_EVERYTHING[0], faults)
        holder[name] = whole
        assert any(fault.startswith(f"{path} must be ") for fault in faults), path


_EVERYTHING: list[dict[str, Any]] = []


def _leaves(value: dict[str, Any], path: str) -> list[tuple[str, Any, Any]]:
    if not path:
        _EVERYTHING[:] = [value]
    found: list[tuple[str, Any, Any]] = []
    for name, item in value.items():
        inner = item[0] if isinstance(item, list) else item
        here = f"{path}{name}"
        if isinstance(inner, dict):
            found += _leaves(inner, f"{here}[0]." if isinstance(item, list) else f"{here}.")
        elif isinstance(item, list):
            found.append((f"{here}[0]", item, 0))
        else:
            found.append((here, value, name))
    return found
