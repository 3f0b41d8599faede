"""Run what demand does by itself, one act of each name at a time; a refused act waits before its next try."""

import asyncio
from collections.abc import Awaitable, Callable

from annexd.daemoncore import log
from annexd.service.cool_downs import CoolDowns


class Attempts:
    """`refusal` says in the log what waits: it has the places {name} and {seconds}.

    `done` is called after each act, whatever came of it.
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
        """Stop what is under way; the journal goes on with what was accepted."""
        for task in self._running.values():
            task.cancel()

    async def _carry_out(self, name: str, act: Callable[[], Awaitable[str]]) -> None:
        try:
            if refused := await act():
                self._refuse(name, refused)
            else:
                self.cool_downs.allow(name)
        except Exception as error:  # noqa: BLE001  the edge of one act: its next try waits, and others go on
            self._refuse(name, f"internal error: {type(error).__name__}: {error}")
        finally:
            self._running.pop(name, None)
            self._done()

    def _refuse(self, name: str, text: str) -> None:
        seconds = self.cool_downs.refuse(name, text)
        log.always(f"{self._refusal.format(name=name, seconds=f'{seconds:.0f}')}: {text}")
