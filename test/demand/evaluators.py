"""Calls of Matcher.match, and observations of the processes that evaluate for them."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from annexd.demand import matching_worker
from annexd.demand.matching import Matcher, Matches
from test.bench.measure import children

POLL_S = 0.002
MODULE = matching_worker.__name__


def matched(jobs: Mapping[str, str], machines: Mapping[str, str], matcher: Matcher | None = None) -> Matches:
    return asyncio.run((matcher or Matcher()).match(jobs, machines))


def supervisors() -> list[int]:
    """Return the children of this process that supervise evaluators; tests of other files may have left others."""
    return [pid for pid in children(os.getpid()) if MODULE in _command(pid)]


def evaluators() -> list[int]:
    """Return the processes that evaluate for this one: children of its supervisors."""
    return [pid for supervisor in supervisors() for pid in children(supervisor)]


class Background:
    """A call of Matcher.match in a thread, so that a test can interfere with its worker."""

    def __init__(self, jobs: Mapping[str, str], machines: Mapping[str, str]) -> None:
        self.found: list[Matches] = []
        self._thread = threading.Thread(target=lambda: self.found.append(matched(jobs, machines)))
        self._thread.start()

    def until(self, is_done: Callable[[], Any]) -> Any:
        """Repeat `is_done` while the call runs, and return its first result that is true."""
        while self._thread.is_alive():
            if found := is_done():
                return found
            time.sleep(POLL_S)
        raise AssertionError("the call is over")

    def kill_one(self, find: Callable[[], list[int]], number: signal.Signals) -> int:
        """Send a signal to the first process that is found alive, and return its pid."""

        def kill() -> int:
            with suppress(ProcessLookupError, IndexError):
                pid = find()[0]
                os.kill(pid, number)
                return pid
            return 0

        return int(self.until(kill))

    def result(self) -> Matches:
        self._thread.join(60)
        [found] = self.found
        return found


def rights(pid: int) -> dict[str, str]:
    """Return a process's status and limits in /proc once it is confined; nothing before."""
    with suppress(OSError, ValueError):
        status = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
        )
        limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
        if any(line.split()[:4] == ["Max", "open", "files", "0"] for line in limits):
            return {**status, "limits": "\n".join(" ".join(line.split()) for line in limits)}
    return {}


def cpu_ticks(pid: int) -> int:
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])
    return 0


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return ""
