"""DescribeSpotFleetRequestHistory: what became of a fleet.

CERTAIN: API reference, HistoryRecord and EventInformation.  Which events come in which words is from the user guide,
"Monitor your Spot Fleet": submitted, active, cancelled and expired are changes of the fleet, launched and terminated
those of an instance.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult

from test.cloud.ec2_base import Acting
from test.cloud.fleets import Fleet

Event = tuple[float, str, str, str | None]  # when, kind, what, instance


class HistoryCalls(Acting):
    """A part of ActingEC2."""

    def describe_spot_fleet_request_history(self) -> ActionResult:
        asked, told_s = self._parameters(), self._told_s("DescribeSpotFleetRequestHistory")
        fleet = self._fleet(asked["SpotFleetRequestId"], told_s)
        events = sorted((each for each in _events(fleet) if each[0] <= told_s), key=lambda event: event[0])
        return ActionResult({
            "SpotFleetRequestId": fleet.fleet_id,
            "StartTime": _moment(fleet.created_at_s),
            "LastEvaluatedTime": _moment(told_s),
            "HistoryRecords": [_record(*each) for each in events],
        })


def _events(fleet: Fleet) -> Iterator[Event]:
    yield fleet.created_at_s, "fleetRequestChange", "submitted", None
    yield fleet.valid_from_s, "fleetRequestChange", "active", None
    for each in fleet.instances:
        yield each.launched_at_s, "instanceChange", "launched", each.instance_id
        if each.terminating_at_s is not None:
            yield each.terminating_at_s, "instanceChange", "terminated", each.instance_id
    if fleet.cancelled_at_s is not None:
        word = "cancelled_terminating" if fleet.terminates else "cancelled_running"
        yield fleet.cancelled_at_s, "fleetRequestChange", word, None


def _record(at_s: float, kind: str, what: str, instance: str | None) -> dict[str, Any]:
    information = {"EventSubType": what, **({"InstanceId": instance} if instance else {})}
    return {"Timestamp": _moment(at_s), "EventType": kind, "EventInformation": information}


def _moment(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None)
