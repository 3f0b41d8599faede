"""EC2 Fleet's calls: one model of a fleet serves these and Spot Fleet's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError

from test.cloud import fleet_specifications, fleet_troubles, views
from test.cloud.ec2_base import Acting
from test.cloud.filters import has_value
from test.cloud.fleet_order import EC2_FLEET
from test.cloud.fleet_views import deleted_view, fleet_view, not_deleted_view, of_instant
from test.cloud.fleets import Fleet, IdempotentParameterMismatchError
from test.cloud.paging import Numbered, page
from test.cloud.records import Record

MAX_DELETED, MAX_INSTANT = 100, 25  # CERTAIN: botocore's EC2 model, DeleteFleets
TOO_MANY = "Can\u2019t delete more than 25 instant fleets in a single request."
RUNS_ON = "NoTerminateInstances option is not supported for instant fleet"
LARGEST_INSTANT = 1000  # instances, beyond which "the deletion request might fail"
HISTORY_TYPES = {  # DescribeFleetHistory's filter -> types of records (CERTAIN: the user guide's example)
    "instance-change": {"instanceChange"},
    "fleet-change": {"fleetRequestChange"},
    "service-error": {"error", "information"},
}


class FleetCalls(Acting):
    """A part of ActingEC2."""

    def create_fleet(self) -> ActionResult:
        """Create a fleet.

        CERTAIN: for type instant the response shows what was launched and what was not, for the others only the ID.
        """
        config = fleet_specifications.checked(self._parameters())
        try:
            fleet = self._fleets.known(config, EC2_FLEET) or self._new_fleet(config)
        except IdempotentParameterMismatchError as error:
            message = f"The client token {error} was used with other parameters."
            raise EC2ClientError("IdempotentParameterMismatch", message) from error
        is_instant = fleet.order.kind == "instant"
        return ActionResult({"FleetId": fleet.fleet_id, **(of_instant(fleet) if is_instant else {})})

    def _new_fleet(self, config: Mapping[str, Any]) -> Fleet:
        now = self.chosen.now
        found = fleet_specifications.specifications(config, self._fleets.templates, now.templates_late_s)
        return self._fleets.request(config, self._pools_of(found), now, EC2_FLEET)

    def describe_fleets(self) -> ActionResult:
        """Describe fleets.  CERTAIN: fleets of type instant are shown only to calls that name them."""
        asked, as_of_s = self._parameters(), self._as_of_s("DescribeFleets")
        ids = asked.get("FleetIds") or []
        among = sorted(self._named_fleets(ids, as_of_s), key=lambda fleet: fleet.sequence)
        left_out = "" if ids else self.faults.omitted("DescribeFleets")
        fleets, token = page(
            (each for each in (among if ids else self._listed(as_of_s)) if each.fleet_id != left_out),
            asked.get("MaxResults"),
            asked.get("NextToken"),
            drift=lambda: self.faults.drift("DescribeFleets"),
        )
        response = [fleet_view(each, as_of_s) for each in fleets]
        shown = [each for each in response if all(_fits(each, wanted) for wanted in asked.get("Filters") or [])]
        return ActionResult({"Fleets": shown, "NextToken": token})

    def _listed(self, as_of_s: float) -> Iterator[Fleet]:
        of_api = (each for each in self._fleets.fleets.values() if each.api is EC2_FLEET)
        return (each for each in of_api if each.created_at_s <= as_of_s and each.order.kind != "instant")

    def _named_fleets(self, fleet_ids: list[str], as_of_s: float) -> Iterator[Fleet]:
        for fleet_id in fleet_ids:
            try:
                yield self._fleet(fleet_id, as_of_s, EC2_FLEET)
            except EC2ClientError:
                if self.chosen.now.unknown_fleet == "refused":
                    raise

    def describe_fleet_instances(self) -> ActionResult:
        asked, as_of_s = self._parameters(), self._as_of_s("DescribeFleetInstances")
        fleet = self._fleet(asked["FleetId"], as_of_s, EC2_FLEET)
        if fleet.order.kind == "instant":
            raise EC2ClientError(
                "InvalidParameterValue", "DescribeFleetInstances does not support fleets of type instant."
            )
        known = (each for each in fleet.instances if each.is_visible(as_of_s))
        active = (each for each in known if each.state(as_of_s) in {"pending", "running"})
        instances, token = page(active, asked.get("MaxResults"), asked.get("NextToken"))
        response = [views.active_instance_view(each) for each in instances]
        return ActionResult({"FleetId": fleet.fleet_id, "ActiveInstances": response, "NextToken": token})

    def describe_fleet_history(self) -> ActionResult:
        asked, as_of_s = self._parameters(), self._as_of_s("DescribeFleetHistory")
        fleet, since_s = self._fleet(asked["FleetId"], api=EC2_FLEET), float(asked["StartTime"])
        kinds = HISTORY_TYPES.get(str(asked.get("EventType")))
        records: list[Numbered] = [
            Record(place, each)
            for place, each in enumerate(fleet_troubles.history(fleet, as_of_s - self.chosen.now.history_late_s), 1)
            if each["Timestamp"].replace(tzinfo=UTC).timestamp() >= since_s
            and (not kinds or each["EventType"] in kinds)
        ]
        response, token = page(records, asked.get("MaxResults"), asked.get("NextToken"))
        evaluated = {} if token else {"LastEvaluatedTime": datetime.fromtimestamp(as_of_s, UTC).replace(tzinfo=None)}
        return ActionResult(
            {
                "FleetId": fleet.fleet_id,
                "HistoryRecords": [self._event(each.view) for each in response if isinstance(each, Record)],
                "NextToken": token,
                **evaluated,
            }
        )

    def _event(self, response: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.chosen.now.fleet_events == "as-documented":
            return response
        kind = next(name for name, kinds in HISTORY_TYPES.items() if response["EventType"] in kinds)
        return {**response, "EventType": kind}

    def delete_fleets(self) -> ActionResult:
        """Delete fleets.  CERTAIN: "If you exceed the specified number of fleets to delete, no fleets are deleted"."""
        asked = self._parameters()
        terminate, ids = bool(asked["TerminateInstances"]), asked["FleetIds"]
        instant = [each for each in ids if self._is_instant(each)]
        if len(ids) - len(instant) > MAX_DELETED:
            raise EC2ClientError("InvalidParameterValue", f"No more than {MAX_DELETED} EC2 Fleet IDs.")
        codes = dict.fromkeys(ids, "ExceededInstantFleetNumForDeletion") if len(instant) > MAX_INSTANT else {}
        good, bad = [], []
        for fleet_id in ids:
            if code := codes.get(fleet_id) or self._why_not_delete(fleet_id, terminate):
                bad.append(not_deleted_view(fleet_id, code, WORDS.get(code, code)))
            else:
                states = self._fleets.cancel(fleet_id, terminate, self.chosen.now.second_cancel)
                good.append(deleted_view(fleet_id, *states))
        return ActionResult({"SuccessfulFleetDeletions": good, "UnsuccessfulFleetDeletions": bad})

    def _is_instant(self, fleet_id: str) -> bool:
        fleet = self._fleets.fleets.get(fleet_id)
        return fleet is not None and fleet.order.kind == "instant"

    def _why_not_delete(self, fleet_id: str, terminate: bool) -> str | None:
        fleet = self._fleets.fleets.get(fleet_id)
        if not fleet_id.startswith(EC2_FLEET.prefix):
            return "fleetIdMalformed"
        if fleet is None:
            return "fleetIdDoesNotExist"
        if self._is_instant(fleet_id) and not terminate:
            return "NoTerminateInstancesNotSupported"
        if not fleet.takes_cancel(self._fleets.settle(), terminate, self.chosen.now.second_cancel):
            return "fleetNotInDeletableState"
        if self._is_instant(fleet_id) and len(list(fleet.live())) > LARGEST_INSTANT:
            return "unexpectedError"
        return self.faults.refuses("DeleteFleets", fleet_id)

    def modify_fleet(self) -> ActionResult:
        """Modify a fleet.  CERTAIN: "You can only modify an EC2 Fleet request of type maintain"."""
        asked = self._parameters()
        fleet = self._fleet(asked["FleetId"], api=EC2_FLEET)
        if not fleet.order.maintains or fleet.state(self._fleets.settle()) != "active":
            raise EC2ClientError("InvalidFleetState", "Only an active EC2 Fleet of type maintain can be modified.")
        policy = asked.get("ExcessCapacityTerminationPolicy") or fleet.config.get("ExcessCapacityTerminationPolicy")
        wanted = asked.get("TargetCapacitySpecification") or {"TotalTargetCapacity": fleet.target}
        self._fleets.modify(fleet.fleet_id, float(wanted["TotalTargetCapacity"]), policy != "no-termination")
        return ActionResult({"Return": True})


WORDS: Mapping[str, str] = defaultdict(
    str, {"ExceededInstantFleetNumForDeletion": TOO_MANY, "NoTerminateInstancesNotSupported": RUNS_ON}
)
FILTERS = {"activity-status": "ActivityStatus", "fleet-state": "FleetState", "type": "Type"}


def _fits(response: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether a fleet fits a filter, whose values have hyphens where a status has an underscore."""
    if wanted["Name"] not in FILTERS:
        raise EC2ClientError("InvalidParameterValue", f"The filter '{wanted['Name']}' is invalid")
    shown = str(response.get(FILTERS[wanted["Name"]]))
    return has_value(wanted, shown) or has_value(wanted, shown.replace("_", "-"))
