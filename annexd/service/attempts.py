"""Run demand's own acts, one at a time for each name; a refused act waits before its next try."""

import asyncio
from collections.abc import Awaitable, Callable

from annexd.daemoncore import log
from annexd.service.cool_downs import CoolDowns


class Attempts:
    """`refusal` is the log message about a waiting act, with the fields {name} and {seconds}.

    `done` is called after each act, whatever its result.
    """

    def __init__(self, refusal: str, done: Callable[[], None]) -> None:
        self._refusal, self._done = refusal, done
        self._running: dict[str, asyncio.Task[None]] = {}
        self.cool_downs = CoolDowns()

    def running(self) -> frozenset[str]:
        return frozenset(self._running)

    def begin(self, name: str, act: Callable[[], Awaitable[str]]) -> None:
        """Begin an act, unless the last one of this name is under way; it returns why it was refused, or ""."""
        if name not in self._running:
            self._running[name] = asyncio.create_task(self._carry_out(name, act))

    def cancel(self) -> None:
        """Stop the acts that are under way; the journal continues what was accepted."""
        for task in self._running.values():
            task.cancel()

    async def _carry_out(self, name: str, act: Callable[[], Awaitable[str]]) -> None:
        try:
            if refused := await act():
                self._refuse(name, refused)
            else:
                self.cool_downs.allow(name)
        except Exception as error:  # noqa: BLE001  the edge of one act: its next try waits, and others continue
            self._refuse(name, f"internal error: {type(error).__name__}: {error}")
        finally:
            self._running.pop(name, None)
            self._done()

    def _refuse(self, name: str, text: str) -> None:
        seconds = self.cool_downs.refuse(name, text)
        log.always(f"{self._refusal.format(name=name, seconds=f'{seconds:.0f}')}: {text}")
