"""The calls that the cloud received and their effects: one list, in chronological order.

Calls are kept as they arrived and parsed only when the list is read, so recording costs nothing while a test or a
benchmark runs.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from test.cloud.keys import CLOCK_KEY
from test.cloud.request import Request

POLLING = frozenset({"ListRules", "ListTargetsByRule", "GetPolicy"})


class Audit:
    """An append-only list of calls and effects; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: list[tuple[float, Request | None, dict[str, Any]]] = []

    def call(self, request: Request, outcome: dict[str, Any]) -> None:
        if request.access_key_id != CLOCK_KEY or request.operation not in POLLING:
            self._append(request, outcome)

    def effect(self, what: str, **facts: Any) -> None:
        self._append(None, {"effect": what, **facts})

    def _append(self, request: Request | None, facts: dict[str, Any]) -> None:
        with self._lock:
            self._records.append((time.time(), request, facts))

    def entries(self) -> list[dict[str, Any]]:
        with self._lock:
            records = list(self._records)
        return [_entry(at_s, request, facts) for at_s, request, facts in records]

    def clear(self) -> None:
        with self._lock:
            self._records.clear()


def _entry(at_s: float, request: Request | None, facts: dict[str, Any]) -> dict[str, Any]:
    if request is None:
        return {"kind": "effect", "time": at_s, **facts}
    asked = {
        "service": request.service,
        "operation": request.operation,
        "params": request.parameters(),
        "access_key_id": request.access_key_id,
        "region": request.region,
        "agent": request.headers.get("user-agent", ""),
    }
    return {"kind": "call", "time": at_s, **asked, **facts}
