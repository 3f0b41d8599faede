"""From a Spot Fleet request's capacity to the instances that AWS would start for it.

Weights round up: a fleet is fulfilled when the weights of its instances reach the target, never when they
would pass it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

Specification = Mapping[str, Any]


def weight_of(specification: Specification) -> float:
    return float(specification.get("WeightedCapacity") or 1)


def choose(specifications: Sequence[Specification], strategy: str, capacity: float) -> Iterator[Specification]:
    """The specification of each instance to start so that `capacity` units are reached."""
    if strategy == "diversified":
        yield from _round_robin(specifications, capacity)
        return
    cheapest = min(specifications, key=_price_of_a_unit) if strategy == "lowestPrice" else specifications[0]
    for _ in range(math.ceil(capacity / weight_of(cheapest))):
        yield cheapest


def _round_robin(specifications: Sequence[Specification], capacity: float) -> Iterator[Specification]:
    for specification in cycle(specifications):
        if capacity <= 0:
            return
        capacity -= weight_of(specification)
        yield specification


def _price_of_a_unit(specification: Specification) -> float:
    return float(specification.get("SpotPrice") or math.inf)


def tags_of(specification: Specification) -> dict[str, str]:
    """The tags that an instance of this specification gets, at its launch."""
    tags: dict[str, str] = {}
    for group in specification.get("TagSpecifications") or []:
        if group.get("ResourceType", "instance") == "instance":
            tags.update({tag["Key"]: tag.get("Value", "") for tag in group.get("Tags") or []})
    return tags
