"""Drift: each resource of a stack compared with its state when CloudFormation created or updated it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from test.cloud.stack import Denied, Resource, Stack
from test.cloud.stack_kinds import is_gone


def detect_drift(stack: Stack) -> None:
    """Compare each resource with its state when CloudFormation created or updated it."""
    drifts = [_drift_of(stack, resource) for resource in stack.resources.values()]
    drifted = [each for each in drifts if each["StackResourceDriftStatus"] != "IN_SYNC"]
    stack.drifts = drifts
    stack.drift = {
        "StackDriftStatus": "DRIFTED" if drifted else "IN_SYNC",
        "DriftedStackResourceCount": len(drifted),
        "DetectionStatus": "DETECTION_COMPLETE",
    }


def _drift_of(stack: Stack, resource: Resource) -> dict[str, Any]:
    try:
        stack.permit_to(resource.kind, "read", resource.subject)
        now = resource.handler.read(stack.client, resource.made.physical_id)
    except (ClientError, Denied) as error:
        if not is_gone(error):
            return _drift(stack, resource, "NOT_CHECKED", [])
        now = None
    if now is None:
        return _drift(stack, resource, "DELETED", [])
    # AWS ignores properties that the template does not set.
    changed = [key for key in now if key in resource.properties and now[key] != (resource.as_made or {}).get(key)]
    return _drift(stack, resource, "MODIFIED" if changed else "IN_SYNC", changed)


def _drift(stack: Stack, resource: Resource, status: str, changed: list[str]) -> dict[str, Any]:
    differences = [
        {"PropertyPath": f"/{key}", "ExpectedValue": "", "ActualValue": "", "DifferenceType": "NOT_EQUAL"}
        for key in changed
    ]
    return {
        "StackId": stack.stack_id,
        "LogicalResourceId": resource.logical_id,
        "PhysicalResourceId": resource.made.physical_id,
        "ResourceType": resource.kind,
        "StackResourceDriftStatus": status,
        "PropertyDifferences": differences,
        "Timestamp": datetime.now(UTC),
    }
