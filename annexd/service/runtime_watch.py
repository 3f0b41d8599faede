"""Warn the administrator before AWS ends support of the Python runtime of the lease function."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime

from annexd.annex.lease.lambda_runtime import END_OF_SUPPORT, RUNTIME, warning
from annexd.daemoncore import log

LOOK_S = 86400.0


def today() -> date:
    return datetime.now(UTC).date()


def status(day: date) -> Mapping[str, str]:
    """Return attributes of the daemon's ad: the runtime, its end of support, and a warning when that is near."""
    facts = {"AnnexLambdaRuntime": RUNTIME, "AnnexLambdaRuntimeEnd": END_OF_SUPPORT[RUNTIME].isoformat()}
    text = warning(day)
    return {**facts, "AnnexWarning": text} if text else facts


async def watch() -> None:
    """Log the warning once a day, until cancelled."""
    while True:
        if text := warning(today()):
            log.always(f"WARNING: {text}")
        await asyncio.sleep(LOOK_S)
