"""A wait for conditions of background tasks, shared by these tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE_S = 60.0


async def until(condition: Callable[[], object], what: Callable[[], str]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"timed out waiting for {what()}"
        await asyncio.sleep(0.02)
