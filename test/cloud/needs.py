"""The building blocks of test.cloud.actions: ARNs, and the permissions to pass a role and to tag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from test.cloud import principals
from test.cloud.fleets import Fleets
from test.cloud.policies import Need
from test.cloud.request import Request
from test.cloud.views import ACCOUNT

Parameters = Mapping[str, Any]
Regions = Mapping[str, Fleets]
Found = Iterator[tuple[str, dict[str, list[str]]]]


def arn_of(request: Request, service: str, rest: str) -> str:
    return f"arn:aws:{service}:{request.region}:{ACCOUNT}:{rest}"


def roles_of(profile: str) -> list[str]:
    """Return the ARNs of an instance profile's roles; `profile` is its name or ARN."""
    name = profile.rpartition("/")[2]
    found = next((each for each in principals.iam().instance_profiles.values() if each.name == name), None)
    return [role.arn for role in found.roles] if found is not None else []


def pass_role(role_arn: str, service: str) -> Need:
    return Need("iam:PassRole", role_arn, {"iam:passedtoservice": [service]})


def of_tags(tags: list[Parameters]) -> dict[str, list[str]]:
    """Return the tag condition keys.  CERTAIN: aws:TagKeys exists only if the call names tags (IAM user guide,
    "Controlling access using tags").
    """
    keys: dict[str, list[str]] = {"aws:tagkeys": [str(tag["Key"]) for tag in tags]} if tags else {}
    return keys | {f"aws:requesttag/{str(tag['Key']).lower()}": [str(tag.get("Value", ""))] for tag in tags}


def tagging(resource: str, operation: str, groups: list[Parameters]) -> Need:
    tags = [tag for group in groups for tag in group.get("Tags") or []]
    return Need("ec2:CreateTags", resource, {"ec2:createaction": [operation], **of_tags(tags)})
