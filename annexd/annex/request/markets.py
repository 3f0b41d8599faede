"""The markets and instance types that a fleet may start, from either API's request.

AWS's descriptions of fleets have the same members as the requests, so this reads both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from annexd.annex.request.config_members import pools, templates

SPOT: Final = "spot"  # values of CreateFleet's DefaultTargetCapacityType
ON_DEMAND: Final = "on-demand"
MARKETS: Final = (SPOT, ON_DEMAND)
MOST_TYPES: Final = 300  # of a fleet: EC2 user guide, "Fleet quotas"


@dataclass(frozen=True)
class FleetScope:
    """The markets in which a fleet may start instances, and their types; no types means that they are unknown."""

    markets: tuple[str, ...] = MARKETS
    instance_types: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        return cls(markets_of(config), instance_types_of(config)[:MOST_TYPES])


ANY_SCOPE: Final = FleetScope()


def markets_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the markets of the units that the config requests; all units that are not On-Demand are Spot."""
    wanted = config.get("TargetCapacitySpecification")
    if isinstance(wanted, Mapping):
        total, plain = _units(wanted, "TotalTargetCapacity"), _units(wanted, "OnDemandTargetCapacity")
        if wanted.get("DefaultTargetCapacityType") == ON_DEMAND:
            plain = total - _units(wanted, "SpotTargetCapacity")
    else:
        total, plain = _units(config, "TargetCapacity"), _units(config, "OnDemandTargetCapacity")
    if plain <= 0:
        return (SPOT,)
    return (ON_DEMAND,) if plain >= total else MARKETS


def _units(wanted: Mapping[str, Any], name: str) -> float:
    value = wanted.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def instance_types_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the types that it names, each once; empty if AWS or a launch template chooses any of them."""
    named = [pool.get("InstanceType") for _, pool in pools(config)]
    if any(not each.get("Overrides") for _, each in templates(config)) or not all(named):
        return ()
    return tuple(dict.fromkeys(str(each) for each in named))
