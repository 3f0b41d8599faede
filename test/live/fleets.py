"""Request the fleets that annexd itself would not request.

Each has a client token like annexd's, so that the rehearsal's own lease function ends it in any case.  It also has a
ValidUntil, at most one small machine, which shuts itself down, and the tag by which --clean-up finds it.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from annexd.annex.fleet.kinds import kind_of
from annexd.annex.lease.identifiers import leased_token, new_annex_id
from annexd.aws import errors
from annexd.aws.errors import AWS_ERRORS
from test.live import names
from test.live.host import user_data
from test.live.stage import Stage

TERMINATED = "terminated"
NOT_SHOWN = "not shown"
ENDING = frozenset({"shutting-down", TERMINATED})


def launch_specification(stage: Stage) -> dict[str, Any]:
    """Return a machine's launch specification, with the stack's resources."""
    return {
        "ImageId": stage.image,
        "InstanceType": stage.instance_type,
        "UserData": user_data(),
        "SecurityGroups": [{"GroupId": stage.outputs["SecurityGroupID"]}],
        "IamInstanceProfile": {"Arn": stage.outputs["InstanceProfileARN"]},
        "TagSpecifications": [{"ResourceType": "instance", "Tags": tags(stage)}],
    }


def config(stage: Stage, **more: Any) -> dict[str, Any]:
    """Return a request for one machine until the end of a short lease."""
    end_s = int(time.time()) + stage.pace.own_lease_s
    return {
        "AllocationStrategy": "lowestPrice",
        "TargetCapacity": 1,
        "Type": "request",
        "ClientToken": leased_token(new_annex_id(), end_s),
        "IamFleetRole": stage.outputs["FleetRoleARN"],
        "ValidUntil": datetime.fromtimestamp(int(time.time() + stage.pace.valid_s), UTC),
        "TerminateInstancesWithExpiration": False,
        "TagSpecifications": [{"ResourceType": "spot-fleet-request", "Tags": tags(stage)}],
        **more,
    }


def tags(stage: Stage) -> list[dict[str, str]]:
    return [{"Key": names.TAG, "Value": stage.run}]


def request(stage: Stage, ec2: Any, wanted: Mapping[str, Any]) -> str:
    """Request a fleet, and return its ID."""
    stage.account.mark_change()
    try:
        return str(ec2.request_spot_fleet(SpotFleetRequestConfig=wanted)["SpotFleetRequestId"])
    finally:
        stage.account.mark_change()


def state_of(ec2: Any, fleet_id: str) -> str:
    """Return a fleet's state; AWS may not show a new fleet at once."""
    kind = kind_of(fleet_id)
    try:
        response = getattr(ec2, kind.describe_method)(**{kind.ids: [fleet_id]})[kind.listed]
    except AWS_ERRORS as error:
        if not errors.is_not_found(error):
            raise
        response = []
    return str(response[0][kind.state]) if response else NOT_SHOWN


def instances_of(ec2: Any, fleet_id: str) -> list[dict[str, Any]]:
    """Return DescribeInstances' result for a fleet, by the tag that AWS sets."""
    response = ec2.describe_instances(Filters=[{"Name": f"tag:{kind_of(fleet_id).instance_tag}", "Values": [fleet_id]}])
    return [each for reservation in response["Reservations"] for each in reservation["Instances"]]


def running(ec2: Any, fleet_id: str) -> list[dict[str, Any]]:
    return [each for each in instances_of(ec2, fleet_id) if each["State"]["Name"] == "running"]


def first_instance(stage: Stage, ec2: Any, fleet_id: str) -> dict[str, Any] | None:
    """Wait for a machine to run, and tag its volumes, so that they are found if they outlive it."""
    found = stage.wait(lambda: running(ec2, fleet_id), stage.pace.launch_s)
    if not found:
        return None
    tag_volumes(stage, found)
    return found[0]


def tag_volumes(stage: Stage, instances: list[dict[str, Any]]) -> None:
    volumes = [
        each["Ebs"]["VolumeId"] for one in instances for each in one.get("BlockDeviceMappings") or () if "Ebs" in each
    ]
    if volumes:
        stage.account.client("ec2").create_tags(Resources=volumes, Tags=tags(stage))


def is_ending(ec2: Any, fleet_id: str) -> bool:
    """Return whether all known instances are ending; one missing from a list does not count as ending."""
    response = instances_of(ec2, fleet_id)
    return bool(response) and all(each["State"]["Name"] in ENDING for each in response)


def is_gone(ec2: Any, fleet_id: str) -> bool:
    return all(each["State"]["Name"] == TERMINATED for each in instances_of(ec2, fleet_id))
