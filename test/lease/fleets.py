"""Emulate fleets and instances in virtual time: their states follow from the calls and the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

SPOT, EC2 = "sfr-", "fleet-"  # prefixes of the IDs of the two kinds of fleets
FLEET_TAGS: Final = {SPOT: "aws:ec2spot:fleet-request-id", EC2: "aws:ec2:fleet-id"}
ENDED: Final = {SPOT: "cancelled", EC2: "deleted"}  # the names of their states
PROVISIONING_S: Final = 300.0  # from the creation to ValidUntil, as annexd requests it
CODES: Final = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopped": 80}

ACTS, REFUSES, IDLES = "acts", "refuses", "says success and idles"  # the three variants of a second cancellation
STUCK = "refuses every cancel"


def moment(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None)


@dataclass
class Machine:
    """One instance; `protected` against termination, `denied` if a policy forbids its termination."""

    sequence: int
    instance_id: str
    launched_s: float
    zone: str
    tags: dict[str, str]
    fleet_id: str
    base: str = "running"
    protected: bool = False
    denied: bool = False
    ending_s: float | None = None
    strange: Callable[[dict[str, Any]], Any] | None = None  # changes its description

    def state(self, now_s: float, termination_s: float) -> str:
        if self.ending_s is None or now_s < self.ending_s:
            return self.base
        return "terminated" if now_s >= self.ending_s + termination_s else "shutting-down"

    def end(self, at_s: float) -> None:
        self.ending_s = at_s if self.ending_s is None else min(self.ending_s, at_s)


@dataclass
class Request:
    """One fleet of the type `request`, or with `maintains` of the type `maintain`."""

    sequence: int
    fleet_id: str
    token: str
    created_s: float
    tags: dict[str, str]
    variant: str = ACTS
    maintains: bool = False
    machines: list[Machine] = field(default_factory=list)
    cancelled_s: float | None = None
    terminates: bool = False
    has_ended: bool = False  # AWS still lists it
    strange: Callable[[dict[str, Any]], Any] | None = None  # changes its description

    @property
    def kind(self) -> str:
        return EC2 if self.fleet_id.startswith(EC2) else SPOT

    def state(self, now_s: float) -> str:
        ended = ENDED[self.kind]
        if self.has_ended:
            return ended
        if self.cancelled_s is None and now_s < self.created_s + PROVISIONING_S:
            return "active"
        return f"{ended}_terminating" if self.terminates else f"{ended}_running"

    def cancel(self, now_s: float, reaction_s: float, terminate: bool = True) -> str | None:
        """Return AWS's error code, or None for a success, which may have no effect."""
        state, is_new = self.state(now_s), self.state(now_s) == "active"
        if self.variant == STUCK:
            return "unexpectedError"
        is_second = state.endswith("_running") and terminate and self.variant != REFUSES
        if not is_new and not is_second:
            return "fleetRequestNotInCancellableState" if self.kind == SPOT else "fleetNotInDeletableState"
        if is_new or self.variant == ACTS:
            self.cancelled_s, self.terminates = now_s, terminate
            for machine in self.machines if terminate else ():
                if not machine.protected:
                    machine.end(now_s + reaction_s)
        return None

    def describe(self, now_s: float, user_data: str) -> Any:
        seen = self._as_ec2_fleet(now_s) if self.kind == EC2 else self._as_spot_fleet(now_s, user_data)
        seen |= {
            "ActivityStatus": "fulfilled",
            "CreateTime": moment(self.created_s),
            "Tags": [{"Key": key, "Value": value} for key, value in self.tags.items()],
        }
        return self.strange(seen) if self.strange else seen

    def _as_ec2_fleet(self, now_s: float) -> dict[str, Any]:
        template = {"LaunchTemplateName": self.token or "another", "Version": "1"}
        return {
            "FleetId": self.fleet_id,
            "FleetState": self.state(now_s),
            "Type": "maintain" if self.maintains else "request",
            "TargetCapacitySpecification": {"TotalTargetCapacity": len(self.machines)},
            "LaunchTemplateConfigs": [{"LaunchTemplateSpecification": template}],
            **({"ClientToken": self.token} if self.token else {}),
        }

    def _as_spot_fleet(self, now_s: float, user_data: str) -> dict[str, Any]:
        specification = {
            "ImageId": "ami-12345678",
            "InstanceType": "m5.large",
            "UserData": user_data,
            "SubnetId": "subnet-12345678",
            "KeyName": "key",
            "EbsOptimized": "false",
        }
        return {
            "SpotFleetRequestId": self.fleet_id,
            "SpotFleetRequestState": self.state(now_s),
            "SpotFleetRequestConfig": {
                "ClientToken": self.token,
                "IamFleetRole": "arn:aws:iam::123456789012:role/aws-ec2-spot-fleet-tagging-role",
                "TargetCapacity": len(self.machines),
                "Type": "maintain" if self.maintains else "request",
                "ValidUntil": moment(self.created_s + PROVISIONING_S),
                "LaunchSpecifications": [specification],
            },
        }


@dataclass
class Template:
    """A launch template."""

    sequence: int
    template_id: str
    name: str
    tags: dict[str, str]

    def describe(self) -> dict[str, Any]:
        tags = [{"Key": key, "Value": value} for key, value in self.tags.items()]
        return {"LaunchTemplateId": self.template_id, "LaunchTemplateName": self.name, "Tags": tags}
