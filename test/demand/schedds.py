"""A pool with a second schedd, and what demand asks it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from annexd.demand.idle_jobs import QueuePicture
from annexd.demand.pool_watch import WORKER, PoolWorkers, Question, QueueWatch
from test.demand.ghosts import GhostNegotiator, GhostPool

T = TypeVar("T")
PID = re.compile(r"\*\* PID = (\d+)")
SECOND = """
SECOND = $(SCHEDD)
SECOND_ARGS = -local-name SECOND
SECOND.SCHEDD_NAME = second
SECOND.SPOOL = $(LOCAL_DIR)/second
SECOND_LOG = $(LOG)/SecondLog
SECOND.SCHEDD_LOG = $(SECOND_LOG)
SECOND.SCHEDD_ADDRESS_FILE = $(LOG)/.second_address
SECOND.SCHEDD_DAEMON_AD_FILE = $(LOG)/.second_ad
DC_DAEMON_LIST = +SECOND
DAEMON_LIST = $(DAEMON_LIST) SECOND
"""


class TwoSchedds(GhostPool):
    def __init__(self, negotiators: Iterable[GhostNegotiator] = (), extra: str = "", *, cores: int = 1) -> None:
        super().__init__(negotiators, f"{SECOND}\n{extra}", cores=cores)
        (self.directory / "second").mkdir()

    def start(self) -> None:
        super().start()
        self.wait_for(lambda: len(self.schedds()) == 2, "both schedds")

    def schedds(self) -> list[str]:
        return sorted(self._succeed("condor_status", "-schedd", "-af", "Name").split(), key=len)

    @property
    def second(self) -> str:
        """Return the second schedd's name; the first one's is longer."""
        return next(name for name in self.schedds() if name.startswith("second@"))

    @property
    def first(self) -> str:
        return next(name for name in self.schedds() if not name.startswith("second@"))

    def pid(self, daemon: str) -> int:
        return int(PID.findall(self.log(daemon))[-1])

    def submit_to(self, schedd: str, count: int, **commands: Any) -> None:
        commands = {"executable": "/bin/sleep", "arguments": 600, "transfer_executable": False, **commands}
        lines = [f"{name} = {value}" for name, value in commands.items()]
        text = "\n".join([*lines, f"queue {count}\n"])
        self._succeed("condor_submit", "-terse", "-name", schedd, stdin=text)

    def watch(self, workers: PoolWorkers, question: Question, query_s: float = 20.0) -> QueueWatch:
        return QueueWatch(workers, lambda: (self.collector,), question, query_s)

    def with_workers(self, use: Callable[[PoolWorkers], Awaitable[T]], worker: str = WORKER) -> T:
        """Run something with two worker processes that see this pool."""

        async def run() -> T:
            workers = PoolWorkers(self.env, 2, worker)
            try:
                return await use(workers)
            finally:
                await workers.close()

        return asyncio.run(run())

    def ask(self, question: Question) -> QueuePicture:
        """Return the picture of a new watch."""
        return self.with_workers(lambda workers: self.watch(workers, question).ask())
