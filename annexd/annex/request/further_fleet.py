"""A further fleet of an annex: the fleet of its order once more, for other units, under the annex's present end.

It is made from exactly what the journal has of the order, so its machines are like those of the first fleet and join
the pool by the same object in S3.  Its own token, and with EC2 Fleet its own launch template, carry its lease.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from annexd.annex.lease.identifiers import leased_token
from annexd.annex.lease.lease import TAG_LEASE_END, utc
from annexd.annex.request.capacity_checks import faults_of_total
from annexd.annex.request.config_members import pools
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.fleet_api import EC2_FLEET
from annexd.annex.request.order import FleetOrder
from annexd.annex.request.template_data import TemplateVersion
from annexd.workflow import Json

CAPACITY: Final = "TargetCapacitySpecification"
WHOLE_PRICES: Final = (  # of a whole fleet, by either API
    ("SpotMaxTotalPrice",),
    ("OnDemandMaxTotalPrice",),
    ("SpotOptions", "MaxTotalPrice"),
    ("OnDemandOptions", "MaxTotalPrice"),
)


def further_fleet(
    order: FleetOrder, versions: Sequence[Mapping[str, Any]], units: int, end_s: int, valid_until_s: int
) -> FleetOrder:
    """Return the order of `units` more until `end_s`.

    `versions`: the versions of the launch template of the annex's EC2 Fleet, with the user's own templates as they were
    read then.
    """
    token = leased_token(order.annex_id, end_s)
    config = _moved(order.config, order.client_token, token, end_s)
    whole = {**config, "ClientToken": token, "ValidUntil": utc(valid_until_s), **_capacity(order, units)}
    read = zip(order.versions, versions, strict=True)
    copies = [TemplateVersion(each.where, _moved(data, order.client_token, token, end_s)) for each, data in read]
    return replace(
        order,
        end_of_lease_s=end_s,
        valid_until_s=valid_until_s,
        client_token=token,
        config=whole,
        versions=tuple(copies),
        notes=(),
    )


def faults_of_size(order: FleetOrder, units: int, defaults: Defaults) -> Iterator[str]:
    """Yield the faults of this total number of units, for an annex of this order."""
    yield from faults_of_total(order.config, units, defaults.max_target_capacity, "-resize")
    for path in WHOLE_PRICES:
        if _at(order.config, path) is not None:
            name = ".".join(path)
            yield f"{name} bounds the price of the whole annex, and a further fleet would double it: order a second one"


def weights_of(order: FleetOrder) -> Mapping[str, float] | None:
    """Return how many units a machine of each instance type counts; types that are not in it count one.

    None if the type does not determine it: the order counts other units, or has two weights for one type or for no
    type.
    """
    whole = order.config.get(CAPACITY) or order.config
    if whole.get("TargetCapacityUnitType", "units") != "units":
        return None
    found: dict[str, float] = {}
    for _, pool in pools(order.config):
        weight = float(pool.get("WeightedCapacity") or 1)
        name = pool.get("InstanceType")
        if (name is None and weight != 1) or found.setdefault(str(name), weight) != weight:
            return None
    return found


def _capacity(order: FleetOrder, units: int) -> Json:
    """Return the members of the request that set the capacity; On-Demand and Spot in the order's proportions."""
    if order.api == EC2_FLEET:
        before = order.config[CAPACITY]
        return {CAPACITY: {**before, **_parts(before, "TotalTargetCapacity", units)}}
    return _parts(order.config, "TargetCapacity", units)


def _parts(before: Mapping[str, Any], total: str, units: int) -> Json:
    found: Json = {total: units}
    on_demand = before.get("OnDemandTargetCapacity")
    if on_demand is not None:
        found["OnDemandTargetCapacity"] = round(units * on_demand / before[total])
    if (spot := before.get("SpotTargetCapacity")) is not None:
        is_split = on_demand is not None
        found["SpotTargetCapacity"] = (
            units - found["OnDemandTargetCapacity"] if is_split else round(units * spot / before[total])
        )
    return found


def _moved(value: Any, old_token: str, token: str, end_s: int) -> Any:
    """Return a part of the request with the new token and end."""
    if isinstance(value, Mapping):
        if value.get("Key") == TAG_LEASE_END:
            return {**value, "Value": utc(end_s)}
        return {name: _moved(each, old_token, token, end_s) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_moved(each, old_token, token, end_s) for each in value]
    return token if value == old_token else value


def _at(config: Any, path: Sequence[str]) -> Any:
    for name in path:
        config = config.get(name) if isinstance(config, Mapping) else None
    return config
