"""The number of functions that run at once: the account's limit, and the reservations that also limit single functions.

Source (CERTAIN): Lambda developer guide, "Configuring reserved concurrency" and "Error handling for asynchronous
invocation": a throttled event goes back to the queue, and is retried after 1 s at first and 5 minutes at most, until it
is too old: six hours, or the function's MaximumEventAgeInSeconds.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

from moto.awslambda.models import lambda_backends

from test.cloud.behaviour import Chosen

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0


class Concurrency:
    """The functions that run at this moment; safe from any thread."""

    def __init__(self, chosen: Chosen) -> None:
        self._chosen = chosen
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()

    def enter(self, function: Any) -> str:
        """Count the function as running and return an empty text, or return why it may not run."""
        with self._lock:
            reserved, arn = function.reserved_concurrency, function.function_arn
            if reserved is not None:
                if self._running[arn] >= int(reserved):
                    return "ReservedFunctionConcurrentInvocationLimitExceeded"
            elif self._unreserved() <= 0:
                return "ConcurrentInvocationLimitExceeded"
            self._running[arn] += 1
            return ""

    def _unreserved(self) -> int:
        reserving = {
            each.function_arn: int(each.reserved_concurrency)
            for each in _functions()
            if each.reserved_concurrency is not None
        }
        others = sum(number for arn, number in self._running.items() if arn not in reserving)
        return self._chosen.now.concurrency - sum(reserving.values()) - others

    def leave(self, function: Any) -> None:
        with self._lock:
            self._running[function.function_arn] -= 1


def _functions() -> Iterator[Any]:
    for account in lambda_backends.values():
        for backend in account.values():
            yield from backend.list_functions()


def pauses() -> Iterator[float]:
    """Yield the seconds between two tries of a throttled event."""
    pause_s = FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
