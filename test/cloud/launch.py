"""From a Spot Fleet request's capacity to the instances that AWS would start for it.

Weights round up: a fleet is fulfilled when the weights of its instances reach the target, never when they
would pass it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

from test.cloud.specifications import TEMPLATE

Specification = Mapping[str, Any]


def weight_of(specification: Specification) -> float:
    return float(specification.get("WeightedCapacity") or 1)


def choose(specifications: Sequence[Specification], strategy: str, capacity: float) -> Iterator[Specification]:
    """The specification of each instance to start so that `capacity` units are reached."""
    if strategy == "diversified":
        yield from _round_robin(specifications, capacity)
        return
    first = min(specifications, key=ORDERS.get(strategy, lambda _: 0.0))
    for _ in range(math.ceil(capacity / weight_of(first))):
        yield first


def _round_robin(specifications: Sequence[Specification], capacity: float) -> Iterator[Specification]:
    for specification in cycle(specifications):
        if capacity <= 0:
            return
        capacity -= weight_of(specification)
        yield specification


def _price_of_a_unit(specification: Specification) -> float:
    return float(specification.get("SpotPrice") or math.inf)


def _priority(specification: Specification) -> float:
    """The lower the number, the earlier; without one, last.  CERTAIN: botocore's EC2 model, Overrides.Priority."""
    return float(specification.get("Priority", math.inf))


ORDERS = {"lowestPrice": _price_of_a_unit, "prioritized": _priority, "capacityOptimizedPrioritized": _priority}


def tags_of(specification: Specification) -> dict[str, str]:
    """The tags that an instance of this specification gets, at its launch.

    Those of a launch template are all its own: the tags in the request are the fleet's alone.  CERTAIN: botocore's EC2
    model, SpotFleetRequestConfigData.TagSpecifications.  That AWS names the template in a tag is CERTAIN for
    RunInstances (EC2 user guide, "Launch an instance from a launch template"), and LIKELY for a Spot Fleet's instances.
    """
    template = specification.get(TEMPLATE) or {}
    named = {"id": template.get("LaunchTemplateId"), "version": template.get("Version")}
    tags: dict[str, str] = {f"aws:ec2launchtemplate:{key}": value for key, value in named.items() if value}
    for group in specification.get("TagSpecifications") or []:
        if group.get("ResourceType", "instance") == "instance":
            tags.update({tag["Key"]: tag.get("Value", "") for tag in group.get("Tags") or []})
    return tags
