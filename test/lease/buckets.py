"""EC2's published token buckets, for a new account: what it takes at once, and what it takes a second.

Source: Amazon EC2 developer guide, "Request throttling for the Amazon EC2 API": bucket and refill of each call, and
of the instances that TerminateInstances names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

CALLS: Final[Mapping[str, tuple[int, int]]] = {
    "DescribeSpotFleetRequests": (50, 3),
    "CancelSpotFleetRequests": (50, 5),
    "TerminateInstances": (100, 5),
    "CreateTags": (100, 10),
    "DescribeInstances": (100, 20),
    "ModifyInstanceAttribute": (50, 5),
}
TERMINATED_INSTANCES: Final = (1000, 20)


@dataclass
class Bucket:
    """Full at first; a call takes its tokens, or is throttled and takes none."""

    size: float
    a_second: float
    now_s: Callable[[], float]
    tokens: float = field(init=False)
    filled_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.tokens, self.filled_s = self.size, self.now_s()

    def take(self, count: int = 1) -> bool:
        now_s = self.now_s()
        self.tokens = min(self.size, self.tokens + self.a_second * (now_s - self.filled_s))
        self.filled_s = now_s
        if self.tokens < count:
            return False
        self.tokens -= count
        return True


class Limits:
    """All buckets of an account."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._calls = {operation: Bucket(*limit, now_s) for operation, limit in CALLS.items()}
        self._instances = Bucket(*TERMINATED_INSTANCES, now_s)

    def take(self, operation: str, instances: int) -> bool:
        """Whether the call is let through; `instances` is how many it would terminate."""
        calls = self._calls.get(operation)
        return (calls is None or calls.take()) and (not instances or self._instances.take(instances))
