"""Capacity that does not end on request: three variants of a second cancellation, and protected instances."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud, CloudError
from test.cloud.orders import described, living, request, templated


def cancelled_twice(cloud: Cloud) -> tuple[str, dict[str, Any]]:
    ec2 = cloud.client("ec2")
    fleet = request(ec2, 2, Type="request")
    ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=False)
    return fleet, ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=True)


@pytest.mark.parametrize(
    ("variant", "state", "living"),
    [
        ("acted-upon", "cancelled", 0),
        ("refused", "cancelled_running", 2),
        ("no-effect", "cancelled_running", 2),
    ],
)
def test_a_second_cancellation_ends_the_instances_or_is_refused_or_has_no_effect(
    cloud: Cloud, variant: str, state: str, living: int
) -> None:
    cloud.behave(second_cancel=variant)
    fleet, answer = cancelled_twice(cloud)
    assert described(cloud.client("ec2"), fleet)["SpotFleetRequestState"] == state
    assert len(cloud.running_instances()) == living
    refused = [each["Error"]["Code"] for each in answer["UnsuccessfulFleetRequests"]]
    assert refused == (["fleetRequestNotInCancellableState"] if variant == "refused" else [])
    answered = [each["CurrentSpotFleetRequestState"] for each in answer["SuccessfulFleetRequests"]]
    expected = {"acted-upon": ["cancelled_terminating"], "refused": [], "no-effect": ["cancelled_running"]}
    assert answered == expected[variant]


@pytest.mark.parametrize("variant", ["refused", "no-effect"])
def test_a_first_cancellation_ends_the_instances_in_every_variant(cloud: Cloud, variant: str) -> None:
    cloud.behave(second_cancel=variant)
    ec2 = cloud.client("ec2")
    fleet = request(ec2, 2)
    ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=True)
    assert cloud.running_instances() == []


def test_a_variant_is_chosen_at_the_start_and_comes_back_with_a_reset() -> None:
    with Cloud(speed=0, behaviour={"second_cancel": "refused"}) as cloud:
        cloud.behave(second_cancel="acted-upon")
        cancelled_twice(cloud)
        assert cloud.running_instances() == []
        cloud.reset()
        cancelled_twice(cloud)
        assert len(cloud.running_instances()) == 2


def test_an_unknown_variant_is_refused_with_the_known_ones(cloud: Cloud) -> None:
    with pytest.raises(CloudError, match="acted-upon"):
        cloud.behave(second_cancel="perhaps")
    with pytest.raises(CloudError, match="gremlins"):
        cloud.behave(gremlins=1)


def code_of(call: Any, **asked: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**asked)
    return str(refused.value.response["Error"]["Code"])


def test_a_protected_instance_keeps_those_of_its_zone_and_of_the_same_call_alive(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    protected = templated(cloud, "a", 1, 1, protected=True)
    same_zone, other_zone = templated(cloud, "a", 2, 0, protected=False), templated(cloud, "b", 2, 1, protected=False)
    every = [*protected, *same_zone, *other_zone]
    assert code_of(ec2.terminate_instances, InstanceIds=every) == "OperationNotPermitted"
    assert living(cloud) == {*protected, *same_zone}
    ec2.terminate_instances(InstanceIds=same_zone)
    assert living(cloud) == set(protected)


def test_a_protected_instance_ends_once_its_protection_is_lifted(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    [instance] = templated(cloud, "a", 1, 1, protected=True)
    asked: Any = {"InstanceId": instance, "Attribute": "disableApiTermination"}
    assert ec2.describe_instance_attribute(**asked)["DisableApiTermination"] == {"Value": True}
    ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": False})
    assert ec2.describe_instance_attribute(**asked)["DisableApiTermination"] == {"Value": False}
    ec2.terminate_instances(InstanceIds=[instance])
    assert living(cloud) == set()


def test_a_fleets_own_end_leaves_its_protected_instances(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    protected, spot = templated(cloud, "a", 2, 1, protected=True)
    [fleet] = cloud.fleets()
    ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet["id"]], TerminateInstances=True)
    assert living(cloud) == {protected}
    assert described(ec2, fleet["id"])["SpotFleetRequestState"] == "cancelled_terminating"
    assert spot not in living(cloud)


def test_spot_instances_know_no_protection(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    [instance] = templated(cloud, "a", 1, 0, protected=True)
    code = code_of(ec2.modify_instance_attribute, InstanceId=instance, DisableApiTermination={"Value": False})
    assert code == "UnsupportedOperation"
    ec2.terminate_instances(InstanceIds=[instance])
    assert living(cloud) == set()
