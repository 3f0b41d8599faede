"""Run blocking work in daemon threads, which do not delay the end of the process.

A disk or AWS may hang indefinitely, and asyncio's own executor would keep the process alive until it returns.
"""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

Answer = TypeVar("Answer")


def in_thread(work: Callable[[], Answer]) -> asyncio.Future[Answer]:
    """Start `work` in a new thread; return a future of its result or exception."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Answer] = loop.create_future()
    threading.Thread(target=_work, args=(work, answer, loop), daemon=True).start()
    return answer


def _work(work: Callable[[], Answer], answer: asyncio.Future[Answer], loop: asyncio.AbstractEventLoop) -> None:
    try:
        result = work()
    except Exception as error:  # noqa: BLE001 - the edge of a worker: the future carries it
        _deliver(loop, answer, partial(answer.set_exception, error))
    else:
        _deliver(loop, answer, partial(answer.set_result, result))


def _deliver(loop: asyncio.AbstractEventLoop, answer: asyncio.Future[Answer], deliver: Callable[[], None]) -> None:
    def unless_cancelled() -> None:
        if not answer.done():
            deliver()

    try:
        loop.call_soon_threadsafe(unless_cancelled)
    except RuntimeError:
        return  # the loop is closed: the process is ending
