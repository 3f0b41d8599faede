"""The instances that AWS would start for the capacity of a Spot Fleet request.

Their number rounds up: a fleet is fulfilled once the weights of its instances reach the target, which the last one may
exceed.
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
    """Yield the specification of each instance to start so that `capacity` units are reached."""
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
    """Return the priority: a lower number is earlier, and no number is last.

    CERTAIN: botocore's EC2 model, Overrides.Priority.
    """
    return float(specification.get("Priority", math.inf))


ORDERS = {"lowestPrice": _price_of_a_unit, "prioritized": _priority, "capacityOptimizedPrioritized": _priority}


def tags_of(specification: Specification) -> dict[str, str]:
    """Return the tags that an instance of this specification gets at its launch.

    With a launch template all of them are the template's: the tags in the request are only the fleet's.  CERTAIN:
    botocore's EC2 model, SpotFleetRequestConfigData.TagSpecifications.  That AWS names the template in a tag is CERTAIN
    for RunInstances (EC2 user guide, "Launch an instance from a launch template"), and LIKELY for a Spot Fleet's
    instances.
    """
    template = specification.get(TEMPLATE) or {}
    named = {"id": template.get("LaunchTemplateId"), "version": template.get("Version")}
    tags: dict[str, str] = {f"aws:ec2launchtemplate:{key}": value for key, value in named.items() if value}
    for group in specification.get("TagSpecifications") or []:
        if group.get("ResourceType", "instance") == "instance":
            tags.update({tag["Key"]: tag.get("Value", "") for tag in group.get("Tags") or []})
    return tags
