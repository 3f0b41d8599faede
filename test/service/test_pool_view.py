"""The pool's machines of each annex: the collector is queried when a user queries annexd, and never for long."""

import asyncio
import os
import socket
import time
from collections.abc import Iterator

import pytest

from annexd.annex.status import NEVER_S, PoolCounts, PoolSnapshot
from annexd.daemoncore.pool.outbound import Outbound
from annexd.service.pool_view import ANSWER_S, PoolView, counts_of

ENVIRONMENT = {**os.environ, "CONDOR_CONFIG": "/dev/null", "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "FS"}


def test_a_machine_counts_once_however_many_slots_it_has() -> None:
    slots: list[list[str | None]] = [
        ["annex-1", "slot1@i-01@ip-10-0-0-1", "Unclaimed"],
        ["annex-1", "slot1_1@i-01@ip-10-0-0-1", "Claimed"],
        ["annex-1", "slot1_2@i-01@ip-10-0-0-1", "Claimed"],
        ["annex-1", "slot1@i-02@ip-10-0-0-1", "Unclaimed"],
        ["annex-2", "slot1@i-03", None],
    ]
    assert counts_of([], slots) == {"annex-1": PoolCounts(2, 2, 1), "annex-2": PoolCounts(1, 1, 0)}


def test_a_machine_has_booted_once_its_condor_master_reports_and_has_joined_once_it_has_slots() -> None:
    masters = [["annex-1", "i-01@ip-10-0-0-1", None], ["annex-1", "i-02@ip-10-0-0-2", None]]
    slots = [["annex-1", "slot1@i-02@ip-10-0-0-2", "Unclaimed"]]
    assert counts_of(masters, slots) == {"annex-1": PoolCounts(2, 1, 0)}


def test_slots_that_advertise_other_than_text_count_for_no_annex() -> None:
    slots: list[list[object]] = [[17, "slot1@i-01", "Claimed"], ["annex-1", None, "Claimed"], [None, None, None]]
    assert counts_of(slots, slots) == {}


@pytest.fixture
def silent() -> Iterator[str]:
    """Yield the address of a collector that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_silent_collector_delays_nobody_for_long_and_is_asked_once(silent: str) -> None:
    async def run() -> PoolView:
        view = PoolView(Outbound(ENVIRONMENT), lambda: (silent,))
        async with asyncio.timeout(10 * ANSWER_S):  # one after the other would take twenty times as long
            await asyncio.gather(*(view.refresh() for _ in range(20)))
        assert view._outbound._calls <= 1, "one query for all"
        await view._outbound.close()
        return view

    view = asyncio.run(run())
    assert view.snapshot().at_s == NEVER_S


def test_a_collector_that_is_down_is_reported_and_the_next_one_is_asked() -> None:
    async def run() -> str:
        view = PoolView(Outbound(ENVIRONMENT), lambda: ("127.0.0.1:1", "127.0.0.1:2"))
        async with asyncio.timeout(60):
            while not view.snapshot().fault:
                await view.refresh()  # which also returns after a while without a response
        await view._outbound.close()
        return view.snapshot().fault

    fault = asyncio.run(run())
    assert "127.0.0.1:1" in fault
    assert "127.0.0.1:2" in fault


def test_counts_from_before_the_clock_was_set_back_are_not_fresh() -> None:
    async def run() -> PoolView:
        view = PoolView(Outbound(ENVIRONMENT), lambda: ())
        view._snapshot = PoolSnapshot(time.time() + 5 * 3600)
        await view.refresh()
        return view

    assert asyncio.run(run()).snapshot().fault == "no collector is configured"
