"""What every call to AWS goes through: the account's pace before it, and a look at the answer after it.

Every answer carries AWS's own time.  Leases end by that clock, and signatures are checked against it, so how far
this host's clock is off is worth knowing before something is refused for it.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Set
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from annexd.aws import errors
from annexd.aws.limiter import Limiter, Limiters

UNSURE_S: Final = 2.0  # a Date has whole seconds, and an answer its way


class Traffic:
    """Of all clients of one process."""

    def __init__(self, limiters: Limiters | None = None, time_s: Callable[[], float] = time.time) -> None:
        self.limiters = limiters or Limiters()
        self._time_s = time_s
        self._skew_s = 0.0

    @property
    def skew_s(self) -> int:
        """By how much AWS's clock was ahead of this host's at the newest answer; 0 when that is too little to tell."""
        return round(self._skew_s) if abs(self._skew_s) > UNSURE_S else 0

    def watch(self, client: Any, access_key_id: str, expired: Callable[[], None]) -> None:
        """Let each call of `client` wait for its turn; `expired` is called when AWS says so of its keys."""
        limiter = self.limiters.of(access_key_id, client.meta.endpoint_url)

        def before(**_: object) -> None:
            limiter.take_turn()

        def after(http_response: Any, parsed: Mapping[str, Any], **_: object) -> None:
            codes = set(_codes(parsed))
            _pace(limiter, codes)
            if codes & errors.EXPIRED:
                expired()
            self._compare_clocks(http_response.headers.get("Date"))

        client.meta.events.register_last("before-call", before)
        client.meta.events.register_first("after-call", after)

    def _compare_clocks(self, date: str | None) -> None:
        said = _moment(date)
        if said is not None:
            self._skew_s = said.timestamp() - self._time_s()


def _codes(answer: Mapping[str, Any]) -> Iterator[str]:
    """Of the error, or of what failed inside an HTTP 200: targets of a rule, Spot Fleet requests."""
    yield str(answer.get("Error", {}).get("Code", ""))
    for entry in answer.get("FailedEntries") or ():
        yield str(entry.get("ErrorCode", ""))
    for request in answer.get("UnsuccessfulFleetRequests") or ():
        yield str(request.get("Error", {}).get("Code", ""))


def _pace(limiter: Limiter, codes: Set[str]) -> None:
    if codes & errors.THROTTLED:
        limiter.throttled()
    else:
        limiter.answered()


def _moment(date: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(date) if date else None
    except ValueError:
        return None
