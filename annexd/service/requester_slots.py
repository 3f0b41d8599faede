"""Limit the children of each requester, and kill them.

A child with a requester's rights belongs to that user, who can stop it (kill(2)), and annexd, as HTCondor's user,
cannot kill it.  So each child occupies one of its user's slots until it has ended, and killing it needs root's rights.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

LOOK_S = 0.05  # between two looks for a free slot
KILL_TIMEOUT_S = 5.0  # for a killed child to end: a dead file server may block it for longer
ROOT = 0
KILL_AS_ROOT = f"import os, sys; os.seteuid({ROOT}); os.kill(int(sys.argv[1]), 9)"


@dataclass(eq=False)
class Slot:
    """The slot of one child of this user; `child` is None until it is started."""

    uid: int
    since_s: float
    child: subprocess.Popen[bytes] | None = None


class Slots:
    """Slots for children that respond within `slow_s`.  Thread-safe.

    A user may have `at_once` children; a further one waits for up to `wait_s`.  If `max_slow` of them do not respond,
    it is refused at once.
    """

    def __init__(self, *, at_once: int, slow_s: float, max_slow: int, wait_s: float) -> None:
        self._at_once, self._slow_s, self._max_slow, self._wait_s = at_once, slow_s, max_slow, wait_s
        self._lock = threading.Lock()
        self._slots: set[Slot] = set()

    @contextmanager
    def take(self, uid: int) -> Iterator[Slot | None]:
        """Run a block with a slot of this user, which is free again when its child has ended, possibly long after the
        block.

        The slot is None if `max_slow` children of the user do not respond, or if no slot becomes free in time.
        """
        slot, deadline_s = self._take(uid), time.monotonic() + self._wait_s
        while slot is None and time.monotonic() < deadline_s and self._slow_of(uid) < self._max_slow:
            time.sleep(LOOK_S)
            slot = self._take(uid)
        try:
            yield slot
        finally:
            if slot is not None and slot.child is None:
                with self._lock:
                    self._slots.discard(slot)

    def _take(self, uid: int) -> Slot | None:
        """Take a slot if one is free; first free the slots of children that have ended."""
        with self._lock:
            for slot in [each for each in self._slots if each.child is not None and each.child.poll() is not None]:
                self._slots.discard(slot)
            if sum(slot.uid == uid for slot in self._slots) >= self._at_once or self._slow_of(uid) >= self._max_slow:
                return None
            slot = Slot(uid, time.monotonic())
            self._slots.add(slot)
            return slot

    def _slow_of(self, uid: int) -> int:
        """Count this user's children that have run for longer than `slow_s`."""
        slow_since_s = time.monotonic() - self._slow_s
        return sum(slot.uid == uid and slot.since_s < slow_since_s for slot in tuple(self._slots))


def python(program: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a Python child with the standard library only.  Raises OSError or ValueError."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", program, *arguments],
        umask=0o077,
        cwd="/",
        env={},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def kill(child: subprocess.Popen[bytes]) -> None:
    """Kill a child, as root if necessary, and wait at most KILL_TIMEOUT_S for each attempt."""
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    try:
        child.kill()
    except PermissionError:
        _kill_as_root(child.pid)
    with suppress(subprocess.TimeoutExpired):
        child.wait(KILL_TIMEOUT_S)


def _kill_as_root(pid: int) -> None:
    """Kill a process from a child that runs as root; the ID cannot have been reused, since it is not reaped."""
    with suppress(OSError, subprocess.TimeoutExpired):
        python(KILL_AS_ROOT, str(pid)).communicate(timeout=KILL_TIMEOUT_S)
