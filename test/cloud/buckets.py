"""EC2's published request limits: token buckets for each API, account and region.

Source: EC2 developer guide, "Request throttling for the Amazon EC2 API" (CERTAIN): "each API is evaluated individually
... on a per-API basis", refills are added every second, RequestLimitExceeded.  TerminateInstances and RunInstances
also pay for each instance from a bucket of their own.  That a call for more instances than there are tokens fails as
a whole is LIKELY (the guide only says that requests fail).  That a refused or ineffective call pays all the same is
SUSPECTED, and the harder reading.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Limit(NamedTuple):
    """The number of tokens that fit, and the number that come back each second."""

    burst: float
    per_s: float


CALLS: Mapping[str, Limit] = {  # read in November 2026
    "DescribeSpotFleetRequests": Limit(50, 3),
    "DescribeSpotFleetInstances": Limit(100, 5),
    "DescribeSpotFleetRequestHistory": Limit(100, 5),
    "RequestSpotFleet": Limit(50, 5),
    "CancelSpotFleetRequests": Limit(50, 5),
    "ModifyInstanceAttribute": Limit(50, 5),
    "TerminateInstances": Limit(100, 5),
    "RunInstances": Limit(5, 2),
    "CreateTags": Limit(100, 10),
}  # EC2 Fleet's and launch templates' calls are not listed, and fall under the categories below (LIKELY)
READING, UNFILTERED, CHANGING = Limit(100, 20), Limit(50, 10), Limit(50, 5)  # the guide's categories for all others
RESOURCES: Mapping[str, Limit] = {"TerminateInstances": Limit(1000, 20), "RunInstances": Limit(1000, 2)}


def limit_of(operation: str, asked: Mapping[str, Any]) -> Limit:
    if operation in CALLS:
        return CALLS[operation]
    if not operation.startswith(("Describe", "Get", "Search")):
        return CHANGING
    narrowed = any(name in asked for name in ("Filters", "MaxResults")) or any(name.endswith("Ids") for name in asked)
    return READING if narrowed else UNFILTERED


def instances_in(operation: str, asked: Mapping[str, Any]) -> int:
    if operation == "TerminateInstances":
        return len(asked.get("InstanceIds") or [])
    return int(asked.get("MaxCount") or 1) if operation == "RunInstances" else 0


class Buckets:
    """The buckets of one account.  `clock` may return any seconds, also those of a test's own time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._levels: dict[tuple[str, ...], tuple[float, float]] = {}  # bucket -> tokens, and the time of that count

    def takes(self, region: str, operation: str, asked: Mapping[str, Any], speed: float) -> bool:
        """Pay for one call; return whether there was enough.  The buckets fill `speed` times as fast as AWS's."""
        paid = self._pay((region, operation), limit_of(operation, asked), 1, speed)
        if not paid or operation not in RESOURCES:
            return paid
        number = instances_in(operation, asked)
        return self._pay((region, operation, "instances"), RESOURCES[operation], number, speed)

    def _pay(self, bucket: tuple[str, ...], limit: Limit, price: int, speed: float) -> bool:
        now_s = self._clock()
        tokens, since_s = self._levels.get(bucket, (limit.burst, now_s))
        seconds = math.floor((now_s - since_s) * speed)  # tokens come once a second
        tokens, since_s = min(limit.burst, tokens + seconds * limit.per_s), since_s + seconds / speed
        enough = tokens >= price
        self._levels[bucket] = (tokens - price if enough else tokens, since_s)
        return enough

    def clear(self) -> None:
        self._levels.clear()
