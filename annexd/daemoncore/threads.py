"""Blocking work beside the event loop, in threads that nobody waits for when the process ends.

A disk or AWS may hang for as long as it likes: asyncio's own executor would keep the process from ending until it
is done.
"""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

Answer = TypeVar("Answer")


def in_thread(work: Callable[[], Answer]) -> asyncio.Future[Answer]:
    """Start `work` in a thread of its own; its result, or what it raised."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Answer] = loop.create_future()
    threading.Thread(target=_work, args=(work, answer, loop), daemon=True).start()
    return answer


def _work(work: Callable[[], Answer], answer: asyncio.Future[Answer], loop: asyncio.AbstractEventLoop) -> None:
    try:
        result = work()
    except Exception as error:  # noqa: BLE001 - the edge of a worker: whoever waits gets it
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
        return  # the loop is closed: the process ends, and the journal has it
