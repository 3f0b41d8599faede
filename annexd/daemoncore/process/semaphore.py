"""A fair semaphore that can be resized while it is in use.

asyncio's semaphores have a fixed size and do not report how many tasks wait.
"""

import asyncio
from collections import deque
from types import TracebackType


class Semaphore:
    """Admits up to `limit` tasks at once, first come, first served, by `async with`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._admitted = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def admitted(self) -> int:
        return self._admitted

    @property
    def is_full(self) -> bool:
        return self._admitted >= self._limit

    def resize(self, limit: int) -> None:
        """Change the size: admitted tasks stay, waiting tasks enter at once if they now fit."""
        self._limit = limit
        self._admit()

    async def __aenter__(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._queue.remove(turn)
            else:
                self._leave()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self._admitted -= 1
        self._admit()

    def _admit(self) -> None:
        while self._admitted < self._limit and (turn := next((t for t in self._queue if not t.done()), None)):
            self._queue.remove(turn)
            self._admitted += 1
            turn.set_result(None)
