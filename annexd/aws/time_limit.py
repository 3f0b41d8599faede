"""Give several calls of one thread one deadline together: a look at an account, a step of an order."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class _Limit(threading.local):
    deadline_s: float = float("inf")  # by time.monotonic


_LIMIT = _Limit()


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Let all calls of this thread end within `seconds` together; within an earlier limit if there is one."""
    before_s = _LIMIT.deadline_s
    _LIMIT.deadline_s = min(before_s, time.monotonic() + seconds)
    try:
        yield
    finally:
        _LIMIT.deadline_s = before_s


def left_s() -> float:
    """How long this thread's calls may take yet."""
    return _LIMIT.deadline_s - time.monotonic()
