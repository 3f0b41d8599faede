"""The lease function as Lambda runs it: lambda/lease.py itself, its time limit, its further tries.

Its clients are those that it makes itself, from its environment; only their last hop is in this process.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from types import ModuleType
from typing import NoReturn

import botocore.endpoint
from botocore.exceptions import BotoCoreError

from test.cloud.errors import Answer
from test.cloud.keys import FUNCTION_KEY
from test.cloud.request import Request
from test.histories.cloud import RETRY_AFTER_S, Cloud
from test.histories.faults import LEASE, Fault
from test.histories.services import REGION
from test.histories.transport import URL, Hop
from test.lease.annexes import load_lease

LIMIT_S = 240.0  # templates/generate-template: Timeout
PATIENCE_S = 15.0  # lease.py's read_timeout
SMALL_CHANGE = 3  # failed calls that botocore's retry quota (500, 5 a retry) does not feel in the next history
ENVIRONMENT = {
    "AWS_ENDPOINT_URL": URL,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": FUNCTION_KEY,
    "AWS_SECRET_ACCESS_KEY": "emulated",
}


class CutOff(BaseException):
    """Lambda ended the run: nothing of it goes on, not even `except Exception`."""


@cache
def _lease() -> tuple[ModuleType, Hop]:
    return load_lease(), Hop(_nowhere)


def _nowhere(request: Request) -> Answer:
    raise AssertionError(f"{request.operation} outside of any history")


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


class Function:
    """The lease function in one history.  It is the `time` of its module, and its runs' context."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._limits = cloud, list[float]()
        self._newest, self._failed_calls = "", 0
        self.receipts: list[str] = []
        self._module, self._hop = _lease()
        self._module.time = self  # type: ignore[attr-defined]
        self._hop.way = self._call
        self.deleted_by_hand: set[str] = set()
        self.broken: list[str] = []  # what no run may ever raise
        cloud.invoke = self.invoke
        cloud.by_hand = self._delete_rule_by_hand
        with _environment():
            self._hop.attach(*self._module.clients(), self._module.s3())

    @contextlib.contextmanager
    def deployed(self) -> Iterator[None]:
        """While it is, its time also stands in for the pauses between botocore's own tries."""
        real = botocore.endpoint.time
        botocore.endpoint.time = self
        try:
            yield
        finally:
            botocore.endpoint.time = real
            self._hop.way = _nowhere
            if self._failed_calls > SMALL_CHANGE:
                self._module.clients.cache_clear()
                self._module.s3.cache_clear()

    # What lease.py sees.

    def time(self) -> float:
        return self._cloud.timeline.now_s

    def sleep(self, seconds: float) -> None:
        self._cloud.timeline.sleep(seconds)
        self._check_limit()

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int(1000 * (self._limits[-1] - self.time())))

    def _call(self, request: Request) -> Answer:
        self._check_limit()
        try:
            answer = self._cloud.deliver(LEASE, request, PATIENCE_S, self._die)
        except BotoCoreError:
            self._failed_calls += 1
            raise
        self._failed_calls += answer.status >= HTTPStatus.BAD_REQUEST
        self._check_limit()
        return answer

    def _check_limit(self) -> None:
        if self._limits and self.time() > self._limits[-1]:
            raise CutOff

    def _die(self, fault: Fault) -> NoReturn:
        raise CutOff(fault.way)

    # What Lambda does.

    def invoke(self, text: str, tries: int) -> None:
        """One asynchronous invocation; with no text, the newest once more."""
        self._newest = text = text or self._newest
        self._limits.append(self.time() + LIMIT_S)
        try:
            failed = self._run(text)
        finally:
            self._limits.pop()
        if failed and tries < len(RETRY_AFTER_S):
            self._cloud.timeline.after(RETRY_AFTER_S[tries], lambda: self.invoke(text, tries + 1))

    def _delete_rule_by_hand(self) -> None:
        rule = self._cloud.events.rules.pop(json.loads(self._newest)["RuleID"], None)
        if rule is not None:
            self.deleted_by_hand.add(rule.name)

    def _run(self, text: str) -> bool:
        """Whether it failed."""
        told = io.StringIO()
        try:
            with contextlib.redirect_stdout(told):
                self._module.handler(json.loads(text), self)
        except (self._module.LeaseError, CutOff) as error:
            self._cloud.points.tell(f"the lease function failed: {type(error).__name__} {error}")
            return True
        except Exception as error:  # noqa: BLE001  Lambda would call it Unhandled, and so do we
            self.broken.append(f"the lease function raised {error!r}")
            return True
        finally:
            self.receipts += told.getvalue().splitlines()
            self._cloud.seen()
        if '"waiting"' not in told.getvalue():
            self._cloud.points.tell(f"the lease function: {told.getvalue().strip()}")
        return False


def deployed_module() -> ModuleType:
    """lambda/lease.py as these histories run it."""
    return _lease()[0]
