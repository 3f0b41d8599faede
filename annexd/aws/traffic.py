"""Hooks around every call to AWS: rate limiting before the call, inspection of the response after it.

Every AWS response carries AWS's time.  Leases end by that clock, and signatures are checked against it, so the error of
this host's clock should be known before something is refused because of it.  Only AWS's own hosts and those that the
administrator names are trusted, each client's for its own calls, and only within the tolerance of signatures: an
endpoint that a user names must not influence when anybody's annex ends.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any, Final

from annexd.aws import errors
from annexd.aws.call_counts import CALLS, ERRORS, THROTTLES, CallCounts
from annexd.aws.endpoints import is_aws_host
from annexd.aws.limiter import Limiter, Limiters

UNSURE_S: Final = 2.0  # irrelevant differences
MAX_SKEW_S: Final = 900.0  # AWS accepts no signature that is further off (S3; other services: 300 s), so nothing works


class Clock:
    """The last known difference between AWS's clock and this host's, for one set of keys and endpoints."""

    def __init__(self) -> None:
        self._skew_s = 0.0

    @property
    def skew_s(self) -> int:
        """Return the difference; 0 if it is too small to measure or too large to be plausible."""
        return round(self._skew_s) if UNSURE_S < abs(self._skew_s) <= MAX_SKEW_S else 0

    def heard(self, skew_s: float) -> None:
        self._skew_s = skew_s


class ClientHooks:
    """The hooks of all clients of one process."""

    def __init__(self, limiters: Limiters | None = None, time_s: Callable[[], float] = time.time) -> None:
        self.limiters = limiters or Limiters()
        self.calls = CallCounts()
        self._time_s = time_s
        self.trusted_urls: frozenset[str] = frozenset()  # the administrator's endpoints
        self._skew_s = 0.0

    @property
    def skew_s(self) -> int:
        """Return by how much AWS's clock was ahead of this host's at its newest response; 0 if that is too little.

        It is only reported, since it may come from any account: no time is computed from it.
        """
        return round(self._skew_s) if abs(self._skew_s) > UNSURE_S else 0

    def watch(self, client: Any, access_key_id: str, clock: Clock, expired: Callable[[], None]) -> None:
        """Make each call of `client` wait for its turn; call `expired` when AWS reports that its keys have expired."""
        url = client.meta.endpoint_url
        limiter = self.limiters.of(access_key_id, url)
        calls, service = self.calls, client.meta.service_model.service_name
        sent = threading.local()

        def before(**_: object) -> None:
            limiter.take_turn()
            calls.add(service, CALLS)

        def sending(**_: object) -> None:
            sent.at_s = self._time_s()  # of the last attempt; a client may be used by several threads

        def unanswered(**_: object) -> None:
            calls.add(service, ERRORS)

        def after(http_response: Any, parsed: Mapping[str, Any], **_: object) -> None:
            codes = set(_codes(parsed))
            _pace(limiter, codes)
            if any(codes):
                calls.add(service, ERRORS, *([THROTTLES] if codes & errors.THROTTLED else []))
            if codes & errors.EXPIRED:
                expired()
            if is_aws_host(url) or url in self.trusted_urls:
                self._compare_clocks(clock, http_response.headers.get("Date"), getattr(sent, "at_s", self._time_s()))

        client.meta.events.register_last("before-call", before)
        client.meta.events.register_first("before-send", sending)
        client.meta.events.register_first("after-call", after)
        client.meta.events.register_first("after-call-error", unanswered)

    def _compare_clocks(self, clock: Clock, date: str | None, sent_s: float) -> None:
        """Take the smallest difference that explains the response: AWS dated it after the call was sent and before it
        arrived.
        """
        said_s = errors.moment_s(date)
        if said_s is not None:
            least_s, most_s = said_s - self._time_s(), said_s + 1 - sent_s  # a Date has whole seconds
            self._skew_s = max(least_s, min(most_s, 0.0))
            clock.heard(self._skew_s)


def _codes(answer: Mapping[str, Any]) -> Iterator[str]:
    """Return the codes of the error, or of the fleets that failed inside an HTTP 200."""
    yield str(answer.get("Error", {}).get("Code", ""))
    for name in ("UnsuccessfulFleetRequests", "UnsuccessfulFleetDeletions"):
        for fleet in answer.get(name) or ():
            yield str(fleet.get("Error", {}).get("Code", ""))


def _pace(limiter: Limiter, codes: Set[str]) -> None:
    if codes & errors.THROTTLED:
        limiter.throttled()
    else:
        limiter.answered()
