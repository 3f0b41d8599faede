"""Check the capacity of a request: related numbers, and the largest number of instances that can result."""

import math
from collections.abc import Iterator
from fractions import Fraction

from annexd.annex.request.config_members import Part, pools, specifications, templates
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.faults import shown
from annexd.annex.request.fleet_api import EC2_FLEET, OPTIONS, SPOT_FLEET


def faults_of_capacity(config: Part, defaults: Defaults, api: str = SPOT_FLEET) -> Iterator[str]:
    capacity = config.get("TargetCapacity")
    yield from faults_of_total(config, capacity, defaults.max_target_capacity)
    yield from _on_demand(config, capacity, api)
    yield from _pools_to_use(config)
    yield from _unit(config)


def faults_of_total(config: Part, capacity: int | None, most: int, name: str = "TargetCapacity") -> Iterator[str]:
    """Yield the faults of the total number of units in a request."""
    if capacity is None:
        return
    if capacity <= 0:
        yield f"{name} must be a positive integer, not {capacity}"
    elif capacity > most:
        yield f"{name} is {capacity}, the most allowed here is {most} (ANNEX_MAX_TARGET_CAPACITY)"
    else:
        yield from _instances(config, capacity, most, name)


def _instances(config: Part, capacity: int, most: int, name: str) -> Iterator[str]:
    """Limit the instances: with a weight below 1 there are more instances than units of capacity."""
    weights = {path: pool.get("WeightedCapacity", 1) for path, pool in pools(config)}
    wrong = {path: weight for path, weight in weights.items() if weight is not None and weight <= 0}
    yield from (f"{path}WeightedCapacity must be above 0, not {weight}" for path, weight in wrong.items())
    right = {path: weight for path, weight in weights.items() if weight is not None and weight > 0}
    if not right:
        return
    path = min(right, key=lambda each: right[each])
    instances = math.ceil(capacity / Fraction(repr(right[path])))
    if instances > most:
        yield (
            f"{name} {capacity} with {path}WeightedCapacity {right[path]} may come to {shown(instances)} "
            f"instances, the most allowed here is {most} (ANNEX_MAX_TARGET_CAPACITY)"
        )


def _on_demand(config: Part, capacity: int | None, api: str) -> Iterator[str]:
    """Yield the faults of the On-Demand part of the target capacity.

    botocore's EC2 model, LaunchSpecifications: "If you include On-Demand capacity in your request, you must use
    LaunchTemplateConfigs.", which an EC2 Fleet also gets.
    """
    on_demand = config.get("OnDemandTargetCapacity") or 0
    if on_demand < 0:
        yield f"OnDemandTargetCapacity must not be negative, as {on_demand} is"
    elif on_demand and any(specifications(config)) and api == SPOT_FLEET:
        yield (
            f"OnDemandTargetCapacity is {on_demand}: On-Demand instances of a Spot Fleet need LaunchTemplateConfigs at "
            f"AWS (-fleet-api {OPTIONS[EC2_FLEET]} has them by LaunchSpecifications, too)"
        )
    if capacity is not None and on_demand > capacity > 0:
        yield f"OnDemandTargetCapacity is {on_demand}, more than the TargetCapacity (-count) of {capacity}"


def _pools_to_use(config: Part) -> Iterator[str]:
    """Yield faults by botocore's EC2 model:

    "Valid only when Spot AllocationStrategy is set to lowest-price", the default.
    """
    number, strategy = config.get("InstancePoolsToUseCount"), config.get("AllocationStrategy", "lowestPrice")
    if number is not None and number < 1:
        yield f"InstancePoolsToUseCount must be a positive integer, not {number}"
    elif number is not None and strategy not in ("lowestPrice", None):
        yield f"InstancePoolsToUseCount requires AllocationStrategy lowestPrice, not {strategy}"


def _unit(config: Part) -> Iterator[str]:
    """Yield faults by botocore's EC2 model: "only when using attribute-based instance type selection"."""
    unit = config.get("TargetCapacityUnitType", "units")
    by_type = [path for path, pool in pools(config) if "InstanceType" in pool]
    if unit not in ("units", None) and by_type and not any(_by_attributes(config)):
        yield f"TargetCapacityUnitType {unit} requires InstanceRequirements, but {by_type[0]}InstanceType names a type"


def _by_attributes(config: Part) -> Iterator[bool]:
    """Yield whether each pool selects by attributes; a template without overrides may do so, and its content is unknown
    here.
    """
    yield from ("InstanceRequirements" in pool for _, pool in pools(config))
    yield from (not template.get("Overrides") for _, template in templates(config))
