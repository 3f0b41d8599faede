"""The journal's health: an error for the administrator, and a state that can be read without blocking.

A disk may fill up, become read-only or hang while annexd runs.  A reader of the state must not wait for that disk, so
the state is kept outside the lock that a hanging write holds.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

SLOW_S: Final = 10.0  # a commit takes less than a millisecond on a good disk, and a second on a bad one


class JournalError(Exception):
    """The journal cannot be used: what, why, and the administrator's next step.

    `unknown`: the record may or may not be on disk.
    """

    def __init__(self, what: str, why: str, next_step: str, *, unknown: bool = False) -> None:
        super().__init__(f"{what}: {why}; {next_step}")
        self.what, self.why, self.next_step, self.unknown = what, why, next_step, unknown


class JournalHealth:
    """The result of the last write, or that it hangs."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._error = ""
        self._began_s: float | None = None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Run a write while recording its result; only one write runs at a time."""
        self._began_s = self._clock_s()
        try:
            yield
        except JournalError as error:
            self._error = str(error)
            raise
        else:
            self._error = ""
        finally:
            self._began_s = None

    def text(self) -> str:
        """Return why the journal cannot be written, or "".  Never blocks."""
        began_s = self._began_s
        if began_s is not None and self._clock_s() - began_s > SLOW_S:
            return f"a write to the journal has been hanging for {self._clock_s() - began_s:.0f} s; check its disk"
        return self._error
