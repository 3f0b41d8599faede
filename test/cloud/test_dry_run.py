"""DryRun reports whether the caller has the permission, and does nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud
from test.cloud.orders import allow, described, fleet_config, of, policy, request

CALLS: dict[str, Callable[[Any, str, str], Any]] = {
    "RequestSpotFleet": lambda ec2, _, __: ec2.request_spot_fleet(SpotFleetRequestConfig=fleet_config(), DryRun=True),
    "CancelSpotFleetRequests": lambda ec2, fleet, _: ec2.cancel_spot_fleet_requests(
        SpotFleetRequestIds=[fleet], TerminateInstances=True, DryRun=True
    ),
    "TerminateInstances": lambda ec2, _, instance: ec2.terminate_instances(InstanceIds=[instance], DryRun=True),
    "CreateTags": lambda ec2, fleet, instance: ec2.create_tags(
        Resources=[fleet, instance], Tags=[{"Key": "a", "Value": "b"}], DryRun=True
    ),
    "DeleteTags": lambda ec2, fleet, instance: ec2.delete_tags(Resources=[fleet, instance], DryRun=True),
    "ModifyInstanceAttribute": lambda ec2, _, instance: ec2.modify_instance_attribute(
        InstanceId=instance, DisableApiTermination={"Value": False}, DryRun=True
    ),
    "DescribeSpotFleetRequests": lambda ec2, _, __: ec2.describe_spot_fleet_requests(DryRun=True),
    "DescribeInstances": lambda ec2, _, __: ec2.describe_instances(DryRun=True),
}


@pytest.mark.parametrize("operation", CALLS)
def test_a_dry_run_shows_the_permission_and_has_no_effect(enforcing: Cloud, operation: str) -> None:
    root = enforcing.client("ec2")
    fleet = request(
        root, TagSpecifications=[{"ResourceType": "spot-fleet-request", "Tags": [{"Key": "own", "Value": "tag"}]}]
    )
    [instance] = enforcing.running_instances()
    may = policy(allow([f"ec2:{operation}", "ec2:RunInstances", "iam:PassRole"]))
    for name, documents, code in (("may", [may], "DryRunOperation"), ("may-not", [], "UnauthorizedOperation")):
        with pytest.raises(ClientError, match=code):
            CALLS[operation](of(enforcing, enforcing.user(name, *documents), "ec2"), fleet, instance["id"])
    assert enforcing.running_instances() == [instance]
    assert described(root, fleet)["SpotFleetRequestState"] == "active"
    assert described(root, fleet)["Tags"] == [{"Key": "own", "Value": "tag"}]
    assert len(enforcing.fleets()) == 1
