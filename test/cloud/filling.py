"""Fill a fleet's capacity: launch its instances, and refuse those that AWS has no room for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from test.cloud.capacity import Refusal
from test.cloud.fleet_order import EC2_FLEET
from test.cloud.fleet_troubles import TROUBLES
from test.cloud.instances import Instance
from test.cloud.launch import choose, weight_of
from test.cloud.specifications import TEMPLATE

if TYPE_CHECKING:
    from test.cloud.fleets import Fleet, Fleets

Specification = Mapping[str, Any]


def fill(fleets: Fleets, fleet: Fleet, now_s: float) -> list[Instance]:
    """Launch what the fleet is short of, On-Demand first, then Spot; return the new instances.

    Refused instances are tried again later.  CERTAIN: "It will not be retried for at least 13 minutes"
    (recorded: test.cloud.fleet_troubles).
    """
    fleet.is_short, before = False, len(fleet.refusals)
    order, trouble = fleet.order, TROUBLES[fleet.trouble]
    most = trouble.starts if fleet.trouble else None
    on_demand = min(order.on_demand, fleet.target) - fleet.fulfilled_on_demand()
    known = [each for each in fleet.specifications if _has_template(fleets, each)]
    plain = _launched(fleets, fleet, known, order.plain_strategy, on_demand, now_s, is_spot=False)
    new = list(itertools.islice(plain, most))
    missing, left = fleet.target - fleet.fulfilled(), None if most is None else most - len(new)
    missing -= max(0.0, on_demand - sum(each.weight for each in new))  # the share of the missing On-Demand instances
    sold = [each for each in known if fleets.market.sells(each, fleets.zone_of(each), now_s)]
    spot = _launched(fleets, fleet, sold, order.strategy, missing, now_s, is_spot=True)
    new += list(itertools.islice(spot, left))
    if len(fleet.refusals) > before:
        fleet.is_short, fleet.retry_at_s = True, now_s + fleet.behaviour.capacity_retry_s
    return new


def _has_template(fleets: Fleets, specification: Specification) -> bool:
    """Return whether the launch template still exists.  LIKELY: without it nothing can be launched."""
    template_id = (specification.get(TEMPLATE) or {}).get("LaunchTemplateId")
    return template_id is None or fleets.templates.by_id(template_id) is not None


def _launched(
    fleets: Fleets,
    fleet: Fleet,
    among: Sequence[Specification],
    strategy: str,
    units: float,
    now_s: float,
    *,
    is_spot: bool,
) -> Iterator[Instance]:
    """Yield each instance as it is launched.

    CERTAIN: a Spot Fleet of type request tries no other pool in place of one without capacity: its share is missing.
    """
    left = list(among)
    while left and units > 0:
        for spec in choose(left, strategy, units):
            units -= weight_of(spec)
            if _has_room(fleets, spec, is_spot):
                yield fleets.launch(fleet, spec, now_s, is_spot)
                continue
            _refuse(fleets, fleet, spec, now_s, is_spot)
            if _tries_elsewhere(fleet):
                units += weight_of(spec)
                left.remove(spec)
                break
        else:
            return


def _tries_elsewhere(fleet: Fleet) -> bool:
    return fleet.order.maintains or (fleet.api is EC2_FLEET and fleet.behaviour.ec2_fleets_ask_elsewhere)


def _has_room(fleets: Fleets, spec: Specification, is_spot: bool) -> bool:
    kind, capacity = str(spec.get("InstanceType")), fleets.capacity
    return not capacity.rooms or capacity.has_room(kind, fleets.zone_of(spec), is_spot, fleets.instances.values())


def _refuse(fleets: Fleets, fleet: Fleet, spec: Specification, now_s: float, is_spot: bool) -> None:
    refusal = Refusal(now_s, str(spec.get("InstanceType")), str(spec.get("ImageId")), fleets.zone_of(spec), is_spot)
    if refusal not in fleet.refusals:
        fleet.refusals.append(refusal)
        fleets.effect("capacity refused", fleet=fleet.fleet_id, type=refusal.kind, zone=refusal.zone, spot=is_spot)
