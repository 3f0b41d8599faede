"""Set one deadline for several calls of a thread: the inventory of an account, or a step of an order."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class _Limit(threading.local):
    deadline_s: float = float("inf")  # by time.monotonic


_LIMIT = _Limit()


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Limit all calls of this thread together to `seconds`, or to an earlier limit if there is one."""
    before_s = _LIMIT.deadline_s
    _LIMIT.deadline_s = min(before_s, time.monotonic() + seconds)
    try:
        yield
    finally:
        _LIMIT.deadline_s = before_s


def left_s() -> float:
    """Return the time left for this thread's calls."""
    return _LIMIT.deadline_s - time.monotonic()
