"""Light instance records: the facts that EC2 shows of an instance, with its state computed from the time.

Each of moto's own instances costs volumes, network interfaces and security groups, which makes 10,000 of them
quadratic.  A lease only needs to know whether an instance exists, so a record is its facts and two dates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from test.cloud.tags import TagLog

SELF = "Client.InstanceInitiatedShutdown"  # EC2 API reference, StateReason
STATE_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48}
TERMINATED_VISIBLE_S = 3600.0  # EC2 shows a terminated instance for about an hour


@dataclass(frozen=True)
class Timing:
    """The delays of the cloud: until an instance runs, and until a terminated one is gone."""

    pending_s: float = 0.0
    termination_s: float = 0.0


@dataclass
class Instance:
    """One instance of a fleet; `specification` is the launch specification that it was started from.

    `protected`: termination protection, which Spot instances cannot have.  CERTAIN: EC2 user guide, "Change instance
    termination protection"; github.com/cloud-custodian/cloud-custodian/issues/2083
    """

    sequence: int
    instance_id: str
    spot_request_id: str
    fleet_id: str
    specification: Mapping[str, object]
    weight: float
    tags: TagLog
    zone: str
    launched_at_s: float
    timing: Timing
    is_spot: bool = True
    protected: bool = False
    terminating_at_s: float | None = None
    reason: str = "Client.UserInitiatedShutdown"  # once it ends
    console: str = ""

    def state(self, now_s: float) -> str:
        if self.terminating_at_s is not None and now_s >= self.terminating_at_s:
            gone = now_s >= self.terminating_at_s + self.timing.termination_s
            return "terminated" if gone else "shutting-down"
        return "running" if now_s >= self.launched_at_s + self.timing.pending_s else "pending"

    def is_gone(self, now_s: float) -> bool:
        return self.state(now_s) == "terminated"

    def is_visible(self, now_s: float) -> bool:
        end_s = self.gone_at_s()
        if now_s < self.launched_at_s:  # shown by a Describe that lags behind
            return False
        return end_s is None or now_s < end_s + TERMINATED_VISIBLE_S

    def gone_at_s(self) -> float | None:
        return None if self.terminating_at_s is None else self.terminating_at_s + self.timing.termination_s

    def terminate(self, now_s: float, reason: str = "") -> None:
        if self.terminating_at_s is None:
            self.terminating_at_s, self.reason = now_s, reason or self.reason

    def private_ip(self) -> str:
        number = self.sequence
        return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
