"""Handle Ctrl-C, SIGTERM, SIGHUP and the time limit: each stops the steps, and none stops the clean-up."""

import signal
from collections.abc import Callable
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
LONGEST_S: Final = 4500  # of the steps; the clean-up after them is not counted


class Stopped(BaseException):
    """The error that a signal raises inside the steps; no `except Exception` of a step catches it."""

    def __init__(self, number: int) -> None:
        name = signal.Signals(number).name
        super().__init__("its time limit was reached" if number == signal.SIGALRM else f"stopped by {name}")
        self.status = 128 + number


class Stopping:
    """The signal handlers: after `arm` the first signal raises Stopped, after `shield` none does.

    Python loses exceptions in finalizers, so the steps call `check` regularly, and `stopped` is known afterwards.
    """

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say, self._raises, self._is_shielded = say, True, False
        self.stopped: Stopped | None = None

    def check(self) -> None:
        """Raise Stopped if a signal came; after `shield` do nothing."""
        if self.stopped is not None and not self._is_shielded:
            raise self.stopped

    def arm(self, longest_s: float = LONGEST_S) -> None:
        for each in SIGNALS:
            signal.signal(each, self._come)
        signal.setitimer(signal.ITIMER_REAL, longest_s)

    def shield(self) -> None:
        self._raises, self._is_shielded = False, True
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _come(self, number: int, _: object) -> None:
        if not self._raises:
            self._say("still ending what was created: wait until nothing is left")
            return
        self._raises, self.stopped = False, Stopped(number)
        raise self.stopped
