"""Tags as in EC2: those that each resource was created with, and every later change at the time it becomes visible."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable, Mapping

from moto.ec2.exceptions import EC2ClientError

RESERVED = "aws:"  # CERTAIN: EC2 user guide, "Tag your Amazon EC2 resources", tag restrictions
MAX_TAGS = 50  # the same; AWS's own tags do not count
MAX_KEY, MAX_VALUE = 127, 256  # the service model's documentation of Tag
MAX_RESOURCES = 1000  # CERTAIN: the service model's documentation of CreateTags


class TagLog:
    """Tags of one resource.  A change that becomes visible after a newer one overrides it, as a late write does."""

    def __init__(self, born: Mapping[str, str]) -> None:
        self._born = dict(born)
        self._changes: list[tuple[float, int, Mapping[str, str | None]]] = []

    def at(self, now_s: float) -> Mapping[str, str]:
        if not self._changes:
            return self._born
        tags: dict[str, str | None] = dict(self._born)
        for at_s, _, changed in self._changes:
            if at_s <= now_s:
                tags |= changed
        return {key: value for key, value in tags.items() if value is not None}

    def change(self, at_s: float, changed: Mapping[str, str | None]) -> None:
        """Record a change; None removes a key."""
        insort(self._changes, (at_s, len(self._changes), changed), key=lambda each: each[:2])

    def last_changed_s(self, key: str, now_s: float) -> float | None:
        """Return when a key got its current value; None if at the resource's creation."""
        times_s = [at_s for at_s, _, changed in self._changes if key in changed and at_s <= now_s]
        return times_s[-1] if times_s else None

    def removal_of(self, wanted: Iterable[Mapping[str, str]]) -> dict[str, str | None]:
        """Return the change that DeleteTags makes: tags are removed by key, and by value if one is given."""
        tags, asked = self.at(math.inf), list(wanted)
        if not asked:
            return {key: None for key in tags if not key.startswith(RESERVED)}
        there = {each["Key"]: each.get("Value") for each in asked if each["Key"] in tags}
        return {key: None for key, value in there.items() if value in (None, tags[key])}

    def check_room(self, changed: Mapping[str, str | None]) -> None:
        own = [key for key in {**self.at(math.inf), **changed} if not key.startswith(RESERVED)]
        if len(own) > MAX_TAGS:
            raise EC2ClientError("TagLimitExceeded", f"More than {MAX_TAGS} tags on one resource.")


def check_keys(tags: Iterable[Mapping[str, str]]) -> None:
    """Reject reserved keys, which only AWS may write, and keys and values that are too long."""
    for tag in tags:
        key, value = tag.get("Key", ""), tag.get("Value", "")
        if key.lower().startswith(RESERVED):
            raise EC2ClientError("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
        if not 1 <= len(key) <= MAX_KEY or len(value) > MAX_VALUE:
            raise EC2ClientError("InvalidParameterValue", f"Tag key or value is too long: '{key}'")
