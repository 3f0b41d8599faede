"""The filters of DescribeInstances: AND between filters, OR between values, * and ? inside a value."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from moto.ec2.exceptions import EC2ClientError

from test.cloud.instances import STATE_CODES, Instance

MAX_VALUES = 200  # EC2's limit of values in one filter
ENDED = {"shutting-down", "terminated"}
Reading = Callable[[Instance, float], list[str]]

READINGS: Mapping[str, Reading] = {
    "instance-id": lambda instance, _: [instance.instance_id],
    "instance-state-name": lambda instance, now_s: [instance.state(now_s)],
    "instance-state-code": lambda instance, now_s: [str(STATE_CODES[instance.state(now_s)])],
    "instance-lifecycle": lambda instance, _: ["spot"] if instance.is_spot else [],
    "instance-type": lambda instance, _: [str(instance.specification.get("InstanceType"))],
    "image-id": lambda instance, _: [str(instance.specification.get("ImageId"))],
    "spot-instance-request-id": lambda instance, _: [instance.spot_request_id] if instance.is_spot else [],
    "availability-zone": lambda instance, _: [instance.zone],
    "state-reason-code": lambda instance, now_s: [instance.reason] if instance.state(now_s) in ENDED else [],
    "tag-key": lambda instance, now_s: list(instance.tags.at(now_s)),
}


def matcher(filters: Sequence[Mapping[str, Any]]) -> Callable[[Instance, float], bool]:
    """Return a test of an instance at a time.

    Raises EC2ClientError with InvalidParameterValue for a filter that EC2, or this emulation, does not have.
    """
    tests = [(_reading(each["Name"]), _pattern(each)) for each in filters]

    def matches(instance: Instance, now_s: float) -> bool:
        return all(any(pattern(text) for text in reading(instance, now_s)) for reading, pattern in tests)

    return matches


TAG_READINGS = {"resource-id": "ResourceId", "resource-type": "ResourceType", "key": "Key", "value": "Value"}


def is_wanted(tag: Mapping[str, str], filters: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a tag, as DescribeTags shows it, fits all filters."""
    return all(_pattern(each)(tag[_tag_member(each["Name"])]) for each in filters)


def has_value(wanted: Mapping[str, Any], text: str) -> bool:
    return bool(_pattern(wanted)(text))


def _tag_member(name: str) -> str:
    if name not in TAG_READINGS:
        raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
    return TAG_READINGS[name]


def _reading(name: str) -> Reading:
    if name.startswith("tag:"):
        key = name.removeprefix("tag:")
        return lambda instance, now_s: [value for name, value in instance.tags.at(now_s).items() if name == key]
    if name not in READINGS:
        raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
    return READINGS[name]


def _pattern(asked: Mapping[str, Any]) -> Callable[[str], object]:
    values: list[str] = list(asked.get("Values") or [])
    if len(values) > MAX_VALUES:
        raise EC2ClientError("FilterLimitExceeded", f"The maximum number of filter values is {MAX_VALUES}.")
    if not any("*" in value or "?" in value for value in values):
        return frozenset(values).__contains__
    one_of = "|".join(fnmatch.translate(value.replace("[", "[[]")) for value in values)
    return re.compile(one_of).match
