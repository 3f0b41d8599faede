"""A pool with a second schedd, and demand's queries to it."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, Self, TypeVar

from annexd.demand.idle_jobs import QueuePicture
from annexd.demand.pool_watch import WORKER, PoolWorkers, QueueQuestion, QueueWatch
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


class CuttingRelay:
    """Forwards connections to a port of this host, and ends each once this many bytes of the response have passed."""

    def __init__(self, port: int, after_bytes: int) -> None:
        self._port, self._after = port, after_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.passed = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _address = self._listener.accept()
                with client, socket.create_connection(("127.0.0.1", self._port)) as server, suppress(OSError):
                    threading.Thread(target=_pass_on, args=(client, server), daemon=True).start()
                    self._answer(server, client)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        passed = 0
        while passed < self._after and (piece := server.recv(min(4096, self._after - passed))):
            client.sendall(piece)
            passed += len(piece)
        self.passed = passed
        client.shutdown(socket.SHUT_RDWR)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(4096):
            target.sendall(piece)


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

    def watch(self, workers: PoolWorkers, question: QueueQuestion, query_s: float = 20.0) -> QueueWatch:
        return QueueWatch(workers, lambda: (self.collector,), question, query_s)

    def with_workers(self, use: Callable[[PoolWorkers], Awaitable[T]], worker: str = WORKER) -> T:
        """Run `use` with two worker processes that see this pool."""

        async def run() -> T:
            workers = PoolWorkers(self.env, 2, worker)
            try:
                return await use(workers)
            finally:
                await workers.close()

        return asyncio.run(run())

    def ask(self, question: QueueQuestion) -> QueuePicture:
        """Return the picture of a new watch."""
        return self.with_workers(lambda workers: self.watch(workers, question).ask())
