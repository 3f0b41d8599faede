"""Create annexes in an account for these tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from test.lease.account import Account
from test.lease.fleets import Request

END_TAG, CANCELLED_TAG = "htcondor:annex-lease-end", "htcondor:annex-cancelled"
HOUR_S = 3600.0


def utc(at_s: float) -> str:
    return datetime.fromtimestamp(int(at_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def token(name: str, end_s: float) -> str:
    return f"{name}_{int(end_s)}_{crc32(name.encode()):016x}"


def annex(account: Account, name: str, ends_in_s: float, instances: int = 1, **more: Any) -> Request:
    """Create an annex that has run for an hour and ends in `ends_in_s`, which may be negative."""
    now_s = account.timeline.now_s
    made = {"created_s": min(now_s, now_s + ends_in_s) - HOUR_S, **more}
    return account.request(token(name, now_s + ends_in_s), instances, **made)


def annexes(
    account: Account, count: int, ends_in_s: float, instances: int = 1, name: str = "good", **more: Any
) -> list[Request]:
    return [annex(account, f"{name}-{number}", ends_in_s, instances, **more) for number in range(count)]
