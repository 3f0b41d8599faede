"""The number of instances that AWS has room for, by type, zone and market, and the effects of a lack of room.

A pool that no test has limited has room for all.  CERTAIN: a fleet whose pool has no capacity stays active and says so
in its history; a Spot Fleet of type request tries no other pool (EC2 user guide, "Spot Fleet request types"; for an EC2
Fleet see ec2_fleets_ask_elsewhere); AWS takes Spot Instances back when it needs their capacity ("Spot Instance
interruptions").  Which ones it takes is not documented; here it takes the youngest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from test.cloud.instances import Instance

ANY_ZONE = "*"
SPOT, ON_DEMAND = "spot", "on-demand"
INTERRUPTED = "Server.SpotInstanceTermination"  # CERTAIN: botocore's EC2 model, StateReason
Pool = tuple[str, str, str]  # instance type, zone or ANY_ZONE, market


@dataclass(frozen=True)
class Refusal:
    """An instance that was not launched for lack of capacity."""

    at_s: float
    kind: str
    image: str
    zone: str
    is_spot: bool


@dataclass
class Capacity:
    """The pools with limited room."""

    rooms: dict[Pool, int] = field(default_factory=dict)

    def set(self, asked: Mapping[str, int | None]) -> None:
        """Limit pools by "TYPE ZONE MARKET"; the zone may be *, and None removes a limit.  Raises ValueError."""
        for name, room in asked.items():
            kind, zone, market = name.split(" ")
            if market not in (SPOT, ON_DEMAND):
                raise ValueError(f"the market is {SPOT} or {ON_DEMAND}, not {market!r}")
            self.rooms.pop((kind, zone, market), None)
            if room is not None:
                self.rooms[kind, zone, market] = int(room)

    def has_room(self, kind: str, zone: str, is_spot: bool, instances: Iterable[Instance]) -> bool:
        """Return whether one more instance can be launched beside these."""
        pools = [
            pool for pool in ((kind, zone, _market(is_spot)), (kind, ANY_ZONE, _market(is_spot))) if pool in self.rooms
        ]
        return not pools or all(len(_living(pool, instances)) < self.rooms[pool] for pool in pools)

    def taken_back(self, instances: Iterable[Instance]) -> Iterator[Instance]:
        """Yield the Spot Instances that no longer have room, the youngest first."""
        for pool, room in self.rooms.items():
            if pool[2] == SPOT:
                living = sorted(_living(pool, instances), key=lambda each: each.sequence, reverse=True)
                yield from living[: max(0, len(living) - room)]


def _market(is_spot: bool) -> str:
    return SPOT if is_spot else ON_DEMAND


def _living(pool: Pool, instances: Iterable[Instance]) -> list[Instance]:
    kind, zone, market = pool
    return [
        each
        for each in instances
        if each.terminating_at_s is None
        and each.specification.get("InstanceType") == kind
        and zone in (ANY_ZONE, each.zone)
        and _market(each.is_spot) == market
    ]


def in_pools(specification: Mapping[str, Any], zones: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield a specification for each subnet, or else each zone, that it names; `zones` has those of known subnets.

    CERTAIN: "[Spot Fleet only] ... separate them using commas", botocore's EC2 model, for both members.
    """
    whole, placement = dict(specification), specification.get("Placement") or {}
    subnets = _listed(whole.get("SubnetId"))
    named = _listed(placement.get("AvailabilityZone"))
    for subnet in subnets:
        yield {**whole, "SubnetId": subnet, **({"AvailabilityZone": zones[subnet]} if subnet in zones else {})}
    if not subnets and len(named) > 1:
        yield from ({**whole, "Placement": {**placement, "AvailabilityZone": zone}} for zone in named)
    elif not subnets:
        yield whole


def _listed(value: object) -> list[str]:
    return [each.strip() for each in str(value or "").split(",") if each.strip()]
