"""A semaphore whose size may change at a reconfig."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from annexd.daemoncore.process.semaphore import Semaphore


class Holder:
    """A task that holds the semaphore until `go` is called."""

    def __init__(self, semaphore: Semaphore) -> None:
        self.is_inside, self._may_go = False, asyncio.Event()
        self.task = asyncio.create_task(self._stay(semaphore))

    async def _stay(self, semaphore: Semaphore) -> None:
        async with semaphore:
            self.is_inside = True
            await self._may_go.wait()

    async def go(self) -> None:
        self._may_go.set()
        await self.task


def run(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scene, timeout=60))


async def holders(semaphore: Semaphore, number: int) -> list[Holder]:
    found = [Holder(semaphore) for _ in range(number)]
    await let_tasks_run()
    return found


async def let_tasks_run() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_tasks_enter_in_the_order_of_their_arrival() -> None:
    async def scene() -> None:
        semaphore = Semaphore(2)
        guests = await holders(semaphore, 5)
        assert [guest.is_inside for guest in guests] == [True, True, False, False, False]
        assert semaphore.waiting == 3
        await guests[1].go()
        await let_tasks_run()
        assert [guest.is_inside for guest in guests] == [True, True, True, False, False]
        for guest in guests:
            await guest.go()
        assert semaphore.waiting == 0

    run(scene())


def test_growing_admits_waiting_tasks_and_shrinking_evicts_none() -> None:
    async def scene() -> None:
        semaphore = Semaphore(1)
        guests = await holders(semaphore, 4)
        semaphore.resize(3)
        await let_tasks_run()
        assert [guest.is_inside for guest in guests] == [True, True, True, False]
        semaphore.resize(1)
        await guests[0].go()
        await guests[1].go()
        await let_tasks_run()
        assert not guests[3].is_inside
        await guests[2].go()
        await let_tasks_run()
        assert guests[3].is_inside
        await guests[3].go()

    run(scene())


def test_a_task_that_stops_waiting_delays_no_other() -> None:
    async def scene() -> None:
        semaphore = Semaphore(1)
        guests = await holders(semaphore, 3)
        guests[1].task.cancel()
        await let_tasks_run()
        assert semaphore.waiting == 1
        await guests[0].go()
        await let_tasks_run()
        assert guests[2].is_inside
        await guests[2].go()

    run(scene())


def test_a_task_cancelled_at_the_moment_of_its_turn_passes_it_on() -> None:
    async def scene() -> None:
        semaphore = Semaphore(1)
        guests = await holders(semaphore, 3)
        guests[0]._may_go.set()
        await asyncio.sleep(0)  # the first is about to leave
        guests[1].task.cancel()
        await let_tasks_run()
        assert not guests[1].is_inside
        assert guests[2].is_inside
        await guests[2].go()

    run(scene())
