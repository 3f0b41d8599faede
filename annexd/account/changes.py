"""Record what -setup or -teardown did, for -json.

It is filled step by step, so that a failure reports what was done before.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

Changed = Callable[[str, str, str], object]  # action, resource, its ID

CREATED: Final = "created"
UPDATED: Final = "updated"
DELETED: Final = "deleted"
EMPTIED: Final = "emptied"
CLOSED: Final = "closed"
OPENED: Final = "opened"


def ignore(action: str, resource: str, resource_id: str) -> None:
    """Keep no record: for callers that change nothing, or read the account afterwards."""


@dataclass
class AccountChanges:
    """The findings and changes of one command; service-linked roles belong to no region."""

    regions: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: list[dict[str, str | None]] = field(default_factory=list)
    file: dict[str, str] | None = None

    def found(self, region: str, **facts: str | Mapping[str, str]) -> None:
        """Add facts of a region: its account, its stack, and the settings that orders use there."""
        self.regions.setdefault(region, {"region": region}).update(facts)

    def changed_in(self, region: str | None) -> Changed:
        """Return the function that records the changes in a region."""
        return partial(self._changed, region)

    def _changed(self, region: str | None, action: str, resource: str, resource_id: str) -> None:
        self.made.append({"region": region, "action": action, "resource": resource, "id": resource_id})

    def configured(self, path: str, action: str) -> None:
        """Record what happened to the configuration file."""
        self.file = {"path": path, "action": action}
