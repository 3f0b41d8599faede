"""Emulate a fast AWS in this process, with its own protocols: only the calls of annexd and lambda/lease.py.

The fleets are the emulated cloud's own (test/cloud), but calls do not pass through moto, which costs ten times as
much.  A test compares the responses with the emulated cloud's, call by call.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from moto.ec2.exceptions import EC2ClientError

from annexd.annex.lease.heartbeat import CLOSED_DESCRIPTION
from test.cloud import logs, views, wire
from test.cloud.behaviour import Behaviour, Chosen
from test.cloud.ec2 import ActingEC2
from test.cloud.errors import Answer, error_answer
from test.cloud.faults import Faults
from test.cloud.fleets import Fleets
from test.cloud.log_patterns import compiled
from test.cloud.request import Request
from test.histories.objects import Objects
from test.lease.enforcer import FUNCTION_ARN, REGION

GROUP = "/aws/lambda/HTCondorAnnexLease"
JSON = {"Content-Type": "application/x-amz-json-1.1"}
XML = {"Content-Type": "text/xml;charset=UTF-8"}


class QuickEC2(ActingEC2):
    """The emulated cloud's EC2 for one request, without moto around it and therefore without moto's instances."""

    ec2_backend = None

    def __init__(self, request: Request, fleets: Fleets, chosen: Chosen, faults: Faults) -> None:  # no super(): moto
        self._request = request
        self.regions = defaultdict(lambda: fleets)
        self.region, self.current_account = REGION, views.ACCOUNT
        self.chosen, self.faults = chosen, faults  # type: ignore[misc]  # class attributes in ActingEC2, per history here

    def _parameters(self) -> dict[str, Any]:
        asked = self._request.parameters()
        if asked.get("DryRun"):
            raise EC2ClientError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
        return asked

    def _is_of_moto(self, _: Any) -> bool:
        return False

    def _reservations_of_moto(self) -> list[Any]:
        return []

    def _trouble_of_networks(self, _: object) -> str:
        return ""  # no networks exist

    def answer(self) -> Answer:
        operations = {
            "RequestSpotFleet": self.request_spot_fleet,
            "DescribeSpotFleetRequests": self.describe_spot_fleet_requests,
            "CancelSpotFleetRequests": self.cancel_spot_fleet_requests,
            "DescribeInstances": self.describe_instances,
            "TerminateInstances": self.terminate_instances,
            "ModifyInstanceAttribute": self.modify_instance_attribute,
            "CreateTags": self.create_tags,
            "DescribeFleets": self.describe_fleets,
            "DeleteFleets": self.delete_fleets,
            "CreateFleet": self.create_fleet,
            "CreateLaunchTemplate": self.create_launch_template,
            "CreateLaunchTemplateVersion": self.create_launch_template_version,
            "DescribeLaunchTemplateVersions": self.describe_launch_template_versions,
            "DescribeLaunchTemplates": self.describe_launch_templates,
            "DeleteLaunchTemplate": self.delete_launch_template,
        }
        operation = self._request.operation
        try:
            response = operations[operation]()
        except EC2ClientError as error:
            return error_answer("ec2", 400, error.code, error.message)
        text = response if isinstance(response, str) else wire.document(operation, response.result)
        return Answer(200, text.encode(), XML)


@dataclass
class LeaseFunction:
    """The function's GetFunction result, log group and environment."""

    max_lease_s: int
    exists: bool = True
    is_closed: bool = False
    may_run: bool = True  # its reserved concurrency is not 0
    events: list[dict[str, Any]] = field(default_factory=list)  # of its log group
    late_s: float = 0.0  # delay until the log group shows a line
    empty_pages: int = 0

    def log(self, line: str, now_s: float) -> None:
        at_ms = int(now_s * 1000)
        self.events.append(
            {
                "message": line,
                "timestamp": at_ms,
                "ingestionTime": at_ms,
                "logStreamName": "one",
                "eventId": f"{len(self.events):056d}",
            }
        )

    def describe(self) -> Answer:
        if not self.exists:
            return error_answer("lambda", 404, "ResourceNotFoundException", f"Function not found: {FUNCTION_ARN}")
        description = {"Description": CLOSED_DESCRIPTION} if self.is_closed else {}
        response: dict[str, Any] = {
            "Configuration": {
                "FunctionName": FUNCTION_ARN.split(":")[6],
                "State": "Active",
                "FunctionArn": FUNCTION_ARN,
                "Runtime": "python3.13",
                **description,
            }
        }
        if not self.may_run:
            response["Concurrency"] = {"ReservedConcurrentExecutions": 0}
        return Answer(200, json.dumps(response).encode(), {"Content-Type": "application/json"})

    def filter_events(self, request: Request, now_s: float) -> Answer:
        asked = request.json()
        if not self.exists or asked["logGroupName"] != GROUP:
            wording = "The specified log group does not exist."
            return error_answer("logs", 400, "ResourceNotFoundException", wording)
        matches, shown_ms = compiled(asked["filterPattern"]), (now_s - self.late_s) * 1000
        seen = [each for each in self.events if asked["startTime"] <= each["timestamp"] <= shown_ms]
        behaviour = Behaviour(empty_log_pages=self.empty_pages)
        found, token = logs.page([each for each in seen if matches(each["message"])], asked, behaviour)
        response = {"events": found, "searchedLogStreams": [], **({"nextToken": token} if token else {})}
        return Answer(200, json.dumps(response).encode(), JSON)


@dataclass
class Services:
    """All services in one account; `faults` happen inside calls that succeed otherwise."""

    fleets: Fleets
    function: LeaseFunction
    chosen: Chosen = field(default_factory=lambda: Chosen(Behaviour()))
    objects: Objects = field(default_factory=Objects)
    faults: Faults = field(default_factory=Faults)

    def answer(self, request: Request) -> Answer:
        match request.service:
            case "ec2":
                return QuickEC2(request, self.fleets, self.chosen, self.faults).answer()
            case "logs":
                return self.function.filter_events(request, self.fleets.clock())
            case "s3":
                return self.objects.answer(request)
        return self.function.describe()
