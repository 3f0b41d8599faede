"""Outbound calls of the bindings cost a child process, never the daemon."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from annexd.daemoncore.pool.outbound import Outbound, OutboundFailed
from test.daemoncore import slow_worker
from test.packaging.installation import hostile_modules

ENVIRONMENT = {**os.environ, "CONDOR_CONFIG": "/dev/null", "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "FS"}
AD = '[ MyType = "Generic"; Name = "annexd@test" ]'


def advertisement(collector: str) -> dict[str, object]:
    return {"command": "UPDATE_AD_GENERIC", "collector": collector, "ads": [AD]}


def test_a_silent_peer_is_given_up_in_time_and_the_loop_never_waits() -> None:
    async def run() -> int:
        outbound = Outbound(ENVIRONMENT)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = f"127.0.0.1:{silent.getsockname()[1]}"
            call = asyncio.create_task(outbound.call("advertise", advertisement(address), timeout_s=2.0))
            turns = 0
            while not call.done():
                await asyncio.sleep(0.01)
                turns += 1
            with pytest.raises(OutboundFailed, match="no answer within 2 s"):
                await call
        await outbound.close()
        return turns

    assert asyncio.run(run()) > 20  # of 200 that fit into the time; a call that blocks the loop leaves one


def test_an_address_that_makes_the_bindings_abort_costs_one_call_only() -> None:
    async def run() -> None:
        outbound = Outbound(ENVIRONMENT)
        with pytest.raises(OutboundFailed):
            await outbound.call("alive", {"address": "<1.2.3.4:1>\n<1.2.3.4:2>", "pid": 1, "hang_after_s": 5})
        with pytest.raises(OutboundFailed, match="Failed to advertise"):
            await outbound.call("advertise", advertisement("127.0.0.1:1"))
        await outbound.close()

    asyncio.run(run())


def test_a_slow_start_of_the_worker_takes_no_time_from_the_call() -> None:
    async def run() -> None:
        outbound = Outbound(ENVIRONMENT, slow_worker.__name__)
        with pytest.raises(OutboundFailed, match="Failed to advertise"):
            await outbound.call("advertise", advertisement("127.0.0.1:1"), slow_worker.START_S - 0.5)
        await outbound.close()

    asyncio.run(run())


def test_a_worker_that_does_not_start_in_time_is_an_error() -> None:
    async def run() -> None:
        outbound = Outbound(ENVIRONMENT, slow_worker.__name__)
        with pytest.raises(OutboundFailed, match=r"the worker process did not start within 0\.5 s"):
            await outbound.call("advertise", advertisement("127.0.0.1:1"), start_s=0.5)
        await outbound.close()

    asyncio.run(run())


def test_a_worker_that_does_not_start_is_an_error() -> None:
    async def run() -> None:
        with pytest.raises(OutboundFailed, match="the worker process ended at its start"):
            await Outbound(ENVIRONMENT, "annexd.no_such_module").call("advertise", advertisement("127.0.0.1:1"))

    asyncio.run(run())


def test_the_worker_imports_nothing_from_pythonpath(tmp_path: Path) -> None:
    foreign = hostile_modules(tmp_path / "modules", "encodings")

    async def run() -> None:
        outbound = Outbound({**ENVIRONMENT, "PYTHONPATH": str(foreign)})
        with pytest.raises(OutboundFailed, match="Failed to advertise"):
            await outbound.call("advertise", advertisement("127.0.0.1:1"))
        await outbound.close()

    asyncio.run(run())


def test_the_worker_ends_when_annexd_does() -> None:
    async def run() -> int:
        outbound = Outbound(ENVIRONMENT)
        with pytest.raises(OutboundFailed):
            await outbound.call("no such call", {})
        worker = outbound._worker
        assert worker is not None
        assert worker.stdin is not None
        worker.stdin.close()
        async with asyncio.timeout(60):
            return await worker.wait()

    assert asyncio.run(run()) == 0
