"""Limit the rate of all calls of one account to one endpoint together, after AWS has throttled one.

AWS counts calls per account, not per request.  When it throttles one request, the others must slow down too, or their
attempts keep the account over its limit and nobody gets through.  While nothing is throttled, no call is delayed.
Additive increase, multiplicative decrease, as in TCP.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from botocore.exceptions import BotoCoreError


class ThrottledLocally(BotoCoreError):  # type: ignore[misc]  # botocore has no types
    """The call was not sent, since too many calls of the account are waiting after AWS throttled one."""

    fmt = "AWS throttles this account, and the calls before this one take another {away_s:.0f} s"


@dataclass(frozen=True)
class ThrottlePolicy:
    """The limiter's times, in seconds."""

    first_s: float = 0.25  # between two calls, after the first throttled one
    longest_s: float = 8.0
    patience_s: float = 20.0  # that a call waits for its turn; after that the engine must retry
    forget_s: float = 60.0  # without a throttled call, after which the limit ends


class Limiter:
    """Schedules one account's calls to one endpoint.  Thread-safe; `wait` sleeps."""

    def __init__(
        self,
        pace: ThrottlePolicy | None = None,
        clock_s: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._pace, self._clock_s, self._wait = pace or ThrottlePolicy(), clock_s, wait
        self._lock = threading.Lock()
        self._interval_s = 0.0
        self._next_s = 0.0
        self._throttled_s = 0.0

    def take_turn(self) -> None:
        """Wait for this call's turn.  Raises ThrottledLocally when that is too far away."""
        with self._lock:
            now_s = self._clock_s()
            if not self._is_limiting(now_s):
                return
            turn_s = max(self._next_s, now_s)
            if turn_s - now_s > self._pace.patience_s:
                raise ThrottledLocally(away_s=turn_s - now_s)
            self._next_s = turn_s + self._interval_s
        self._wait(turn_s - now_s)

    def throttled(self) -> None:
        """Halve the rate after a throttled call.  Responses to calls sent before that are ignored."""
        with self._lock:
            now_s = self._clock_s()
            if self._is_limiting(now_s) and now_s - self._throttled_s < self._interval_s:
                return
            doubled_s = max(2 * self._interval_s, self._pace.first_s)
            self._interval_s = min(doubled_s, self._pace.longest_s)
            self._next_s = max(self._next_s, now_s + self._interval_s)
            self._throttled_s = now_s

    def answered(self) -> None:
        """Raise the rate a little after a successful call."""
        if self._interval_s:
            with self._lock:
                rate = 1 / self._interval_s + 0.5 if self._interval_s else 0.0
                self._interval_s = 1 / rate if rate else 0.0

    def is_limiting(self) -> bool:
        """Return whether calls have to wait here."""
        with self._lock:
            return self._is_limiting(self._clock_s())

    def _is_limiting(self, now_s: float) -> bool:
        if self._interval_s and now_s - self._throttled_s > self._pace.forget_s and now_s > self._next_s:
            self._interval_s = 0.0
        return self._interval_s > 0


class Limiters:
    """Holds a limiter for each account's key and endpoint while it limits calls.  Thread-safe."""

    MAX_IDLE: Final = 256

    def __init__(self, make: Callable[[], Limiter] = Limiter) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], Limiter] = {}

    def of(self, access_key_id: str, url: str) -> Limiter:
        with self._lock:
            if len(self._kept) > self.MAX_IDLE:
                self._kept = {key: limiter for key, limiter in self._kept.items() if limiter.is_limiting()}
            return self._kept.setdefault((access_key_id, url), self._make())

    def limiting(self) -> int:
        """Return the number of accounts whose calls are slowed down now."""
        with self._lock:
            return sum(limiter.is_limiting() for limiter in self._kept.values())
