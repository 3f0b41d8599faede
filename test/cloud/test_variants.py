"""Variants of AWS behaviour that the evidence leaves open; annexd's calls, permissions and readers work in each."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from annexd.account.policies import policies
from annexd.annex.fleet.inventory import Inventory, cancel_fleet, living_instances, take_inventory
from annexd.annex.fleet.kinds import ENDED
from annexd.annex.fleet.trouble import troubles_of
from annexd.annex.lease.identifiers import leased_token, new_annex_id
from test.annex.site import wait_for
from test.cloud import Cloud, CloudError
from test.cloud.behaviour import FLEET_TAGGING, PASSED_AS
from test.cloud.orders import (
    allow,
    described,
    fleet_config,
    instances,
    living,
    of,
    policy,
    request,
    specification,
    templated,
)
from test.cloud.recording import model

STACK = "HTCondorLeaseImplementation"
FLEET_TAGS = [{"ResourceType": "spot-fleet-request", "Tags": [{"Key": "own", "Value": "tag"}]}]
EC2, SPOT_FLEET = "ec2.amazonaws.com", "spotfleet.amazonaws.com"


def ordered(ec2: Any, capacity: int = 1, **more: Any) -> str:
    """Request a fleet with a lease, as annexd does."""
    token = leased_token(new_annex_id(), int(time.time()) + 3600)
    return request(ec2, capacity, ClientToken=token, Type="request", **more)


def code_of(ec2: Any, **more: Any) -> str:
    """Request a fleet and return the error code, or "success"."""
    try:
        ec2.request_spot_fleet(SpotFleetRequestConfig=fleet_config(TagSpecifications=FLEET_TAGS), **more)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "success"


def passing(*services: str) -> dict[str, Any]:
    condition = {"StringEquals": {"iam:PassedToService": list(services)}}
    return policy(allow(["ec2:*"]), allow("iam:PassRole", Condition=condition))


@pytest.mark.parametrize("variant", PASSED_AS)
def test_a_role_is_passed_to_the_service_of_the_chosen_variant(enforcing: Cloud, variant: str) -> None:
    enforcing.behave(passed_as=variant)
    needed = {"ec2": {EC2}, "spotfleet": {SPOT_FLEET}, "both": {EC2, SPOT_FLEET}}[variant]
    for number, services in enumerate(({EC2}, {SPOT_FLEET}, {EC2, SPOT_FLEET})):
        user = enforcing.user(f"user-{number}", passing(*sorted(services)))
        assert (code_of(of(enforcing, user, "ec2")) == "success") == (needed <= services), (variant, services)


@pytest.mark.parametrize("variant", FLEET_TAGGING)
def test_the_tags_of_a_fleet_need_a_right_on_the_resource_of_the_chosen_variant(enforcing: Cloud, variant: str) -> None:
    enforcing.behave(fleet_tagging=variant)
    rest = allow(["ec2:RequestSpotFleet", "ec2:RunInstances", "iam:PassRole"])
    on_fleets = policy(rest, allow("ec2:CreateTags", "arn:aws:ec2:*:*:spot-fleet-request/*"))
    on_all = policy(rest, allow("ec2:CreateTags"))
    codes = [
        code_of(of(enforcing, enforcing.user(name, each), "ec2")) == "success"
        for name, each in (("narrow", on_fleets), ("wide", on_all))
    ]
    assert codes == [variant == "the-fleet", True]


@pytest.mark.parametrize("passed_as", PASSED_AS)
@pytest.mark.parametrize("fleet_tagging", FLEET_TAGGING)
def test_user_json_orders_in_every_variant(enforcing: Cloud, passed_as: str, fleet_tagging: str) -> None:
    enforcing.behave(passed_as=passed_as, fleet_tagging=fleet_tagging)
    role = f"arn:aws:iam::123456789012:role/{STACK}-FleetRole-ABC"
    alice = enforcing.user("alice", *policies("user", STACK))
    tagged = specification(TagSpecifications=[{"ResourceType": "instance", "Tags": FLEET_TAGS[0]["Tags"]}])
    request(of(enforcing, alice, "ec2"), IamFleetRole=role, TagSpecifications=FLEET_TAGS, LaunchSpecifications=[tagged])
    assert len(enforcing.running_instances()) == 1


@pytest.mark.parametrize("looks", [True, False])
def test_a_dry_run_sees_missing_rights_of_the_launch_or_does_not(enforcing: Cloud, looks: bool) -> None:
    """A successful dry run therefore proves nothing; a refused one proves that a permission is missing."""
    enforcing.behave(dry_run_looks_at_all=looks)
    alice = of(enforcing, enforcing.user("alice", policy(allow("ec2:RequestSpotFleet"))), "ec2")
    assert code_of(alice, DryRun=True) == ("UnauthorizedOperation" if looks else "DryRunOperation")
    assert code_of(alice) == "UnauthorizedOperation"


@pytest.mark.parametrize("ends", [False, True])
def test_the_cancellation_of_a_fleet_ends_a_protected_instance_or_leaves_it(cloud: Cloud, ends: bool) -> None:
    cloud.behave(cancel_ends_protected=ends)
    [protected] = templated(cloud, "a", 1, 1, protected=True)
    [fleet] = cloud.fleets()
    cancel_fleet(cloud.client("ec2"), fleet["id"])
    assert living(cloud) == (set() if ends else {protected})


@pytest.mark.parametrize("tagged", [True, False])
def test_an_on_demand_instance_has_the_fleets_tag_or_has_not_and_ends_with_its_fleet(
    cloud: Cloud, tagged: bool
) -> None:
    cloud.behave(on_demand_is_tagged=tagged)
    ec2 = cloud.client("ec2")
    data = {"ImageId": "ami-12345678", "InstanceType": "m5.large"}
    ec2.create_launch_template(LaunchTemplateName="one", LaunchTemplateData=data)
    named = {"LaunchTemplateName": "one", "Version": "1"}
    config = fleet_config(OnDemandTargetCapacity=1, LaunchTemplateConfigs=[{"LaunchTemplateSpecification": named}])
    del config["LaunchSpecifications"]
    fleet = ec2.request_spot_fleet(SpotFleetRequestConfig=config)["SpotFleetRequestId"]
    assert len(living_instances(ec2, fleet)) == int(tagged)
    assert len(cloud.running_instances()) == 1
    cancel_fleet(ec2, fleet)
    assert cloud.running_instances() == []


@pytest.mark.parametrize("late_s", [0.0, 60.0])
def test_after_its_valid_until_a_fleet_is_active_for_a_while_or_not(cloud: Cloud, late_s: float) -> None:
    """annexd recognizes either state, and ends the fleet."""
    cloud.behave(expiry_late_s=late_s)
    ec2, valid_until_s = cloud.client("ec2"), int(time.time()) + 5
    fleet = ordered(ec2, ValidUntil=valid_until_s, TerminateInstancesWithExpiration=False)
    wait_for(lambda: time.time() > valid_until_s, "its ValidUntil passes")
    assert described(ec2, fleet)["SpotFleetRequestState"] == ("active" if late_s else "cancelled_running")
    [seen] = take_inventory(ec2).fleets
    assert (seen.fleet_id, seen.state in ENDED) == (fleet, not late_s)
    cancel_fleet(ec2, fleet)
    assert cloud.running_instances() == []


@pytest.mark.parametrize("newest_first", [False, True])
def test_why_a_fleet_starts_nothing_is_read_from_a_history_in_either_order(cloud: Cloud, newest_first: bool) -> None:
    cloud.behave(history_newest_first=newest_first, fleet_trouble="no-capacity")
    ec2 = cloud.client("ec2")
    fleet = ordered(ec2)
    records = ec2.describe_spot_fleet_request_history(SpotFleetRequestId=fleet, StartTime=0)["HistoryRecords"]
    kinds = [each["EventType"] for each in records]
    assert kinds == sorted(kinds, key=lambda kind: (kind == "error") != newest_first)
    inventory: Inventory = take_inventory(ec2)
    trouble = troubles_of(ec2, inventory, time.time(), 86400.0, frozenset()).troubles[fleet]
    assert "no Spot capacity available" in trouble.text


@pytest.mark.parametrize("answered", [True, False])
def test_a_cancellation_is_read_with_and_without_empty_lists(cloud: Cloud, answered: bool) -> None:
    cloud.behave(shows_empty_lists=answered)
    ec2 = cloud.client("ec2")
    fleet = ordered(ec2)
    cancel_fleet(ec2, fleet)
    cancel_fleet(ec2, fleet)  # already cancelled, which counts as success
    assert cloud.running_instances() == []
    answer = ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=True)
    assert ("SuccessfulFleetRequests" in answer) == answered


def test_instances_are_shown_whole_if_chosen_and_annexd_reads_a_page_of_them(cloud: Cloud) -> None:
    """A page of 300 whole instances stays below annexd's limits."""
    cloud.behave(whole_instances=True)
    ec2 = cloud.client("ec2")
    fleet = ordered(ec2, 300)
    found = instances(ec2)
    members = model("ec2", "DescribeInstances").output_shape.members["Reservations"].member.members["Instances"]
    assert {"NetworkInterfaces", "BlockDeviceMappings", "StateTransitionReason"} <= found[0].keys()
    assert found[0].keys() <= members.member.members.keys()
    assert len(living_instances(ec2, fleet)) == 300


@pytest.mark.parametrize(
    ("knob", "value"), [("passed_as", "lambda"), ("fleet_tagging", "nothing"), ("second_cancel", "perhaps")]
)
def test_an_unknown_variant_is_refused(cloud: Cloud, knob: str, value: str) -> None:
    with pytest.raises(CloudError, match=knob):
        cloud.behave(**{knob: value})


@pytest.mark.parametrize("is_object", [True, False])
def test_the_null_version_of_an_object_needs_one_right_or_two(enforcing: Cloud, is_object: bool) -> None:
    enforcing.behave(null_version_is_the_object=is_object)
    enforcing.client("s3").create_bucket(Bucket="nulls")
    enforcing.client("s3").put_object(Bucket="nulls", Key="one", Body=b"")
    user = enforcing.user("deletes-versions", policy(allow("s3:DeleteObjectVersion")))
    delete = {"Objects": [{"Key": "one", "VersionId": "null"}]}
    try:
        answer = of(enforcing, user, "s3").delete_objects(Bucket="nulls", Delete=delete)
        denied = bool(answer.get("Errors"))
    except ClientError:
        denied = True
    assert denied == is_object
