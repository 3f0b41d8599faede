"""Troubles that keep a Spot Fleet from starting instances after AWS has accepted it, and their events in its history.

Types, sub-types and their meanings: CERTAIN, EC2 user guide, "Monitor fleet events using Amazon EventBridge", and
botocore's EC2 model, EventInformation.  `Recorded` below is a history that AWS wrote on 19 August 2019 (us-east-1, in
public notes about AWS Batch, which used Spot Fleets then): an error may have an empty description,
launchSpecTemporarilyBlacklisted is of type information and carries the reason, and the error
allLaunchSpecsTemporarilyBlacklisted does not.  Unmarked texts are LIKELY: AWS's messages for such an error elsewhere.
ActivityStatus `error` with state `active`: CERTAIN, recorded in github.com/cloud-custodian/cloud-custodian,
tests/data/placebo.  That a fleet over a quota is cancelled at once: CERTAIN, user guide, "Spot Fleet request states".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from test.cloud.capacity import Refusal

if TYPE_CHECKING:
    from test.cloud.fleets import Fleet

POOL = "c5.18xlarge, ami-0d09143c6fc181fe3, Linux/UNIX"
REPEATED_FOR = (
    'Repeated errors have occurred processing the launch specification "{pool} while launching {market} instance". '
    "It will not be retried for at least 13 minutes. Error message: "
)  # Recorded for spot; LIKELY for on-demand
REPEATED = REPEATED_FOR.format(pool=f"{POOL}, us-east-1a", market="spot")
ALL = (
    "Several attempts to launch instances have failed. Either the request could not be satisfied or the "
    "configuration is not valid. We will retry the request again later. For more information, see the description "
    "of the event."
)  # Recorded
BLACKLISTED, ALL_BLACKLISTED = "launchSpecTemporarilyBlacklisted", "allLaunchSpecsTemporarilyBlacklisted"
INVALID = "spotFleetRequestConfigurationInvalid"
Event = tuple[str, str, str]  # EventType, EventSubType, EventDescription


@dataclass(frozen=True)
class Trouble:
    """One trouble, its events and its effects.

    `starts`: the number of instances that are launched nevertheless; `dies`: each of them ends at once; `cancels`: AWS
    ends the request at once.
    """

    events: tuple[Event, ...] = ()
    starts: int = 0
    cancels: bool = False
    dies: bool = False

    @property
    def is_error(self) -> bool:
        return any(kind == "error" for kind, _, _ in self.events)


# CERTAIN for a launch (recorded in github.com/aws/aws-parallelcluster/issues/1216); its beginning is CERTAIN for a Spot
# Fleet's history (github.com/c6fc/npk/issues/70).  It also names zones that have capacity.
SHORT = (
    "We currently do not have sufficient {kind} capacity in the Availability Zone you requested ({zone}). Our system "
    "will be working on provisioning additional capacity. You can currently get {kind} capacity by not specifying an "
    "Availability Zone in your request or choosing {region}e, {region}f."
)
NO_SPOT = "There is no Spot capacity available that matches your request."  # recorded


def refused(refusal: Refusal, message: str) -> Event:
    """Return the event of an instance without capacity; `message` is one of Behaviour's capacity_words.

    Only the recorded "no-spot-capacity" names no zone; an On-Demand Instance is refused as by RunInstances.
    """
    kind, zone = refusal.kind, refusal.zone
    pool = f"{kind}, {refusal.image}, Linux/UNIX"
    short = SHORT.format(kind=kind, zone=zone, region=zone[:-1])
    if message == "blacklisted":
        market, why = ("spot", NO_SPOT) if refusal.is_spot else ("on-demand", short)
        return "information", BLACKLISTED, REPEATED_FOR.format(pool=f"{pool}, {zone}", market=market) + why
    if message == "no-spot-capacity" and refusal.is_spot:
        return "error", INVALID, f"{pool}: {NO_SPOT}"
    return "error", INVALID, f"{pool}: {short}"


def blacklisted(why: str) -> tuple[Event, ...]:
    return ("information", BLACKLISTED, REPEATED + why), ("error", ALL_BLACKLISTED, ALL)


PRICE = f"{POOL}, us-east-1e, Spot bid price is less than Spot market price"  # Recorded
UNKNOWN_PROFILE = "Value (htcondor) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
OTHER_NETWORK = f"{POOL}: Security group sg-1 and subnet subnet-1 belong to different networks."
DENIED = (
    "You are not authorized to perform this operation. User: arn:aws:sts::123456789012:assumed-role/fleet/x is "
    "not authorized to perform: ec2:RunInstances with an explicit deny in a service control policy"
)
NO_PUBLIC_IP = (
    f"{POOL}: The associatePublicIPAddress parameter can only be specified for the network interface with "
    "DeviceIndex 0. "
)  # EC2 user guide, in the same chapter
LIMIT: Event = ("error", "spotInstanceCountLimitExceeded", "")  # Recorded
TROUBLES: Mapping[str, Trouble] = {
    "": Trouble(),
    "silence": Trouble(),  # LIKELY what a lack of Spot capacity looks like: pending_fulfillment, and no event
    "some": Trouble(starts=1),
    "dying": Trouble(starts=1000, dies=True),  # CERTAIN for a volume's key: "Instance terminates immediately"
    "quota": Trouble((("information", BLACKLISTED, f"{REPEATED}Spot Max Instance Count Exceeded"), LIMIT)),  # Recorded
    "fleet-quota": Trouble((LIMIT,), cancels=True),
    "price": Trouble((("information", "launchSpecUnusable", f"{PRICE} $0.9120"),)),
    "not-offered": Trouble((("information", "launchSpecUnusable", f"{PRICE} $-1.0000"),)),  # Recorded
    "role": Trouble((("error", "iamFleetRoleInvalid", "The IAM fleet role does not have the required permissions."),)),
    "profile": Trouble(blacklisted(UNKNOWN_PROFILE)),
    "image": Trouble(blacklisted("The image id '[ami-0d09143c6fc181fe3]' does not exist")),
    "subnet": Trouble(blacklisted("The subnet ID 'subnet-1' does not exist")),
    "group": Trouble((("error", INVALID, OTHER_NETWORK),)),
    "ebs-key": Trouble(blacklisted("Client.InternalError: Client error on launch")),
    "control-policy": Trouble(blacklisted(DENIED)),
    "capacity": Trouble(blacklisted("There is no Spot capacity available that matches your request.")),
    # Recorded in August 2022: github.com/hashicorp/terraform-provider-aws/pull/26493
    "no-capacity": Trouble(
        (("error", INVALID, f"{POOL}: There is no Spot capacity available that matches your request."),)
    ),
    "invalid": Trouble((("error", INVALID, NO_PUBLIC_IP),)),
    "all": Trouble((("error", ALL_BLACKLISTED, ALL),)),
    "cancelled": Trouble(cancels=True),
}


def activity(fleet: Fleet, now_s: float) -> str | None:
    """Return the ActivityStatus; None for a fleet that has ended, unless it is of type instant.

    CERTAIN: test/cloud/recordings/fleets.json; for an EC2 Fleet github.com/aws-controllers-k8s/ec2-controller/pull/308.
    A fleet of type instant only has "fulfilled": CERTAIN, botocore's EC2 model, FleetData.ActivityStatus.
    """
    if fleet.order.kind == "instant":
        return "fulfilled"
    if fleet.state(now_s).startswith(fleet.api.ended):
        return None
    if TROUBLES[fleet.trouble].is_error or (fleet.refusals and fleet.fulfilled() < fleet.target):
        return "error"
    return "fulfilled" if fleet.fulfilled() >= fleet.target else "pending_fulfillment"


def history(fleet: Fleet, as_of_s: float) -> list[Mapping[str, Any]]:
    """Return the HistoryRecords as of that time, the oldest first: SUSPECTED, no text promises an order."""
    records = sorted(_events(fleet), key=lambda each: each[0])
    return [_record(at_s, event, instance_id) for at_s, event, instance_id in records if at_s <= as_of_s]


def _events(fleet: Fleet) -> Iterator[tuple[float, Event, str]]:
    yield fleet.created_at_s, ("fleetRequestChange", "submitted", ""), ""
    yield fleet.created_at_s, ("fleetRequestChange", "active", ""), ""
    for event in TROUBLES[fleet.trouble].events:
        yield fleet.created_at_s, event, ""
    for refusal in fleet.refusals:
        yield refusal.at_s, refused(refusal, fleet.behaviour.capacity_words), ""
    for each in fleet.instances:
        yield each.launched_at_s, ("instanceChange", "launched", ""), each.instance_id
        if each.terminating_at_s is not None:
            yield each.terminating_at_s, ("instanceChange", "terminated", ""), each.instance_id
    if fleet.cancelled_at_s is not None:
        ended = fleet.api.ended
        states = ([f"{ended}_terminating"] if fleet.terminates else []) + [ended]
        for state in states:
            yield fleet.cancelled_at_s, ("fleetRequestChange", state, ""), ""


def _record(at_s: float, event: Event, instance_id: str) -> Mapping[str, Any]:
    kind, sub_type, description = event
    about = {"EventSubType": sub_type, "EventDescription": description, "InstanceId": instance_id}
    return {
        "Timestamp": datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None),
        "EventType": kind,
        "EventInformation": {name: value for name, value in about.items() if value},
    }
