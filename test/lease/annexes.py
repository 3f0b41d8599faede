"""Annexes as the tests make them: a lease armed, a fleet requested, the event that the rule would send."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from test.cloud import Cloud
from test.lease2.loading import load_function

TOP = Path(__file__).resolve().parents[2]
CODE = TOP / "lambda" / "lease.py"
TEMPLATE = TOP / "templates" / "template-3.json"
LONG_OVER_S = 121.0  # after this long EC2 is believed when it tells of nothing
ROLE = "arn:aws:iam::123456789012:role/aws-ec2-spot-fleet-tagging-role"


def load_lease() -> ModuleType:
    """lambda/lease.py."""
    return load_function(CODE)


def specification(annex_id: str = "", **more: Any) -> dict[str, Any]:
    tags = {
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "htcondor:annex-id", "Value": annex_id}]}]
    }
    return {"ImageId": "ami-12345678", "InstanceType": "m5.large"} | (tags if annex_id else {}) | more


@dataclass
class Context:
    """Lambda's context, with a time limit of its own."""

    limit_s: float = 240.0
    started_s: float = field(default_factory=time.time)

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int(1000 * (self.started_s + self.limit_s - time.time())))


@dataclass
class Annex:
    """One annex in the emulated cloud; its lease ended `over_s` ago."""

    cloud: Cloud
    function_arn: str
    over_s: float = 1.0
    annex_id: str = field(default_factory=lambda: f"annex-{uuid.uuid4().hex[:12]}")
    config: dict[str, Any] = field(default_factory=dict)  # what names its configuration object

    @property
    def event(self) -> dict[str, Any]:
        names = {"AnnexID": self.annex_id, "RuleID": self.annex_id, "TargetID": self.annex_id}
        return names | self.config | {"LeaseExpiration": int(time.time() - self.over_s)}

    def arm(self) -> Annex:
        events = self.cloud.client("events")
        events.put_rule(Name=self.annex_id, ScheduleExpression="rate(5 minutes)", State="ENABLED")
        target = {"Id": self.annex_id, "Arn": self.function_arn, "Input": json.dumps(self.event)}
        assert events.put_targets(Rule=self.annex_id, Targets=[target])["FailedEntryCount"] == 0
        return self

    def request(self, capacity: int = 1, token: str | None = None, **config: Any) -> str:
        """A fleet; its token is this annex's, unless another is given (empty: none)."""
        token = f"{self.annex_id}_{uuid.uuid4().hex[:16]}" if token is None else token
        asked = {"LaunchSpecifications": [specification(self.annex_id)], "Type": "request", **config}
        asked |= {"TargetCapacity": capacity, "IamFleetRole": ROLE} | ({"ClientToken": token} if token else {})
        return str(self.cloud.client("ec2").request_spot_fleet(SpotFleetRequestConfig=asked)["SpotFleetRequestId"])

    def is_leased(self) -> bool:
        rules = self.cloud.client("events").list_rules(NamePrefix=self.annex_id)["Rules"]
        return any(rule["Name"] == self.annex_id for rule in rules)

    def alive(self, *fleet_ids: str) -> list[str]:
        return [each["id"] for each in self.cloud.running_instances() if each["fleet"] in fleet_ids]

    def state(self, fleet_id: str) -> str:
        return str(next(each["state"] for each in self.cloud.fleets() if each["id"] == fleet_id))
