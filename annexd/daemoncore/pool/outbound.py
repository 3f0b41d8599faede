"""Outbound calls of HTCondor's bindings, made by a child process: see outbound_worker.

If a call does not return in time, the child is killed and the next call starts another one.  The daemon never blocks.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from annexd.daemoncore.process.limits import for_child
from annexd.daemoncore.program import current

MAX_ANSWER_BYTES = 64 * 1024 * 1024  # the slots of a large pool, with a few attributes
# The daemon's own folders of modules, and no others: PYTHONPATH may name those of another program.
WORKER = """\
import importlib, sys
sys.path[:] = sys.argv[3:]
importlib.import_module(sys.argv[1]).main(sys.argv[2])
"""
READY = b"ready\n"
OWN_CALLS = "annexd.daemoncore.pool.outbound_worker"
START_S = 60.0  # Python and the bindings, on a machine under load
CALL_TIMEOUT_S = 30.0  # the bindings give up on a silent peer after 20 s


class OutboundFailed(Exception):
    """A call was not delivered; the text is the bindings' own, or reports a time-out or a dead worker."""


class WorkerDied(OutboundFailed):
    """The worker ended during a call, such as after a response that crashes the bindings."""


class NoAnswer(OutboundFailed):
    """A call did not return in time."""


class Outbound:
    """Makes one call at a time; `environment` holds the session inherited from condor_master.

    `worker` is a module whose main() serves further calls, as outbound_worker's does.
    """

    def __init__(self, environment: Mapping[str, str], worker: str = OWN_CALLS) -> None:
        self._environment = for_child(environment)
        self._module = worker
        self._worker: asyncio.subprocess.Process | None = None
        self._one_call = asyncio.Lock()
        self._calls = 0

    async def call(
        self, name: str, arguments: Mapping[str, Any], timeout_s: float = CALL_TIMEOUT_S, start_s: float = START_S
    ) -> Any:
        """Make a call once earlier ones are done, and return its result.  Raises OutboundFailed.

        `timeout_s` counts when a worker is ready; if one has to be started, that takes `start_s` at most.
        """
        async with self._one_call:
            fault = f"the worker process did not start within {start_s:g} s"
            try:
                async with asyncio.timeout(start_s):
                    worker = await self._running_worker()
                fault = f"no answer within {timeout_s:g} s"
                async with asyncio.timeout(timeout_s):
                    result, error = await self._exchange(worker, name, arguments)
            except TimeoutError:
                await self.close()
                raise NoAnswer(fault) from None
            except (OSError, ValueError, EOFError) as death:
                await self.close()
                raise WorkerDied(f"the worker process died during {name}") from death
            except asyncio.CancelledError:
                await self.close()
                raise
        if error is not None:
            raise OutboundFailed(error)
        return result

    async def restart_worker(self) -> None:
        """End the worker after the current call, so that the next call starts one with the new configuration."""
        async with self._one_call:
            await self.close()

    async def close(self) -> None:
        """Kill the worker, even during a call."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        with contextlib.suppress(ProcessLookupError):
            worker.kill()
        await worker.wait()

    async def _exchange(
        self, worker: asyncio.subprocess.Process, name: str, arguments: Mapping[str, Any]
    ) -> tuple[Any, str | None]:
        assert worker.stdin is not None  # noqa: S101 - both are pipes: see create_subprocess_exec
        assert worker.stdout is not None  # noqa: S101
        self._calls += 1
        request = {"id": self._calls, "call": name, **arguments}
        worker.stdin.write(json.dumps(request).encode() + b"\n")
        await worker.stdin.drain()
        line = await worker.stdout.readline()
        if not line:
            raise EOFError
        answer = json.loads(line)
        return answer["result"], answer["error"]

    async def _running_worker(self) -> asyncio.subprocess.Process:
        """Return a running worker, after starting one if necessary.  Raises OutboundFailed, OSError."""
        worker = self._worker
        if worker is None or worker.returncode is not None:
            worker = self._worker = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-c",
                WORKER,
                self._module,
                current().subsystem,
                *(folder for folder in sys.path if os.path.isabs(folder)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=MAX_ANSWER_BYTES,
                env=self._environment,
                cwd="/",
            )
            assert worker.stdout is not None  # noqa: S101 - a pipe
            if await worker.stdout.readline() != READY:
                await self.close()
                raise OutboundFailed("the worker process ended at its start, or says something else than it should")
        return worker  # it may have been killed meanwhile: then the call finds its pipes closed
