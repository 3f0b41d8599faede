"""Run lambda/lease.py in a history as Lambda does, with faults in its calls to AWS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from test.cloud.errors import Answer
from test.cloud.request import Request
from test.histories.cloud import Cloud
from test.histories.faults import LEASE, Fault
from test.lease.enforcer import CutOff, Lambda

PATIENCE_S = 12.0  # lease.py's read_timeout


@dataclass(frozen=True)
class Run:
    """The model's own record of one run, independent of any log."""

    at_s: float
    is_tick: bool
    is_good: bool  # it saw everything and lacked no right


class Function(Lambda):
    """The function; its runs may be cut off or nested."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud.timeline)
        self._cloud = cloud
        self.broken: list[str] = []  # exceptions that no run may raise
        self.runs: list[Run] = []
        cloud.invoke = self.invoke

    def _answer(self, request: Request) -> Answer:
        self._check_limit()
        answer = self._cloud.deliver(LEASE, request, PATIENCE_S, self._die)
        self._check_limit()
        return answer

    def _die(self, fault: Fault) -> NoReturn:
        raise CutOff(fault.way)

    def invoke(self, event: dict[str, Any]) -> None:
        """Invoke the function; the next tick completes the work of a failed run."""
        if not self._cloud.function.may_run:
            return
        begun_s = self.time()
        try:
            receipt = self.run(event, MAX_LEASE_S=str(self._cloud.function.max_lease_s))
        except CutOff as error:
            self._cloud.points.note(f"the lease function is cut off: {error}")
        except Exception as error:  # noqa: BLE001  Lambda would call it Unhandled, and so do we
            self.broken.append(f"the lease function raised {error!r}")
        else:
            is_good = receipt["complete"] and False not in receipt["rights"].values()
            self.runs.append(Run(begun_s, "source" in event, is_good))
            self._cloud.function.log(self.lines[-1], self.time())
            self._cloud.points.note(f"the lease function: {_short(receipt)} {self.error}")
        finally:
            self._cloud.seen()


def _short(receipt: dict[str, Any]) -> str:
    """Summarize a receipt in a line."""
    names = "fleets", "instances", "over", "ended", "stuck", "errors"
    lacking = [name for name, has in receipt["rights"].items() if has is False]
    counts = " ".join(f"{name} {receipt[name]}" for name in names)
    return f"{counts} {'' if receipt['complete'] else 'incomplete '}{f'without {lacking}' if lacking else ''}"
