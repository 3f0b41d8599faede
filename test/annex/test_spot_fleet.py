"""AWS's service model decides what a Spot Fleet request may hold, and all of it is passed on."""

from typing import Any

import pytest

from annexd.annex.defaults import Defaults
from annexd.annex.request import BulkRequest
from annexd.annex.spot_fleet import checked_config, config_shape
from test.annex.ads import NOW_S, bulk_request_ad
from test.annex.samples import sample_of

CHANGED = {"ValidFrom", "ValidUntil", "ClientToken", "TerminateInstancesWithExpiration"}
WAYS = {"LaunchSpecifications", "LaunchTemplateConfigs"}


def everything() -> dict[str, Any]:
    sample: dict[str, Any] = sample_of(config_shape())
    sample["LaunchSpecifications"][0]["UserData"] = "dGV4dA=="
    return sample


@pytest.mark.parametrize("way", sorted(WAYS))
def test_every_field_of_the_model_reaches_the_order_unchanged(way: str) -> None:
    fleet = {name: value for name, value in everything().items() if name not in WAYS - {way}}
    ad = {**bulk_request_ad(LaunchSpecifications=None), **fleet}
    config = BulkRequest.from_ad(ad, NOW_S, Defaults()).config
    for name in set(fleet) - CHANGED:
        assert config[name] == fleet[name], name
    assert set(config) == (set(fleet) | {"ValidUntil"}) - {"ValidFrom", "ClientToken"}


def test_every_field_is_found_in_any_case() -> None:
    faults: list[str] = []
    assert checked_config(_lower(everything()), faults) == everything()
    assert faults == []


def _lower(value: Any) -> Any:
    if isinstance(value, dict):
        return {name.lower(): _lower(item) for name, item in value.items()}
    return [_lower(item) for item in value] if isinstance(value, list) else value


def test_a_field_of_the_wrong_type_is_told_by_its_path_wherever_it_is() -> None:
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
