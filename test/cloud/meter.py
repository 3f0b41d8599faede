"""The meter: seconds that instances lived past their lease, which is what this project promises to be none.

A lease is known from the targets that were put; whose fleet it is, from the client token before its last
underscore.  Both are remembered when rule and target are gone.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from test.cloud.fleets import Fleet
from test.cloud.instances import Instance


def annex_of(fleet: Fleet) -> str | None:
    annex_id, underscore, _ = (fleet.client_token or "").rpartition("_")
    return annex_id if underscore else None


class Leases:
    """The end of each annex's lease, as its target said last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: dict[str, float] = {}

    def put(self, targets: Iterable[Mapping[str, Any]]) -> None:
        for target in targets:
            lease = _lease_in(target.get("Input"))
            if lease is not None:
                with self._lock:
                    self._ends[lease[0]] = lease[1]

    def ends(self) -> dict[str, float]:
        with self._lock:
            return dict(self._ends)

    def clear(self) -> None:
        with self._lock:
            self._ends.clear()


def _lease_in(text: Any) -> tuple[str, float] | None:
    try:
        found = json.loads(text)
        return str(found["AnnexID"]), float(found["LeaseExpiration"])
    except (TypeError, ValueError, KeyError):
        return None  # some other target: the meter is about leases


def reading(fleets: Iterable[Fleet], ends: Mapping[str, float], now_s: float) -> dict[str, Any]:
    """Instance-seconds after the lease by annex, and of fleets that no lease guards at all."""
    annexes = {annex_id: _line(end_s) for annex_id, end_s in ends.items()}
    unleased = _line(0.0)
    for fleet in fleets:
        line = annexes.get(annex_of(fleet) or "", unleased)
        for instance in fleet.instances:
            seconds = _lived_after(instance, line["lease_end"], now_s)
            line["instance_seconds"] += seconds
            line["latest"] = max(line["latest"], seconds)
            line["live"] += not instance.is_gone(now_s)
    return {"annexes": annexes, "unleased": unleased, "now": now_s}


def _line(end_s: float) -> dict[str, Any]:
    return {"lease_end": end_s, "instance_seconds": 0.0, "latest": 0.0, "live": 0}


def _lived_after(instance: Instance, end_s: float, now_s: float) -> float:
    gone_at_s = instance.gone_at_s()
    until_s = now_s if gone_at_s is None else min(gone_at_s, now_s)
    return max(0.0, until_s - max(end_s, instance.launched_at_s))
