"""How many children of one requester there may be, and how they are ended.

A child that acts for a requester belongs to him, who may stop it (kill(2)); and annexd, HTCondor's user then, may not
end it.  So each takes a place of its user's until it has ended, and ending it takes root's right.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

LOOK_S = 0.05  # between two looks for a place
END_TIMEOUT_S = 5.0  # for a child that is told to end: a dead file server may keep it for longer
ROOT = 0
END_AS_ROOT = f"import os, sys; os.seteuid({ROOT}); os.kill(int(sys.argv[1]), 9)"


@dataclass(eq=False)
class ChildSlot:
    """Of a child that acts for this user; none is there before it is started."""

    uid: int
    since_s: float
    child: subprocess.Popen[bytes] | None = None


class ChildSlots:
    """Places for children that answer within `slow_s`.  Thread-safe.

    at_once: children of one user; the next waits for wait_s.  max_slow: those of them that do not answer; then the next
    is refused at once.
    """

    def __init__(self, *, at_once: int, slow_s: float, max_slow: int, wait_s: float) -> None:
        self._at_once, self._slow_s, self._max_slow, self._wait_s = at_once, slow_s, max_slow, wait_s
        self._lock = threading.Lock()
        self._places: set[ChildSlot] = set()

    @contextmanager
    def take(self, uid: int) -> Iterator[ChildSlot | None]:
        """One of this user's, until its child has ended, which may be long after nobody waits for it any more.

        None when some of the user's children have not answered for long, or a burst of them leaves no place in time.
        """
        place, end_s = self._take(uid), time.monotonic() + self._wait_s
        while place is None and time.monotonic() < end_s and self._slow_of(uid) < self._max_slow:
            time.sleep(LOOK_S)
            place = self._take(uid)
        try:
            yield place
        finally:
            if place is not None and place.child is None:
                with self._lock:
                    self._places.discard(place)

    def _take(self, uid: int) -> ChildSlot | None:
        """Those of children that have ended are free again."""
        with self._lock:
            for place in [each for each in self._places if each.child is not None and each.child.poll() is not None]:
                self._places.discard(place)
            if sum(place.uid == uid for place in self._places) >= self._at_once or self._slow_of(uid) >= self._max_slow:
                return None
            place = ChildSlot(uid, time.monotonic())
            self._places.add(place)
            return place

    def _slow_of(self, uid: int) -> int:
        """How many of this user's have not answered for long."""
        slow_since_s = time.monotonic() - self._slow_s
        return sum(place.uid == uid and place.since_s < slow_since_s for place in tuple(self._places))


def python(program: str, *words: str) -> subprocess.Popen[bytes]:
    """A child of the standard library only.  Raises OSError or ValueError."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", program, *words],
        umask=0o077,
        cwd="/",
        env={},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def end(child: subprocess.Popen[bytes]) -> None:
    """Kill it, with root's rights where ours do not reach, and wait for no longer than END_TIMEOUT_S each."""
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    try:
        child.kill()
    except PermissionError:
        _end_as_root(child.pid)
    with suppress(subprocess.TimeoutExpired):
        child.wait(END_TIMEOUT_S)


def _end_as_root(pid: int) -> None:
    """By a child that never belongs to a requester.  The number is still the one's that is meant: it is not reaped."""
    with suppress(OSError, subprocess.TimeoutExpired):
        python(END_AS_ROOT, str(pid)).communicate(timeout=END_TIMEOUT_S)
