"""EC2 that acts: moto's EC2, with fleets, instances and launch templates that behave as AWS's do.

It is a subclass in moto's own routing table, so the rest of EC2 (images, subnets) stays moto's.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import moto.ec2.urls
from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError

from test.cloud import fleet_troubles, views, wire
from test.cloud.behaviour import Chosen
from test.cloud.ec2_attributes import AttributeCalls
from test.cloud.ec2_base import Acting
from test.cloud.ec2_fleets import FleetCalls
from test.cloud.ec2_network import NetworkCalls
from test.cloud.ec2_prices import PriceCalls
from test.cloud.ec2_tags import TagCalls
from test.cloud.ec2_templates import TemplateCalls
from test.cloud.faults import Faults
from test.cloud.filters import matcher
from test.cloud.fleet_order import SPOT_FLEET
from test.cloud.fleets import Fleet, Fleets, IdempotentParameterMismatchError
from test.cloud.instances import Instance
from test.cloud.paging import page
from test.cloud.records import Record
from test.cloud.specifications import checked, specifications

# CERTAIN: code and text recorded in github.com/jenkinsci/ec2-fleet-plugin/issues/327
PROTECTED = (
    "The instance '{}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again."
)
MAX_CANCEL = 100  # CancelSpotFleetRequests takes no more ids

LONGEST_CONSOLE = 65536  # "only the most recent 64 KB of console output is available": EC2 API reference


class ActingEC2(TagCalls, AttributeCalls, FleetCalls, TemplateCalls, PriceCalls, NetworkCalls):
    """All acting calls of EC2; those of Spot Fleet and most of those on instances are defined here."""

    def request_spot_fleet(self) -> ActionResult:
        config = checked(self._parameters()["SpotFleetRequestConfig"])
        named = specifications(config, self._fleets.templates, self.chosen.now.templates_late_s)
        resolved = self._pools_of(named)
        trouble = self.chosen.now.fleet_trouble or self._trouble_of_networks(resolved)
        try:
            fleet = self._fleets.request(config, resolved, replace(self.chosen.now, fleet_trouble=trouble))
        except IdempotentParameterMismatchError as error:
            raise EC2ClientError(
                "IdempotentParameterMismatch", f"The client token {error} was used with other parameters."
            ) from error
        return ActionResult({"SpotFleetRequestId": fleet.fleet_id})

    def describe_spot_fleet_requests(self) -> ActionResult:
        asked, as_of_s = self._parameters(), self._as_of_s("DescribeSpotFleetRequests")
        wanted = [self._fleet(fleet_id, as_of_s) for fleet_id in asked.get("SpotFleetRequestIds") or []]
        among = sorted(wanted, key=lambda fleet: fleet.sequence) or self._spot_fleets()
        left_out = "" if wanted else self._omitted("DescribeSpotFleetRequests")
        fleets, token = page(
            (fleet for fleet in among if fleet.created_at_s <= as_of_s and fleet.fleet_id != left_out),
            asked.get("MaxResults"),
            asked.get("NextToken"),
            drift=lambda: self._drift("DescribeSpotFleetRequests"),
        )
        response = [views.fleet_view(fleet, as_of_s) for fleet in fleets]
        return ActionResult({"SpotFleetRequestConfigs": response, "NextToken": token})

    def _spot_fleets(self) -> Iterator[Fleet]:
        return (each for each in self._fleets.fleets.values() if each.api is SPOT_FLEET)

    def describe_spot_fleet_instances(self) -> ActionResult:
        asked, as_of_s = self._parameters(), self._as_of_s("DescribeSpotFleetInstances")
        fleet = self._fleet(asked["SpotFleetRequestId"], as_of_s)
        known = (each for each in fleet.instances if each.is_visible(as_of_s))
        active = (each for each in known if each.state(as_of_s) in {"pending", "running"})
        instances, token = page(active, asked.get("MaxResults"), asked.get("NextToken"))
        response = [views.active_instance_view(each) for each in instances]
        return ActionResult({"SpotFleetRequestId": fleet.fleet_id, "ActiveInstances": response, "NextToken": token})

    def describe_spot_fleet_request_history(self) -> ActionResult:
        asked, as_of_s = self._parameters(), self._as_of_s("DescribeSpotFleetRequestHistory")
        fleet, since = self._fleet(asked["SpotFleetRequestId"]), float(asked["StartTime"])
        late_s = as_of_s - self.chosen.now.history_late_s
        records = [
            Record(place, each)
            for place, each in enumerate(self._history(fleet, late_s), 1)
            if each["Timestamp"].replace(tzinfo=UTC).timestamp() >= since
            and asked.get("EventType") in {None, each["EventType"]}
        ]
        response, token = page(records, asked.get("MaxResults"), asked.get("NextToken"))
        answer: dict[str, Any] = {
            "SpotFleetRequestId": fleet.fleet_id,
            "StartTime": datetime.fromtimestamp(since, UTC).replace(tzinfo=None),
            "HistoryRecords": [each.view for each in response],
        }
        if token:  # CERTAIN: API reference, LastEvaluatedTime, "If nextToken indicates that there are more items"
            return ActionResult(answer | {"NextToken": token})
        return ActionResult(answer | {"LastEvaluatedTime": datetime.fromtimestamp(late_s, UTC).replace(tzinfo=None)})

    def _history(self, fleet: Fleet, as_of_s: float) -> list[Mapping[str, Any]]:
        records = fleet_troubles.history(fleet, as_of_s)
        return records[::-1] if self.chosen.now.history_newest_first else records

    def cancel_spot_fleet_requests(self) -> ActionResult:
        asked = self._parameters()
        if len(asked["SpotFleetRequestIds"]) > MAX_CANCEL:
            raise EC2ClientError("InvalidParameterValue", f"No more than {MAX_CANCEL} Spot Fleet request IDs.")
        terminate = bool(asked.get("TerminateInstances"))
        successful, unsuccessful = [], []
        for fleet_id in asked["SpotFleetRequestIds"]:
            if code := self._why_not_cancel(fleet_id, terminate):
                unsuccessful.append(views.cancel_error_view(fleet_id, code))
            else:
                before, after = self._fleets.cancel(fleet_id, terminate, self.chosen.now.second_cancel)
                successful.append(views.cancelled_view(fleet_id, before, after))
        response = {"SuccessfulFleetRequests": successful, "UnsuccessfulFleetRequests": unsuccessful}
        if not self.chosen.now.shows_empty_lists:
            response = {name: each for name, each in response.items() if each}
        return ActionResult(response)

    def _why_not_cancel(self, fleet_id: str, terminate: bool) -> str | None:
        fleet = self._fleets.fleets.get(fleet_id)
        if not fleet_id.startswith("sfr-"):
            return "fleetRequestIdMalformed"
        if fleet is None:
            return "fleetRequestIdDoesNotExist"
        if not fleet.takes_cancel(self._fleets.settle(), terminate, self.chosen.now.second_cancel):
            return "fleetRequestNotInCancellableState"
        return self.faults.refuses("CancelSpotFleetRequests", fleet_id)

    def modify_spot_fleet_request(self) -> ActionResult:
        asked = self._parameters()
        fleet = self._fleet(asked["SpotFleetRequestId"])
        if fleet.state(self._fleets.settle()) != "active":
            raise EC2ClientError("InvalidSpotFleetRequestState", "Only an active Spot Fleet request can change.")
        terminate = asked.get("ExcessCapacityTerminationPolicy", "default").lower() == "default"
        self._fleets.modify(fleet.fleet_id, float(asked.get("TargetCapacity", fleet.target)), terminate)
        return ActionResult({"Return": True})

    def describe_instances(self) -> ActionResult | str:
        asked = self._parameters()
        if asked.get("InstanceIds") and "MaxResults" in asked:
            raise EC2ClientError("InvalidParameterCombination", "InstanceIds and MaxResults exclude each other.")
        if self._is_of_moto(asked.get("InstanceIds") or []):
            return super().describe_instances()
        matching, now_s = self._matching(asked)
        instances, token = page(
            matching, asked.get("MaxResults"), asked.get("NextToken"), 5, lambda: self._drift("DescribeInstances")
        )
        is_whole = self.chosen.now.whole_instances
        is_timed = self.chosen.now.interruptions_are_timed
        response = [views.reservation_view(each, now_s, is_whole, is_timed) for each in instances]
        of_moto = [] if token or asked.get("InstanceIds") else self._reservations_of_moto()
        if of_moto or is_whole:
            return ActionResult({"Reservations": response + of_moto, "NextToken": token})
        return wire.document("DescribeInstances", {"Reservations": response, "NextToken": token})

    def _reservations_of_moto(self) -> list[Any]:
        return list(self.ec2_backend.describe_instances(filters=self._filters_from_querystring()))

    def describe_instance_status(self) -> ActionResult:
        asked = self._parameters()
        if self._is_of_moto(asked.get("InstanceIds") or []):
            return super().describe_instance_status()
        matching, now_s = self._matching(asked)
        shown = [each for each in matching if asked.get("IncludeAllInstances") or each.state(now_s) == "running"]
        instances, token = page(shown, asked.get("MaxResults"), asked.get("NextToken"), least=5)
        response = [views.status_view(each, now_s) for each in instances]
        return ActionResult({"InstanceStatuses": response, "NextToken": token})

    def terminate_instances(self) -> ActionResult:
        asked = self._parameters()
        if self._is_of_moto(asked["InstanceIds"]):
            return super().terminate_instances()
        now_s = self._fleets.settle()
        instances = self._all_of(asked["InstanceIds"])
        before = [each.state(now_s) for each in instances]
        if protected := self._fleets.terminate_unless_protected(asked["InstanceIds"]):
            raise EC2ClientError("OperationNotPermitted", PROTECTED.format(protected[0]))
        after_s = self._fleets.settle()
        response = [views.terminating_view(each, was, after_s) for each, was in zip(instances, before, strict=True)]
        return ActionResult({"TerminatingInstances": response})

    def get_console_output(self) -> ActionResult:
        """Return the console of an instance; it is empty until some time after the end."""
        asked = self._parameters()
        [instance] = self._all_of([asked["InstanceId"]])
        now_s, end_s = self._fleets.settle(), instance.gone_at_s()
        posted = end_s is not None and now_s >= end_s + self.chosen.now.console_late_s
        text = base64.b64encode(instance.console.encode()[-LONGEST_CONSOLE:]).decode() if posted else ""
        output = {"Output": text} if text else {}
        return ActionResult({"InstanceId": instance.instance_id, "Timestamp": views.moment(end_s or now_s), **output})

    def _matching(self, asked: dict[str, Any]) -> tuple[list[Instance], float]:
        as_of_s, matches = self._as_of_s("DescribeInstances"), matcher(asked.get("Filters") or [])
        wanted = self._all_of(asked.get("InstanceIds") or [])
        among = sorted(wanted, key=lambda each: each.sequence) or self._fleets.instances.values()
        left_out = "" if wanted else self._omitted("DescribeInstances")
        seen = (each for each in among if each.is_visible(as_of_s) and each.instance_id != left_out)
        return [each for each in seen if matches(each, as_of_s)], as_of_s

    def _omitted(self, operation: str) -> str:
        return self.faults.omitted(operation)

    def _drift(self, operation: str) -> int:
        return self.faults.drift(operation)


def install(regions: defaultdict[str, Fleets], faults: Faults, chosen: Chosen) -> None:
    """Put the acting EC2 into moto's routing table before the first request, when moto reads it."""
    ActingEC2.regions = regions
    Acting.faults, Acting.chosen = faults, chosen
    moto.ec2.urls.url_paths["{0}/"] = ActingEC2.dispatch
