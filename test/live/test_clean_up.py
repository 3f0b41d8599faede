"""Test the clean-up: every state in which it may find an account, and the resources that it leaves alone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from annexd.account.errors import AccountError
from annexd.account.stack import Stack
from annexd.account.template import LOG_GROUP, body
from annexd.annex.lease.identifiers import leased_token, new_annex_id
from test.account.kit import contents, surroundings
from test.cloud import Cloud
from test.live import names, own
from test.live.account import Account, refuse_unless_free
from test.live.clean_up import clean_up
from test.live.kit import IMAGE, REGION, leaving_nothing
from test.live.pace import EMULATED
from test.live.recorder import Recorder
from test.live.rehearsal import check
from test.live.roles import Roles, documents

PACE = replace(EMULATED, settle_s=0.0, clean_up_s=30.0, poll_s=0.1)
ROLE = "arn:aws:iam::123456789012:role/aws-ec2-spot-fleet-tagging-role"


@pytest.fixture
def account(cloud: Cloud) -> Iterator[Account]:
    """Provide the account with its own keys, since permissions are not the subject of these tests."""
    with surroundings(cloud.environment()):
        yield Account(REGION, None, Recorder())


def ended(account: Account, said: list[str] | None = None) -> list[str]:
    return clean_up(account, PACE, (said if said is not None else []).append, made_service_roles=False)


def fleet(cloud: Cloud, *, ours: bool = True, **more: Any) -> str:
    """Create a fleet with a lease, like every fleet of a rehearsal."""
    config = {
        "TargetCapacity": 1,
        "IamFleetRole": ROLE,
        "Type": "request",
        "AllocationStrategy": "lowestPrice",
        "ClientToken": leased_token(new_annex_id(), int(time.time()) + 3600),
        "TagSpecifications": [
            {"ResourceType": "spot-fleet-request", "Tags": [{"Key": names.TAG if ours else "another", "Value": "run"}]}
        ],
    }
    if "LaunchTemplateConfigs" not in more:
        config["LaunchSpecifications"] = [{"ImageId": IMAGE, "InstanceType": "t3.nano"}]
    response = cloud.client("ec2").request_spot_fleet(SpotFleetRequestConfig=config | more)
    return str(response["SpotFleetRequestId"])


def protected_fleet(cloud: Cloud) -> str:
    made = cloud.client("ec2").create_launch_template(
        LaunchTemplateName=names.TEMPLATE,
        LaunchTemplateData={"ImageId": IMAGE, "InstanceType": "t3.nano", "DisableApiTermination": True},
    )["LaunchTemplate"]
    template = {"LaunchTemplateSpecification": {"LaunchTemplateId": made["LaunchTemplateId"], "Version": "1"}}
    return fleet(cloud, OnDemandTargetCapacity=1, LaunchTemplateConfigs=[template])


def cancelled_running(cloud: Cloud) -> None:
    cloud.client("ec2").cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet(cloud)], TerminateInstances=False)


@pytest.mark.parametrize("variant", ["acted-upon", "refused", "no-effect"])
def test_fleets_and_instances_are_ended_in_each_state_and_variant(cloud: Cloud, account: Account, variant: str) -> None:
    cloud.behave(second_cancel=variant)
    with leaving_nothing(cloud):
        fleet(cloud)
        fleet(cloud, Type="maintain", TargetCapacity=3)
        cancelled_running(cloud)
        protected_fleet(cloud)
        assert own.left(account)
        assert ended(account) == []


def test_foreign_resources_are_left_alone(cloud: Cloud, account: Account) -> None:
    other = fleet(cloud, ours=False, ClientToken="other")
    logs = account.client("logs")
    logs.create_log_group(logGroupName=LOG_GROUP)  # kept on purpose
    cloud.client("events").put_rule(Name="SomebodysRule", ScheduleExpression="rate(1 day)")
    cloud.client("iam").create_role(
        RoleName=f"{names.PREFIX}-eu-west-1-user",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}),
    )  # of a rehearsal of another region
    before = contents(cloud)
    fleet(cloud)
    assert ended(account) == []
    assert contents(cloud) == before
    assert [each["state"] for each in cloud.fleets() if each["id"] == other] == ["active"]


def test_volumes_rules_templates_and_roles_go(cloud: Cloud, account: Account) -> None:
    with leaving_nothing(cloud):
        ec2, events = cloud.client("ec2"), cloud.client("events")
        ec2.create_volume(
            AvailabilityZone=f"{REGION}a",
            Size=1,
            TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": names.TAG, "Value": "run"}]}],
        )
        events.put_rule(Name=f"{names.PREFIX}-1", ScheduleExpression="rate(1 day)", State="DISABLED")
        events.put_targets(
            Rule=f"{names.PREFIX}-1", Targets=[{"Id": "one", "Arn": f"arn:aws:lambda:{REGION}:123456789012:function:x"}]
        )
        Roles(account, PACE, "run").make()
        assert len(own.left(account)) == 2 + len(documents(account.partition))
        assert ended(account) == []


def test_the_stack_goes_last_and_not_while_another_annex_lives(cloud: Cloud, account: Account) -> None:
    stack = Stack(account.client("cloudformation"), names.STACK, lambda _: None, time.monotonic() + 60)
    stack.create(body(), {"MaxLease": "7200"})
    assert stack.settled() is not None
    bucket = stack.physical_ids()["Bucket"]
    cloud.client("s3").put_object(Bucket=bucket, Key="annex/a.tar.gz", Body=b"x")
    other = fleet(cloud, ours=False)
    fleet(cloud)
    short, said = replace(PACE, clean_up_s=15.0), list[str]()
    left = clean_up(account, short, said.append, made_service_roles=False)
    assert [each.split()[0] for each in left] == ["stack", "bucket", "role", "role", "role"]
    assert any("1 annexes live" in line for line in said)
    cloud.client("ec2").cancel_spot_fleet_requests(SpotFleetRequestIds=[other], TerminateInstances=True)
    assert ended(account) == []


def test_resources_that_cannot_be_ended_are_named(cloud: Cloud, account: Account) -> None:
    fleet(cloud)
    cloud.fault("CancelSpotFleetRequests", "denied", 10_000)
    cloud.fault("TerminateInstances", "denied", 10_000)
    said: list[str] = []
    left = clean_up(account, replace(PACE, clean_up_s=2.0), said.append, made_service_roles=False)
    assert [each.split()[0] for each in left] == ["instance", "fleet"]
    assert any("UnauthorizedOperation" in line for line in said)
    cloud.clear_faults()
    assert ended(account) == []


def test_resources_that_cannot_be_listed_do_not_count_as_gone(cloud: Cloud, account: Account) -> None:
    cloud.fault("DescribeSpotFleetRequests", "denied", 10_000)
    [left] = clean_up(account, replace(PACE, clean_up_s=1.0), lambda _: None, made_service_roles=False)
    assert left.startswith("what could not be listed: ")


def test_a_request_without_an_answer_has_time_to_show_before_the_lease_function_goes(account: Account) -> None:
    stack = Stack(account.client("cloudformation"), names.STACK, lambda _: None, time.monotonic() + 60)
    stack.create(body(), {"MaxLease": "7200"})
    stack.settled()
    account.mark_change()
    begun_s = time.monotonic()
    assert clean_up(account, replace(PACE, settle_s=4.0), lambda _: None, made_service_roles=False) == []
    assert time.monotonic() - begun_s > 4.0


def test_a_region_with_production_or_another_rehearsal_in_it_is_refused(account: Account) -> None:
    check(account)  # an empty region is accepted
    _deploy(account, "HTCondorAnnex")
    with pytest.raises(AccountError, match=r"of the stack HTCondorAnnex: nothing was done; use --region"):
        refuse_unless_free(account)


def test_a_region_with_a_killed_rehearsal_in_it_is_refused_with_the_way_out(account: Account) -> None:
    _deploy(account, names.STACK)
    with pytest.raises(AccountError, match=r"a rehearsal runs there, or one was killed; .*--clean-up"):
        refuse_unless_free(account)


@pytest.mark.parametrize("ours", [True, False])
def test_a_region_in_which_annexes_live_is_refused(cloud: Cloud, account: Account, ours: bool) -> None:
    fleet(cloud, ours=ours)
    with pytest.raises(AccountError, match="1 annexes live in us-east-1: nothing was done"):
        check(account)


def test_a_region_in_which_a_rehearsal_left_something_is_refused(cloud: Cloud, account: Account) -> None:
    cloud.client("events").put_rule(Name=f"{names.PREFIX}-1", ScheduleExpression="rate(1 day)")
    with pytest.raises(AccountError, match=rf"left something in us-east-1: rule {names.PREFIX}-1; .*--clean-up"):
        check(account)


def test_a_kept_log_group_is_reported_before_setup_fails_on_it(cloud: Cloud, account: Account) -> None:
    cloud.client("logs").create_log_group(logGroupName=LOG_GROUP)
    with pytest.raises(AccountError, match="which -setup could not create"):
        check(account)


def _deploy(account: Account, name: str) -> None:
    stack = Stack(account.client("cloudformation"), name, lambda _: None, time.monotonic() + 60)
    stack.create(body(), {"MaxLease": "7200"})
    stack.settled()
