"""What is wrong with the journal: in words for an administrator, and as a state that the daemon can look at.

A disk fills up, turns read-only or hangs while annexd runs.  Whoever asks for the state must not wait for that
disk, so it is kept here, outside the lock that a hanging write holds.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

SLOW_S: Final = 10.0  # a commit takes less than a millisecond on a good disk, and a second on a bad one


class JournalError(Exception):
    """The journal cannot be used: what, why, and what an administrator does next.

    `unknown`: it could not be made sure that the record is on the disk, nor that it is not.
    """

    def __init__(self, what: str, why: str, next_step: str, *, unknown: bool = False) -> None:
        super().__init__(f"{what}: {why}; {next_step}")
        self.what, self.why, self.next_step, self.unknown = what, why, next_step, unknown


class JournalHealth:
    """Whether the last write went well, or hangs.  `text` never waits."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._error = ""
        self._began_s: float | None = None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around each write, of which there is one at a time."""
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
        """Empty when the journal can be written, as far as is known."""
        began_s = self._began_s
        if began_s is not None and self._clock_s() - began_s > SLOW_S:
            return f"a write to the journal hangs since {self._clock_s() - began_s:.0f} s; look at its disk"
        return self._error
