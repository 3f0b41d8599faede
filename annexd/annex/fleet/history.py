"""Read the history of a fleet: the only place in which AWS says why an accepted fleet starts nothing.

One reading serves all callers: EC2 allows bursts of 100 such calls and 5 a second for an account and region (EC2
developer guide, "Request throttling"), shared by all its users.
"""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from annexd.annex.fleet.kinds import FleetKind, kind_of
from annexd.annex.translate_aws_errors import translate_aws_errors
from annexd.aws import answers

MOST_RECORDS: Final = 3000  # of one history: three pages
LONGEST_WORD: Final = 60
ERROR: Final = "error"
INSTANCE_CHANGE: Final = "instanceChange"
MODELLED: Final = {  # DescribeFleetHistory's types in botocore's model; its examples have those of Spot Fleet
    "instance-change": INSTANCE_CHANGE,
    "fleet-change": "fleetRequestChange",
    "service-error": ERROR,
}


class Event(NamedTuple):
    """An event by AWS's clock.  `about`: its description or instance ID on one line; it may be empty, as `sub_type`."""

    at_s: float
    kind: str
    sub_type: str
    about: str


def events_of(ec2: Any, fleet_id: str, since_s: float) -> list[Event]:
    """Return the events since then, the newest first.  Raises Retry or Refused."""
    kind: FleetKind = kind_of(fleet_id)
    asked: dict[str, Any] = {kind.history_id: fleet_id, "StartTime": datetime.fromtimestamp(since_s, UTC)}
    with translate_aws_errors(kind.history):
        rows = answers.listed(ec2, kind.history_method, "HistoryRecords", **asked)
        return sorted((_event(row) for row in itertools.islice(rows, MOST_RECORDS)), reverse=True)


def _event(row: Mapping[str, Any]) -> Event:
    at = answers.value(row, "Timestamp", datetime)
    information = row.get("EventInformation")
    about = information if isinstance(information, Mapping) else {}
    kind = answers.text(row, "EventType")
    kind = MODELLED.get(kind, kind)
    name = "InstanceId" if kind == INSTANCE_CHANGE else "EventDescription"
    return Event(
        at.timestamp(), kind, shortened(_line(about.get("EventSubType")), LONGEST_WORD), _line(about.get(name))
    )


def _line(value: object) -> str:
    text = value[: answers.LONGEST_TEXT] if isinstance(value, str) else ""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def shortened(text: str, longest: int) -> str:
    """Return AWS's text cut in the middle: the cause is at its end."""
    return text if len(text) <= longest else f"{text[: longest // 3]} ... {text[-(longest - longest // 3) :]}"


def lives(events: Sequence[Event], sub_type: str) -> dict[str, float]:
    """Return the time of this event for each instance, by ID."""
    return {each.about: each.at_s for each in events if (each.kind, each.sub_type) == (INSTANCE_CHANGE, sub_type)}
