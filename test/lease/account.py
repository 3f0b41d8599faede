"""Emulate EC2 and S3 of one account in virtual time, with their own protocols and EC2's published limits.

Only the lease function's calls are supported.  Its botocore signs, validates and parses; only its last hop is in this
process.  An account acts: instances end some time after the call, and a cancelled fleet ends its own instances.
Unexpected behaviour of AWS is a field of the account, of a fleet or of an instance.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from moto.ec2.exceptions import EC2ClientError

from test.cloud import wire
from test.cloud.buckets import Buckets
from test.cloud.errors import Answer, error_answer
from test.cloud.paging import page
from test.cloud.request import Request as Arrived
from test.histories.timeline import Timeline
from test.lease.fleets import CODES, EC2, FLEET_TAGS, PROVISIONING_S, SPOT, Machine, Request, Template, moment

BUCKET: Final = "annexes"
XML: Final = {"Content-Type": "text/xml;charset=UTF-8"}
ZONES: Final = ("us-east-1a", "us-east-1b", "us-east-1c")
MAX_TAGS: Final = 50
SAME: Final = {"DescribeFleets": "DescribeSpotFleetRequests", "DeleteFleets": "CancelSpotFleetRequests"}
Fault = Callable[[str, dict[str, Any]], tuple[str, str] | None]


@dataclass(frozen=True)
class CloudDelays:
    """Delays of the cloud.  AWS publishes none, so these are assumptions on the slow side."""

    call_s: float = 0.2
    item_s: float = 0.001  # in addition, for each fleet or instance in a response
    reaction_s: float = 30.0  # from a fleet's cancellation to the end of its instances
    termination_s: float = 40.0


class Account:
    """Fleets, instances and objects; `fault` may return an error code and text for a call.

    It receives an EC2 Fleet call under the name of its Spot Fleet counterpart.
    """

    kind: ClassVar[str] = SPOT  # of the fleets that are created here, unless another is given

    def __init__(self, timeline: Timeline, pace: CloudDelays = CloudDelays()) -> None:
        self.timeline, self.pace = timeline, pace
        self.limits = Buckets(timeline.time)
        self.requests: dict[str, Request] = {}
        self.machines: dict[str, Machine] = {}
        self._started_by: defaultdict[str, list[Machine]] = defaultdict(list)
        self.objects: set[str] = set()
        self.templates: dict[str, Template] = {}
        self.may_delete_with_instances = True  # whether a conditional right to terminate suffices for DeleteFleets
        self.calls: Counter[str] = Counter()
        self.throttled: Counter[str] = Counter()
        self.effects: deque[tuple[float, str, str]] = deque()
        self.user_data = ""
        self.hidden: set[str] = set()  # fleets that no list shows
        self.failing: dict[str, str] = {}  # error codes by operation
        self.unknown_is_empty = False  # an unknown ID gets an empty list instead of an error
        self.page_token: Callable[[str | None], str | None] = lambda token: token
        self.fault: Fault = lambda _, __: None

    # The account without the function.

    def request(self, token: str, instances: int = 1, kind: str = "", **more: Any) -> Request:
        """Create a fleet; an EC2 Fleet of an annex has its own launch template."""
        number, now_s = len(self.requests) + 1, self.timeline.now_s
        made = {"created_s": now_s, "tags": {}, **more}
        fleet = Request(number, f"{kind or self.kind}{number:08x}-0000-4000-8000-000000000000", token, **made)
        if fleet.kind == EC2 and token:
            self.make_template(token)
        self.requests[fleet.fleet_id] = fleet
        for _ in range(instances):
            self.launch(fleet)
        return fleet

    def make_template(self, name: str, **tags: str) -> Template:
        number = len(self.templates) + 1
        made = Template(number, f"lt-{number:017x}", name, tags or {"htcondor:annex-id": name.partition("_")[0]})
        self.templates[made.template_id] = made
        return made

    def launch(self, fleet: Request) -> Machine:
        number = len(self.machines) + 1
        machine = Machine(
            number,
            f"i-{number:017x}",
            self.timeline.now_s,
            ZONES[number % 3],
            {FLEET_TAGS[fleet.kind]: fleet.fleet_id},
            fleet.fleet_id,
        )
        self.machines[machine.instance_id] = machine
        fleet.machines.append(machine)
        self._started_by[fleet.fleet_id].append(machine)
        return machine

    def living(self, *fleets: Request) -> list[Machine]:
        """Return the instances that cost money and were not terminated."""
        machines = [each for fleet in fleets for each in fleet.machines] if fleets else self.machines.values()
        return [each for each in machines if self.state(each) in {"pending", "running", "stopped"}]

    def state(self, machine: Machine) -> str:
        return machine.state(self.timeline.now_s, self.pace.termination_s)

    def count(self, operation: str) -> int:
        """Return the number of calls by both APIs."""
        return sum(number for name, number in self.calls.items() if SAME.get(name, name) == operation)

    # The function's calls.

    def answer(self, arrived: Arrived) -> Answer:
        if arrived.service == "s3":
            return self._s3(arrived)
        asked, operation = arrived.parameters(), arrived.operation
        self.calls[operation] += 1
        self.timeline.sleep(self.pace.call_s)
        if fault := self.fault(SAME.get(operation, operation), asked):
            return error_answer("ec2", 503 if "Limit" in fault[0] else 400, *fault)
        if not self.limits.takes(arrived.region, operation, asked, speed=1.0):
            self.throttled[operation] += 1
            return error_answer("ec2", 503, "RequestLimitExceeded", "Request limit exceeded.")
        if code := self.failing.get(operation):
            return error_answer("ec2", 400, code, "a fault of this test")
        try:
            response = self._operations()[operation](asked)
        except EC2ClientError as error:
            return error_answer("ec2", 400, error.code, error.message)
        return Answer(200, wire.document(operation, response).encode(), XML)

    def _operations(self) -> dict[str, Callable[[dict[str, Any]], dict[str, Any]]]:
        return {
            "DescribeSpotFleetRequests": self._describe_requests,
            "DescribeInstances": self._describe_instances,
            "CancelSpotFleetRequests": self._cancel,
            "TerminateInstances": self._terminate,
            "CreateTags": self._create_tags,
            "ModifyInstanceAttribute": self._modify,
            "DescribeFleets": self._describe_fleets,
            "DeleteFleets": self._delete_fleets,
            "DescribeLaunchTemplates": self._describe_templates,
            "DeleteLaunchTemplate": self._delete_template,
        }

    def _describe_requests(self, asked: dict[str, Any]) -> dict[str, Any]:
        response, token = self._described(SPOT, asked, asked.get("SpotFleetRequestIds"))
        return {"SpotFleetRequestConfigs": response, "NextToken": token}

    def _describe_fleets(self, asked: dict[str, Any]) -> dict[str, Any]:
        response, token = self._described(EC2, asked, asked.get("FleetIds"))
        return {"Fleets": response, "NextToken": token}

    def _described(self, kind: str, asked: dict[str, Any], ids: list[str] | None) -> tuple[list[Any], str | None]:
        if ids:
            known = [each for each in ids if each in self.requests or not self.unknown_is_empty]
            found, token = [self._request(each) for each in known], None
        else:
            shown = (each for each in self.requests.values() if each.kind == kind)
            listed = (each for each in shown if each.fleet_id not in self.hidden)
            found, token = page(listed, asked.get("MaxResults"), asked.get("NextToken"))
        self.timeline.sleep(self.pace.item_s * len(found))
        response = [each.describe(self.timeline.now_s, self.user_data) for each in found]
        return response, token if ids else self.page_token(token)

    def _describe_instances(self, asked: dict[str, Any]) -> dict[str, Any]:
        filters = {each["Name"]: set(each["Values"]) for each in asked["Filters"]}
        states = filters.pop("instance-state-name")
        found = (each for each in self._among(filters) if self.state(each) in states)
        response, token = page(found, asked.get("MaxResults"), asked.get("NextToken"), 5)
        self.timeline.sleep(self.pace.item_s * len(response))
        return {"Reservations": [self._reservation(each) for each in response], "NextToken": token}

    def _among(self, filters: dict[str, set[str]]) -> Iterable[Machine]:
        [(name, values)] = filters.items()
        if name == "tag-key":
            return (each for each in self.machines.values() if not values.isdisjoint(each.tags))
        assert name in {f"tag:{each}" for each in FLEET_TAGS.values()}
        return sorted((each for key in values for each in self._started_by[key]), key=lambda each: each.sequence)

    def _reservation(self, machine: Machine) -> dict[str, Any]:
        state = self.state(machine)
        instance = {
            "InstanceId": machine.instance_id,
            "ImageId": "ami-12345678",
            "InstanceType": "m5.large",
            "State": {"Code": CODES[state], "Name": state},
            "LaunchTime": moment(machine.launched_s),
            "Placement": {"AvailabilityZone": machine.zone, "Tenancy": "default"},
            "SubnetId": "subnet-12345678",
            "InstanceLifecycle": "spot",
            "Tags": [{"Key": key, "Value": value} for key, value in machine.tags.items()],
        }
        seen = machine.strange(instance) if machine.strange else instance
        return {"ReservationId": f"r-{machine.sequence:017x}", "Groups": [], "Instances": [seen]}

    def _cancel(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert len(asked["SpotFleetRequestIds"]) <= 100
        assert asked["TerminateInstances"] is True
        good, bad = self._end_fleets(asked, asked["SpotFleetRequestIds"], "SpotFleetRequestId")
        return {"SuccessfulFleetRequests": good, "UnsuccessfulFleetRequests": bad}

    def _delete_fleets(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert len(asked["FleetIds"]) <= 25
        if asked["TerminateInstances"] and not self.may_delete_with_instances:
            raise EC2ClientError("UnauthorizedOperation", "You are not authorized to perform this operation.")
        good, bad = self._end_fleets(asked, asked["FleetIds"], "FleetId")
        return {"SuccessfulFleetDeletions": good, "UnsuccessfulFleetDeletions": bad}

    def _end_fleets(self, asked: dict[str, Any], ids: list[str], member: str) -> tuple[list[Any], list[Any]]:
        fleets = [self._request(each) for each in ids]
        _refuse_dry_run(asked)
        good, bad = [], []
        for fleet in fleets:
            code = fleet.cancel(self.timeline.now_s, self.pace.reaction_s, asked["TerminateInstances"])
            self.effects.append((self.timeline.now_s, f"cancel: {code or 'success'}", fleet.fleet_id))
            if code:
                bad.append({member: fleet.fleet_id, "Error": {"Code": code, "Message": code}})
            else:
                good.append({member: fleet.fleet_id})
        return good, bad

    def _describe_templates(self, asked: dict[str, Any]) -> dict[str, Any]:
        [wanted] = asked["Filters"]
        assert wanted["Name"] == "tag-key"
        tagged = (each for each in self.templates.values() if not each.tags.keys().isdisjoint(wanted["Values"]))
        found, token = page(tagged, asked.get("MaxResults"), asked.get("NextToken"), most=200)
        return {"LaunchTemplates": [each.describe() for each in found], "NextToken": token}

    def _delete_template(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["LaunchTemplateId"] not in self.templates:
            raise EC2ClientError("InvalidLaunchTemplateId.NotFound", "It does not exist")
        self.effects.append((self.timeline.now_s, "template deleted", asked["LaunchTemplateId"]))
        return {"LaunchTemplate": self.templates.pop(asked["LaunchTemplateId"]).describe()}

    def _terminate(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Terminate no instance if one is denied, and none in a protected one's zone.  Source: API reference."""
        machines = [self._machine(each) for each in asked["InstanceIds"]]
        if any(each.denied for each in machines):
            raise EC2ClientError("UnauthorizedOperation", "You are not authorized to perform this operation.")
        _refuse_dry_run(asked)
        zones = {each.zone for each in machines if each.protected and self.state(each) != "terminated"}
        for machine in machines:
            if machine.zone not in zones:
                self._end(machine)
        if zones:
            wording = "The instance may not be terminated. Modify its 'disableApiTermination' instance attribute."
            raise EC2ClientError("OperationNotPermitted", wording)
        return {"TerminatingInstances": [{"InstanceId": each.instance_id} for each in machines]}

    def _end(self, machine: Machine) -> None:
        now_s = self.timeline.now_s
        if self.state(machine) == "running":
            self.effects.append((now_s, "terminated", machine.instance_id))
            fleet = self.requests.get(machine.fleet_id)
            if fleet is not None and fleet.maintains and fleet.state(now_s) == "active":
                self.launch(fleet)
        machine.end(now_s)

    def _create_tags(self, asked: dict[str, Any]) -> dict[str, Any]:
        machines = [self._machine(each) for each in asked["Resources"]]
        tags = {each["Key"]: each["Value"] for each in asked["Tags"]}
        assert not any(key.startswith("aws:") for key in tags)
        _refuse_dry_run(asked)
        if any(len(each.tags.keys() | tags) > MAX_TAGS for each in machines):
            raise EC2ClientError("TagLimitExceeded", "The maximum number of Tags has been reached.")
        for machine in machines:
            machine.tags.update(tags)
        return {"Return": "true"}

    def _modify(self, asked: dict[str, Any]) -> dict[str, Any]:
        machine = self._machine(asked["InstanceId"])
        _refuse_dry_run(asked)
        machine.protected = bool(asked["DisableApiTermination"]["Value"])
        return {"Return": "true"}

    def _request(self, fleet_id: str) -> Request:
        if fleet_id not in self.requests:
            kind = "InvalidFleetId" if fleet_id.startswith(EC2) else "InvalidSpotFleetRequestId"
            raise EC2ClientError(f"{kind}.NotFound", f"The ID '{fleet_id}' does not exist")
        return self.requests[fleet_id]

    def _machine(self, instance_id: str) -> Machine:
        if instance_id not in self.machines:
            raise EC2ClientError("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
        return self.machines[instance_id]

    def _s3(self, arrived: Arrived) -> Answer:
        self.calls[arrived.operation] += 1
        self.timeline.sleep(self.pace.call_s)
        if fault := self.fault(arrived.operation, {}):
            return error_answer("s3", 403, *fault)
        if arrived.operation == "ListObjectsV2":
            keys = "".join(f"<Contents><Key>{each}</Key></Contents>" for each in sorted(self.objects))
            return Answer(200, f"<ListBucketResult>{keys}</ListBucketResult>".encode(), XML)
        assert arrived.operation == "DeleteObjects"
        self.objects -= {each["Key"] for each in arrived.parameters()["Delete"]["Objects"]}
        return Answer(200, b"<DeleteResult></DeleteResult>", XML)


def _refuse_dry_run(asked: dict[str, Any]) -> None:
    if asked.get("DryRun"):
        raise EC2ClientError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")


def ended_long_ago(account: Account, token: str) -> Request:
    """Create an ended fleet, which AWS lists for 48 hours."""
    return account.request(token, 0, created_s=account.timeline.now_s - 2 * PROVISIONING_S, has_ended=True)
