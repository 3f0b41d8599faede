"""The capacity pool of an instance: the properties by which AWS prices it, as DescribeInstances shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

LONGEST: Final = 64  # characters of AWS's names; they go into the journal
SPOT: Final = "spot"  # InstanceLifecycle
ON_DEMAND: Final = ""  # not set; "scheduled" and "capacity-block" are priced apart (botocore's EC2 model)
SHARED: Final = "default"  # tenancy


@dataclass(frozen=True)
class CapacityPool:
    """All values as AWS names them; empty where AWS names nothing.  `platform`: its PlatformDetails."""

    kind: str = ""  # instance type
    zone: str = ""
    platform: str = ""
    market: str = ON_DEMAND
    tenancy: str = SHARED


UNKNOWN_POOL: Final = CapacityPool()


@dataclass(frozen=True)
class Launch:
    """A running instance: its launch time, in seconds since the epoch, and its capacity pool."""

    at_s: float
    pool: CapacityPool = UNKNOWN_POOL


def pool_in(seen: Mapping[str, Any]) -> CapacityPool:
    """Return the capacity pool of an instance that DescribeInstances shows."""
    placement = seen.get("Placement") or {}
    tenancy = placement.get("Tenancy") or SHARED
    attributes = (seen.get("InstanceType"), placement.get("AvailabilityZone"), seen.get("PlatformDetails"))
    return _pool(*(str(each or "")[:LONGEST] for each in (*attributes, seen.get("InstanceLifecycle"), tenancy)))


@lru_cache(maxsize=1024)  # ten thousand instances belong to a few pools
def _pool(kind: str, zone: str, platform: str, market: str, tenancy: str) -> CapacityPool:
    return CapacityPool(kind, zone, platform, market, tenancy)
