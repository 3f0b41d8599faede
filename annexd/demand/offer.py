"""An offer: machines that annexd may order by itself for idle jobs, as the administrator describes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Offer:
    """One of ANNEX_OFFERS; each field is the knob ANNEX_OFFER_<name>_<FIELD> unless stated otherwise."""

    name: str
    config: Mapping[str, Any]  # REQUEST, a file, or INSTANCE_TYPE and the like: the order without its size
    start: str  # START of its machines
    lease_s: int
    max_machines: int  # MAX, at once
    jobs: str = "true"  # an expression over a job's ad alone
    rank: str = "0.0"  # an expression over the machine's ad and AnnexPrice, dollars an hour; the highest is preferred
    step: int = 50  # maximum number of machines of one decision
    idle_age_s: int = 300  # jobs that are idle for less do not count
    idle_s: int = 600  # IDLE: a machine without work turns itself off after this time
    on_demand: bool = False  # MARKET
    machine_ad: str = ""  # AD: overrides the known properties of its machines
    max_lease_s: int = 0  # MAX_LEASE: how long its machines may live in total; up to lease_s nothing is extended


def instance_types(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the types that an order's config names, in its order; empty if AWS or a template chooses them."""
    named = [each.get("InstanceType") for each in _choices(config)]
    return tuple(dict.fromkeys(each for each in named if each)) if all(named) else ()


def fault_of_weights(config: Mapping[str, Any]) -> str | None:
    """Return why the machines of a config cannot be counted: each must be one unit of capacity."""
    wrong = [each["WeightedCapacity"] for each in _choices(config) if each.get("WeightedCapacity", 1) != 1]
    return f"WeightedCapacity is {wrong[0]}, and each machine of an offer is one unit: leave it out" if wrong else None


def sized(offer: Offer, machines: int) -> dict[str, Any]:
    """Return the config that orders this many machines, all of the offer's market."""
    config = {name: value for name, value in offer.config.items() if name not in _OF_SIZE}
    return {**config, "TargetCapacity": machines, **({"OnDemandTargetCapacity": machines} if offer.on_demand else {})}


_OF_SIZE = frozenset(["TargetCapacity", "OnDemandTargetCapacity"])


def _choices(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = list(config.get("LaunchSpecifications") or ())
    for template in config.get("LaunchTemplateConfigs") or ():
        found += template.get("Overrides") or [{}]
    return found


def volume_gib(config: Mapping[str, Any]) -> int | None:
    """Return the size of the smallest first volume in the config; None if the image determines it."""
    sizes: list[Any] = []
    for each in _choices(config):
        first: Mapping[str, Any] = next(iter(each.get("BlockDeviceMappings") or ()), {})
        sizes.append((first.get("Ebs") or {}).get("VolumeSize"))
    return min(sizes) if sizes and all(isinstance(each, int) for each in sizes) else None
