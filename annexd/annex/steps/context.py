"""The context of the steps, and their shared checks."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from annexd.annex.fleet.access import Access
from annexd.annex.join.config_bundle import BundleSources, NoBundleSources
from annexd.annex.lease.heartbeat import Heartbeats
from annexd.annex.translate_aws_errors import translate_aws_errors as translate_aws_errors
from annexd.aws import Clients
from annexd.workflow import Refused, Retry


@dataclass(frozen=True)
class StepContext:
    """Everything the steps act on."""

    access: Access
    now_s: Callable[[], float] = time.time
    settle_s: float = 90.0  # a call without a response may take effect until then: 30 s to read, and twice more
    bundle_sources: BundleSources = field(default_factory=NoBundleSources)
    heartbeats: Heartbeats = field(default_factory=Heartbeats)
    pause: Callable[[float], None] = time.sleep  # between two looks at resources that AWS shows a little late

    def aws_now_s(self, clients: Clients) -> float:
        """Return the time by AWS's clock, which ends leases, from AWS's responses to these clients."""
        return self.now_s() + clients.clock.skew_s


def require_settled(context: StepContext, asked_at_s: float, missing: str | None = None) -> None:
    """Raise Retry as long as an earlier call whose response was lost may still take effect.

    Until then it may undo the next call, and `not found` is not conclusive: `missing` is the resource that was not
    found.  `asked_at_s`: when the call was made; 0 if there was none.
    """
    wait_s = asked_at_s + context.settle_s - context.now_s()
    if wait_s > 0:
        message = (
            f"AWS was asked for it only {context.settle_s - wait_s:.0f} s ago, and the request may still take effect"
        )
        raise Retry(f"{missing} does not exist, but {message}" if missing else message, untouched=True)


def before_the_end(context: StepContext, end_of_lease_s: int) -> None:
    """Refuse an order whose lease has ended: the lease function could remove its parts meanwhile."""
    if context.now_s() >= end_of_lease_s:
        raise Refused("the lease ended before the instances were requested", untouched=True)
