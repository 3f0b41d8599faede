"""Tell an administrator in time that AWS is about to give up the Python that the lease function runs on."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime

from annexd.annex.lease.lambda_runtime import END_OF_SUPPORT, RUNTIME, warning
from annexd.daemoncore import log

LOOK_S = 86400.0  # a daemon runs for months


def today() -> date:
    return datetime.now(UTC).date()


def status(day: date) -> Mapping[str, str]:
    """Attributes of the daemon's ad: the runtime, its end of support, and a warning once it is near."""
    facts = {"AnnexLambdaRuntime": RUNTIME, "AnnexLambdaRuntimeEnd": END_OF_SUPPORT[RUNTIME].isoformat()}
    words = warning(day)
    return {**facts, "AnnexWarning": words} if words else facts


async def watch() -> None:
    """Once a day, until cancelled."""
    while True:
        if words := warning(today()):
            log.always(f"WARNING: {words}")
        await asyncio.sleep(LOOK_S)
