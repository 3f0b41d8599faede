"""Faults to order: their kind, their operation, how often they strike, and on which side of the effect."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from test.cloud.errors import CODES

INSIDE = frozenset({"partial", "lag", "omit", "shift", "repeat", "late", "lost"})  # the call itself succeeds
WAYS = frozenset(CODES) | {"error", "hang", "reset"} | INSIDE
DRIFT = {"shift": 1, "repeat": -1}  # by how many items the next page begins too late


@dataclass
class Fault:
    """`times` calls of `operation` fail, after `skip` that do not.

    kind      throttle | internal | denied | unknown-key | bad-signature | skewed | expired-token |
              unsigned (in the service's own code), error (`code`, `status` and `message`), hang, reset (of the
              connection), partial (a failure of one entry inside an HTTP 200), lag (a Describe call of EC2
              shows the state of `lag_s` ago), omit (a list of EC2's leaves out the item `matching`), shift and repeat
              (an item moves while EC2's list is read, so that it is on none or on two of the pages), late and lost
              (CreateTags and DeleteTags succeed, but their changes show after `lag_s`, or never).  EC2 promises only
              eventual consistency for lists and tags: LIKELY that all of these occur, CERTAIN that nothing excludes
              them
    when      before the effect, or after it: the effect has happened, the response is lost
    matching  only calls whose body or path contain this; for `partial` the id of the entry (empty: all)
    """

    operation: str
    kind: str
    times: int = 1
    when: str = "before"
    skip: int = 0
    matching: str = ""
    code: str = ""
    status: int = 400
    message: str = "a fault that was ordered"
    hang_s: float = 120.0
    lag_s: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in WAYS or self.when not in {"before", "after"}:
            raise ValueError(f"a fault is one of {sorted(WAYS)}, before or after; not {self.kind!r} {self.when!r}")
        if self.kind == "error" and not self.code:
            raise ValueError("a fault of kind error needs the code that the service is to answer with")

    def strikes(self) -> bool:
        """Count one matching call; return whether the fault strikes it."""
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class Faults:
    """The faults still to come; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, ordered: Mapping[str, Any]) -> None:
        fault = Fault(**ordered)
        with self._lock:
            self._faults.append(fault)

    def take(self, operation: str, text: str) -> Fault | None:
        """Return the fault for this call of `operation`, whose body and path are `text`."""
        return self._take(lambda fault: fault.kind not in INSIDE and fault.matching in text, operation)

    def refuses(self, operation: str, entry_id: str) -> str | None:
        """Return the code with which this one entry of a call fails, or None."""
        fault = self._take(lambda fault: fault.kind == "partial" and fault.matching in {"", entry_id}, operation)
        return None if fault is None else fault.code or PARTIAL_CODES.get(operation, "InternalException")

    def lag_s(self, operation: str) -> float:
        """Return by how much this call lags behind."""
        fault = self._take(lambda fault: fault.kind == "lag", operation)
        return 0.0 if fault is None else fault.lag_s

    def omitted(self, operation: str) -> str:
        """Return the ID of the item that this list leaves out; an empty text if the list is complete."""
        fault = self._take(lambda fault: fault.kind == "omit", operation)
        return "" if fault is None else fault.matching

    def drift(self, operation: str) -> int:
        """Return by how many items the list moves between this page and the next."""
        fault = self._take(lambda fault: fault.kind in DRIFT, operation)
        return 0 if fault is None else DRIFT[fault.kind]

    def delay_s(self, operation: str, resources: Sequence[str]) -> float:
        """Return how much later the changes of this call will show; infinity: never."""
        kinds = {"late", "lost"}
        fault = self._take(lambda fault: fault.kind in kinds and fault.matching in {"", *resources}, operation)
        return 0.0 if fault is None else math.inf if fault.kind == "lost" else fault.lag_s

    def _take(self, applies: Any, operation: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.times > 0 and fault.operation == operation and applies(fault) and fault.strikes():
                    return fault
        return None

    def remaining(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(fault) for fault in self._faults if fault.times > 0]

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()


PARTIAL_CODES = {
    "CancelSpotFleetRequests": "unexpectedError",
    "DeleteFleets": "unexpectedError",
    "PutTargets": "ConcurrentModificationException",
    "RemoveTargets": "ConcurrentModificationException",
}
