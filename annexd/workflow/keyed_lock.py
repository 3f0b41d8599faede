"""One lock per workflow: one thread runs it at a time, and different workflows never wait for each other."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class KeyedLock:
    """A lock for each name, kept only while it is held or waited for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def take(self, name: str) -> Iterator[None]:
        """Wait for the lock of `name` and hold it."""
        lock = self._join(name)
        try:
            with lock:
                yield
        finally:
            self._leave(name)

    @contextmanager
    def take_if_free(self, name: str) -> Iterator[bool]:
        """Hold the lock of `name` if it is free; yield whether it is held."""
        lock = self._join(name)
        held = lock.acquire(blocking=False)
        try:
            yield held
        finally:
            if held:
                lock.release()
            self._leave(name)

    def _join(self, name: str) -> threading.Lock:
        with self._lock:
            lock, users = self._locks.get(name, (threading.Lock(), 0))
            self._locks[name] = lock, users + 1
            return lock

    def _leave(self, name: str) -> None:
        with self._lock:
            lock, users = self._locks.pop(name)
            if users > 1:
                self._locks[name] = lock, users - 1
