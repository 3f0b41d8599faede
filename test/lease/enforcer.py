"""Run lambda/lease.py as Lambda does, in virtual time: its rule's ticks, its time limit, its log."""

from __future__ import annotations

import contextlib
import io
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from types import ModuleType
from typing import Any, Final

from test.cloud.errors import Answer
from test.cloud.request import Request
from test.histories.timeline import Timeline
from test.histories.transport import URL, Hop
from test.lease.account import BUCKET, Account
from test.lease.loading import load_function

LIMIT_S: Final = 240.0
RESERVE_S: Final = 20.0  # before the limit; no call may start in it
TICK_S: Final = 300.0
MAX_LEASE_S: Final = 30 * 86400
REGION, ACCOUNT_ID = "us-east-1", "123456789012"
FUNCTION_ARN: Final = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:HTCondorAnnexLease"
RULE_ARN: Final = f"arn:aws:events:{REGION}:{ACCOUNT_ID}:rule/HTCondorAnnexLease"
ENVIRONMENT: Final = {
    "AWS_ENDPOINT_URL": URL,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "AKIAFUNCTION",
    "AWS_SECRET_ACCESS_KEY": "virtual",
    "MAX_LEASE_S": str(MAX_LEASE_S),
    "ANNEX_BUCKET": BUCKET,
}


class CutOff(BaseException):
    """Lambda ended the run at its limit."""


@contextlib.contextmanager
def environment(**changed: str | None) -> Iterator[None]:
    wanted: dict[str, str | None] = {**ENVIRONMENT, **changed}
    before = {name: os.environ.get(name) for name in wanted}
    _set(wanted)
    try:
        yield
    finally:
        _set(before)


def _set(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@cache
def _function() -> tuple[ModuleType, Hop]:
    module, hop = load_function(), Hop(_nowhere)
    with environment():
        hop.attach(module.ec2(), module.s3())
    return module, hop


def deployed_module() -> ModuleType:
    """Load lambda/lease.py for these runs."""
    return _function()[0]


def _nowhere(request: Request) -> Answer:
    raise AssertionError(f"{request.operation} outside of any account")


def scheduled_event(at_s: float, rule: str = RULE_ARN) -> dict[str, Any]:
    """Build EventBridge's event.  Source: EventBridge user guide, "Creating a rule that runs on a schedule"."""
    when = datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT_ID,
        "time": when,
        "region": REGION,
        "resources": [rule],
        "detail": {},
    }


class Lambda(ABC):
    """The function in one account; it is also the `time` of its module and the context of its runs."""

    invoked_function_arn = FUNCTION_ARN

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.module, self._hop = _function()
        self.module.time = self  # type: ignore[attr-defined]
        self._hop.way = self._call
        self._limit_s, self._too_late = 0.0, list[str]()
        self.lines: list[str] = []  # of the last run's log
        self.error = ""

    def time(self) -> float:
        return self.timeline.now_s

    def sleep(self, seconds: float) -> None:
        self.timeline.sleep(seconds)
        self._check_limit()

    def _check_limit(self) -> None:
        if self.time() > self._limit_s:
            raise CutOff

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int(1000 * (self._limit_s - self.time())))

    def _call(self, request: Request) -> Answer:
        if self.time() > self._limit_s - RESERVE_S:
            self._too_late.append(request.operation)
        return self._answer(request)

    @abstractmethod
    def _answer(self, request: Request) -> Answer:
        """Return AWS's response to a call."""

    def run(self, event: Any, **changed: str | None) -> dict[str, Any]:
        """Run once with any event; `error` gets the message of a LeaseError."""
        outer_s, self._limit_s, self.error = self._limit_s, self.time() + LIMIT_S, ""
        log = io.StringIO()
        with environment(**changed), contextlib.redirect_stdout(log):
            try:
                self.module.handler(event, self)
            except self.module.LeaseError as error:
                self.error = str(error)
            finally:
                self._limit_s = outer_s  # of the run that this one interrupted
        assert self._too_late == [], "calls in the last 20 s of the time limit"
        self.lines = log.getvalue().splitlines()
        receipt: dict[str, Any] = json.loads(self.lines[-1])
        return receipt


class Enforcer(Lambda):
    """The function in an account of these tests, with its rule's ticks."""

    def __init__(self, account: Account) -> None:
        super().__init__(account.timeline)
        self.account, self.next_tick_s = account, account.timeline.now_s

    def _answer(self, request: Request) -> Answer:
        return self.account.answer(request)

    def tick(self) -> dict[str, Any]:
        """Run at the rule's next tick, and return the receipt."""
        self.timeline.run_to(self.next_tick_s)
        self.next_tick_s += TICK_S
        return self.run(scheduled_event(self.time()))


def enforcer(**more: Any) -> Enforcer:
    return Enforcer(Account(Timeline(), **more))
