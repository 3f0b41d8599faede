"""Many concurrent clients, each a process of its own, since one Python process cannot keep a C++ daemon busy.

A client's process is prepared (its session established, its modules loaded) before the clock starts.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from threading import BrokenBarrierError

from test.bench.daemons import cpu_s
from test.bench.wire import RefusedError

READY_S = 60.0
_processes = multiprocessing.get_context("fork")

Act = Callable[[], None]


@dataclass(frozen=True)
class Rate:
    """A rate; `cpu_s` is the CPU time of each observed process, all operations together."""

    operations: int
    wall_s: float
    cpu_s: tuple[float, ...]

    @property
    def per_s(self) -> float:
        return self.operations / self.wall_s

    @property
    def cpu_ms(self) -> tuple[float, ...]:
        """Return the CPU time of each process for one operation."""
        return tuple(1000 * each / self.operations for each in self.cpu_s)


def for_seconds(make: Callable[[], Act], clients: int, seconds: float, pids: Sequence[int]) -> Rate:
    """Call what `make` returns over and over in this many processes, each with its own.  Raises RefusedError."""

    def work(act: Act) -> int:
        done, end_s = 0, time.monotonic() + seconds
        while time.monotonic() < end_s:
            act()
            done += 1
        return done

    return _measured(make, work, clients, pids)


def for_times(make: Callable[[], Act], clients: int, times: int, pids: Sequence[int] = ()) -> Rate:
    """Call it in the same way, `times` times in all."""

    def work(act: Act) -> int:
        for _ in range(times // clients):
            act()
        return times // clients

    return _measured(make, work, clients, pids)


def _measured(make: Callable[[], Act], work: Callable[[Act], int], clients: int, pids: Sequence[int]) -> Rate:
    ready = _processes.Barrier(clients + 1)
    pipes = [_processes.Pipe(duplex=False) for _ in range(clients)]
    workers = [_processes.Process(target=_client, args=(make, work, ready, theirs)) for _ours, theirs in pipes]
    for worker in workers:
        worker.start()
    for _ours, theirs in pipes:
        theirs.close()
    try:
        ready.wait(READY_S)
        before, begun_s = [cpu_s(pid) for pid in pids], time.monotonic()
        done = sum(_count(ours) for ours, _theirs in pipes)
        wall_s = time.monotonic() - begun_s
        spent = tuple(cpu_s(pid) - then_s for pid, then_s in zip(pids, before, strict=True))
    except (BrokenBarrierError, EOFError):
        raise RefusedError(_fault([ours for ours, _theirs in pipes])) from None
    finally:
        for worker in workers:
            worker.join(READY_S)
    return Rate(done, wall_s, spent)


def _client(make: Callable[[], Act], work: Callable[[Act], int], ready: Barrier, pipe: Connection) -> None:
    try:
        act = make()
        act()
        ready.wait(READY_S)
        pipe.send(work(act))
    except (RefusedError, OSError) as error:
        ready.abort()
        pipe.send(f"{type(error).__name__}: {error}")
    except BrokenBarrierError:
        return


def _count(pipe: Connection) -> int:
    done = pipe.recv()
    if not isinstance(done, int):
        raise RefusedError(str(done))
    return done


def _fault(pipe: Sequence[Connection]) -> str:
    said = [each.recv() for each in pipe if each.poll(1)]
    return next((str(each) for each in said if not isinstance(each, int)), "a client has ended without a word")
