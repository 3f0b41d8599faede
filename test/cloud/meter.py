"""The meter: the seconds that instances lived past their lease; this project promises zero.

A fleet's lease ends at the time in its client token, unless its tags change it.  The meter parses both itself, without
the code of the product or the lease function.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from test.cloud.fleets import Fleet
from test.cloud.instances import Instance
from test.cloud.prices import Market

TOKEN = re.compile(r"([.\-A-Za-z0-9]{1,36})_([0-9]{10})_[0-9a-f]{16}")
END_TAG, CANCELLED_TAG = "htcondor:annex-lease-end", "htcondor:annex-cancelled"


def lease_of(fleet: Fleet, now_s: float) -> tuple[str, float] | None:
    """Return the annex and the lease's present end; None for a fleet without a lease."""
    match = TOKEN.fullmatch(fleet.client_token or "")
    if match is None:
        return None
    tags = fleet.tags.at(now_s)
    end_s = _moment_s(tags.get(END_TAG, "")) or float(match[2])
    if CANCELLED_TAG in tags:
        end_s = min(end_s, fleet.tags.last_changed_s(CANCELLED_TAG, now_s) or fleet.created_at_s)
    return match[1], end_s


def _moment_s(text: str) -> float | None:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def reading(fleets: Iterable[Fleet], now_s: float, market: Market | None = None) -> dict[str, Any]:
    """Return the instance-seconds after the lease, by annex and for all fleets without a lease, and the costs.

    `unpriced` is the number of instances that have no price and are not in `dollars`.
    """
    market = market or Market()
    annexes: dict[str, dict[str, Any]] = {}
    unleased = _line(0.0)
    for fleet in fleets:
        lease = lease_of(fleet, now_s)
        line = annexes.setdefault(lease[0], _line(lease[1])) if lease else unleased
        end_s = lease[1] if lease else 0.0
        line["lease_end"] = max(line["lease_end"], end_s)
        for instance in fleet.instances:
            seconds = _lived_after(instance, end_s, now_s)
            line["instance_seconds"] += seconds
            line["latest"] = max(line["latest"], seconds)
            line["live"] += not instance.is_gone(now_s)
            dollars = market.dollars(instance, now_s)
            line["dollars"] += dollars or 0.0
            line["unpriced"] += dollars is None
    return {"annexes": annexes, "unleased": unleased, "now": now_s}


def _line(end_s: float) -> dict[str, Any]:
    return {"lease_end": end_s, "instance_seconds": 0.0, "latest": 0.0, "live": 0, "dollars": 0.0, "unpriced": 0}


def _lived_after(instance: Instance, end_s: float, now_s: float) -> float:
    gone_at_s = instance.gone_at_s()
    until_s = now_s if gone_at_s is None else min(gone_at_s, now_s)
    return max(0.0, until_s - max(end_s, instance.launched_at_s))
