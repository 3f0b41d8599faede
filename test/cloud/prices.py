"""The costs of instances: Spot prices that change over time, On-Demand prices, volumes and public addresses.

Nothing has a price until a test sets one.  Instances without a price are counted; they never count as free.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from test.cloud.instances import Instance

HOUR_S, MONTH_H = 3600.0, 730.0
LEAST_S = 60.0  # least time billed per instance.  CERTAIN: EC2 pricing page, "per second with a minimum of 60 seconds"
ANY_ZONE = "*"


@dataclass(frozen=True)
class Change:
    """A Spot price and the time from which it applies."""

    at_s: float
    price: float  # dollars per hour


@dataclass
class Market:
    """Prices of a region, in dollars: per hour, Spot by type and zone, On-Demand by type; volumes per GB and month."""

    spot: dict[tuple[str, str], list[Change]] = field(default_factory=dict)
    on_demand: dict[str, float] = field(default_factory=dict)
    gb_month: float = 0.0
    address_hour: float = 0.0

    def set(self, asked: Mapping[str, Any], now_s: float) -> None:
        """Set prices; `spot` has pairs by "TYPE" or "TYPE ZONE": seconds from now (may be negative), new price."""
        for name, changes in (asked.get("spot") or {}).items():
            kind, _, zone = name.partition(" ")
            self.spot[kind, zone or ANY_ZONE] = sorted(
                (Change(now_s + after_s, float(price)) for after_s, price in changes), key=lambda each: each.at_s
            )
        self.on_demand.update({name: float(price) for name, price in (asked.get("on_demand") or {}).items()})
        self.gb_month = float(asked.get("gb_month", self.gb_month))
        self.address_hour = float(asked.get("address_hour", self.address_hour))

    def clear(self) -> None:
        self.spot.clear()
        self.on_demand.clear()
        self.gb_month = self.address_hour = 0.0

    def changes(self, kind: str, zone: str) -> Sequence[Change]:
        return self.spot.get((kind, zone)) or self.spot.get((kind, ANY_ZONE)) or []

    def spot_at(self, kind: str, zone: str, at_s: float) -> float | None:
        before = [each.price for each in self.changes(kind, zone) if each.at_s <= at_s]
        return before[-1] if before else None

    def bound(self, specification: Mapping[str, Any]) -> float:
        """Return the maximum price of a Spot Instance per hour.  CERTAIN: SpotPrice is per unit (botocore's EC2 model).
        LIKELY: the default is the On-Demand price (user guide).
        """
        if specification.get("SpotPrice"):
            return float(specification["SpotPrice"]) * float(specification.get("WeightedCapacity") or 1)
        return self.on_demand.get(str(specification.get("InstanceType")), float("inf"))

    def sells(self, specification: Mapping[str, Any], zone: str, at_s: float) -> bool:
        """Return whether the Spot price is within the request's.  CERTAIN: otherwise nothing is launched."""
        price = self.spot_at(str(specification.get("InstanceType")), zone, at_s)
        return price is None or price <= self.bound(specification)

    def interrupted_at_s(self, instance: Instance, now_s: float) -> float | None:
        """Return when the price exceeded the bound and ended a Spot Instance.  CERTAIN: user guide, interruptions."""
        kind, bound = str(instance.specification.get("InstanceType")), self.bound(instance.specification)
        if not instance.is_spot or instance.terminating_at_s is not None:
            return None
        rises = (each.at_s for each in self.changes(kind, instance.zone) if each.price > bound)
        return next((at_s for at_s in rises if instance.launched_at_s < at_s <= now_s), None)

    def dollars(self, instance: Instance, now_s: float) -> float | None:
        """Return what was billed for an instance until now; None if its price is unknown.

        LIKELY: a change of the Spot price applies immediately.  Either way nobody pays more than the highest price of
        the time.
        """
        end_s = instance.terminating_at_s  # CERTAIN: billing ends as soon as the state is shutting-down
        until_s = max(min(now_s, now_s if end_s is None else end_s), instance.launched_at_s + LEAST_S)
        hours = (until_s - instance.launched_at_s) / HOUR_S
        priced = self._of_hours(instance, until_s)
        return None if priced is None else priced + hours * self._beside(instance.specification)

    def _of_hours(self, instance: Instance, until_s: float) -> float | None:
        kind = str(instance.specification.get("InstanceType"))
        if not instance.is_spot:
            price = self.on_demand.get(kind)
            return None if price is None else price * (until_s - instance.launched_at_s) / HOUR_S
        if self.spot_at(kind, instance.zone, instance.launched_at_s) is None:
            return None
        pieces = self._pieces(kind, instance.zone, instance.launched_at_s, until_s)
        return sum(price * seconds / HOUR_S for price, seconds in pieces)

    def _pieces(self, kind: str, zone: str, from_s: float, until_s: float) -> Iterator[tuple[float, float]]:
        changes = self.changes(kind, zone)
        ends_s = [each.at_s for each in changes[1:]] + [float("inf")]
        for change, end_s in zip(changes, ends_s, strict=True):
            yield change.price, max(0.0, min(until_s, end_s) - max(from_s, change.at_s))

    def _beside(self, specification: Mapping[str, Any]) -> float:
        """Return the hourly price of the volumes and the public address."""
        mappings = specification.get("BlockDeviceMappings") or []
        gigabytes = sum(float((each.get("Ebs") or {}).get("VolumeSize") or 0) for each in mappings)
        interfaces = specification.get("NetworkInterfaces") or []
        addresses = sum(bool(each.get("AssociatePublicIpAddress")) for each in interfaces)
        return gigabytes * self.gb_month / MONTH_H + addresses * self.address_hour
