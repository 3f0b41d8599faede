"""Termination protection, the only instance attribute that matters to a lease; all others are moto's.

CERTAIN: EC2 user guide, "Change instance termination protection": Spot Instances cannot have it; the API refuses to
change it there (github.com/cloud-custodian/cloud-custodian/issues/2083).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError

from test.cloud.ec2_base import Acting

PROTECTION = "disableApiTermination"
NOT_FOR_SPOT = f"Modifying '{PROTECTION}' is not supported for spot instances."


class AttributeCalls(Acting):
    """A part of ActingEC2."""

    def modify_instance_attribute(self) -> Any:
        asked = self._parameters()
        if self._is_of_moto([asked["InstanceId"]]):
            return super().modify_instance_attribute()
        instance, wanted = self._instance(asked["InstanceId"]), _protection_in(asked)
        if instance.is_spot:
            raise EC2ClientError("UnsupportedOperation", NOT_FOR_SPOT)
        instance.protected = wanted
        return ActionResult({"Return": True})

    def describe_instance_attribute(self) -> Any:
        asked = self._parameters()
        if self._is_of_moto([asked["InstanceId"]]) or asked["Attribute"] != PROTECTION:
            return super().describe_instance_attribute()
        instance = self._instance(asked["InstanceId"])
        return ActionResult(
            {"InstanceId": instance.instance_id, "DisableApiTermination": {"Value": instance.protected}}
        )


def _protection_in(asked: Mapping[str, Any]) -> bool:
    """Return the requested protection; a call has two ways to request it."""
    if "DisableApiTermination" in asked:
        return bool(asked["DisableApiTermination"]["Value"])
    if asked.get("Attribute") == PROTECTION:
        return str(asked["Value"]).lower() == "true"
    raise EC2ClientError("InvalidParameterCombination", f"Of a fleet's instance only {PROTECTION} can change here.")
