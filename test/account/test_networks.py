"""Test -setup without a default VPC, and in another VPC of the account."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from annexd.account.configuration import ConfigurationFile
from annexd.account.policies import SETUP, policies
from annexd.tool.errors import ANNEXES_LIVE, CLOUD_FAILED, OK, USAGE
from test.account.kit import STACK, Account, order
from test.account.vpc import Vpc, without_default_vpc
from test.annex.site import Site
from test.cloud import Cloud


def group_of(account: Account) -> dict[str, Any]:
    group_id = account.physical_ids()["SecurityGroup"]
    [group] = account.client("ec2").describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    return dict(group)


def subnets_of(account: Account) -> str:
    [line] = [each for each in account.file.read_text().splitlines() if each.startswith("ANNEX_DEFAULT_SUBNET_IDS")]
    return line.partition(" = ")[2]


def test_without_a_default_vpc_it_says_so_with_the_choice_and_makes_nothing(account: Account) -> None:
    without_default_vpc(account.cloud)
    first, second = Vpc(account.cloud), Vpc(account.cloud, "other")
    said = account.run("-setup")
    assert said.status == CLOUD_FAILED
    assert "us-east-1: there is no default VPC with default subnets" in said.err
    assert f"{first.id} (cluster, 10.0.0.0/16): 3 subnets, 2 of them with a route out" in said.err
    assert f"{second.id} (other, 10.0.0.0/16)" in said.err
    assert f"condor_annex -setup -region us-east-1 -vpc {first.id}" in said.err
    assert account.cloud.calls("CreateStack") == []


def test_without_any_vpc_it_says_how_to_create_the_default_one(account: Account) -> None:
    without_default_vpc(account.cloud)
    said = account.run("-setup")
    assert said.status == CLOUD_FAILED
    assert "aws ec2 create-default-vpc --region us-east-1 creates one" in said.err


def test_a_default_vpc_without_subnets_does_not_count_as_a_network(account: Account) -> None:
    ec2 = account.client("ec2")
    for each in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=each["SubnetId"])
    said = account.run("-setup")
    assert said.status == CLOUD_FAILED
    assert "no default VPC with default subnets" in said.err
    assert account.cloud.calls("CreateStack") == []


def test_in_a_vpc_of_its_own_the_group_is_there_and_orders_get_the_subnets_with_a_way_out(account: Account) -> None:
    without_default_vpc(account.cloud)
    vpc = Vpc(account.cloud)
    said = account.set_up("-vpc", vpc.id)
    assert group_of(account)["VpcId"] == vpc.id
    assert subnets_of(account) == ",".join(sorted(vpc.public))
    assert f"machines will run in the VPC {vpc.id}, subnets" in said.err
    said = account.run("-check-setup")
    assert (said.status, said.faults()) == (OK, []), said


def test_run_again_it_keeps_the_vpc_and_subnets_that_were_chosen(account: Account) -> None:
    vpc = Vpc(account.cloud)
    account.set_up("-vpc", vpc.id)
    before, written = account.everything(), account.file.read_bytes()
    account.set_up()
    assert (account.everything(), account.file.read_bytes()) == (before, written)
    account.set_up("-max-lease", "7d")
    assert group_of(account)["VpcId"] == vpc.id


def test_subnets_that_are_named_are_taken_whether_or_not_a_way_out_is_seen(account: Account) -> None:
    vpc = Vpc(account.cloud)
    account.set_up("-subnet", vpc.closed, "-subnet", vpc.public[0])
    assert group_of(account)["VpcId"] == vpc.id
    assert subnets_of(account) == f"{vpc.closed},{vpc.public[0]}"


def test_a_subnet_behind_a_nat_gateway_has_a_way_out(account: Account) -> None:
    vpc = Vpc(account.cloud)
    nat = vpc.ec2.create_nat_gateway(SubnetId=vpc.public[0], ConnectivityType="private")["NatGateway"]["NatGatewayId"]
    vpc.route(vpc.closed, NatGatewayId=nat)
    account.set_up("-vpc", vpc.id)
    assert subnets_of(account) == ",".join(sorted([*vpc.public, vpc.closed]))


def test_one_subnet_of_a_zone_is_chosen_and_two_named_ones_are_refused(account: Account) -> None:
    vpc = Vpc(account.cloud)
    roomy = vpc.subnet("us-east-1a", "10.0.16.0/20")
    vpc.ec2.modify_subnet_attribute(SubnetId=roomy, MapPublicIpOnLaunch={"Value": True})
    [gateway] = vpc.ec2.describe_internet_gateways(Filters=[{"Name": "attachment.vpc-id", "Values": [vpc.id]}])[
        "InternetGateways"
    ]
    vpc.route(roomy, GatewayId=gateway["InternetGatewayId"])
    account.set_up("-vpc", vpc.id)
    assert subnets_of(account) == ",".join(sorted([roomy, vpc.public[1]]))
    said = account.run("-setup", "-subnet", f"{roomy},{vpc.public[0]}")
    assert said.status == CLOUD_FAILED
    assert "AWS accepts only one subnet of each zone" in said.err


def test_a_vpc_whose_subnets_have_no_way_out_is_refused_with_the_next_step(account: Account) -> None:
    vpc = Vpc(account.cloud)
    closed = account.client("ec2").create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    said = account.run("-setup", "-vpc", closed)
    assert said.status == CLOUD_FAILED
    assert f"no subnet of {closed} has a route to the internet" in said.err
    assert "-subnet SUBNET" in said.err
    said = account.run("-setup", "-vpc", closed, "-subnet", vpc.closed)
    assert said.status == CLOUD_FAILED
    assert "-vpc and -subnet refer to 2 VPCs" in said.err
    assert account.cloud.calls("CreateStack") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-vpc", "vpc-0123"), "VPC vpc-0123 not found"),
        (("-subnet", "subnet-0123"), "subnets not found: subnet-0123"),
    ],
)
def test_a_missing_vpc_or_subnet_is_reported_before_anything_is_created(
    account: Account, arguments: tuple[str, ...], message: str
) -> None:
    said = account.run("-setup", *arguments)
    assert said.status == CLOUD_FAILED
    assert message in said.err
    assert account.cloud.calls("CreateStack") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-setup", "-vpc", "main"), "-vpc must be a VPC ID"),
        (("-setup", "-subnet", "vpc-0123"), "-subnet must be a subnet ID"),
        (("-check-setup", "-vpc", "vpc-0123"), "-vpc requires -setup"),
        (("-setup", "-vpc", "vpc-0123", "-region", "us-east-1", "-region", "eu-west-1"), "-vpc can only be used"),
    ],
)
def test_invalid_options_of_the_network_are_reported(
    account: Account, arguments: tuple[str, ...], message: str
) -> None:
    said = account.run(*arguments)
    assert said.status == USAGE
    assert message in said.err


def test_the_network_changes_while_nothing_lives_there_and_is_kept_while_an_annex_does(account: Account) -> None:
    account.set_up()
    before, vpc = group_of(account), Vpc(account.cloud)
    fleet = order(account, 3600)
    said = account.run("-setup", "-vpc", vpc.id)
    assert said.status == ANNEXES_LIVE
    assert "machines of annexes run in the default VPC and use its security group" in said.err
    assert group_of(account) == before
    account.client("ec2").cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=True)
    account.set_up("-vpc", vpc.id)
    assert group_of(account)["VpcId"] == vpc.id
    groups = account.client("ec2").describe_security_groups()["SecurityGroups"]
    assert before["GroupId"] not in [each["GroupId"] for each in groups]
    account.run("-setup", "-vpc", before["VpcId"])
    assert group_of(account)["VpcId"] == before["VpcId"]
    assert subnets_of(account) == "default"


def test_a_second_region_in_its_default_vpc_does_not_get_the_firsts_subnets(account: Account) -> None:
    vpc = Vpc(account.cloud)
    account.set_up("-vpc", vpc.id)
    account.set_up("-region", "eu-west-1")
    assert "\nANNEXD_EU_WEST_1.ANNEX_DEFAULT_SUBNET_IDS = default\n" in account.file.read_text()


def test_a_network_with_anothers_stack_is_refused(account: Account) -> None:
    vpc = Vpc(account.cloud)
    account.set_up()
    said = account.run("-setup", "-stack-name", "Another", "-vpc", vpc.id)
    assert said.status == CLOUD_FAILED
    assert f"-vpc and -subnet would change the stack {STACK}" in said.err


def test_the_rights_of_setup_are_enough_in_an_account_without_a_default_vpc(account: Account) -> None:
    with Cloud(speed=0, enforce_iam=True, behaviour={"logs_late_s": 0.0}) as cloud:
        without_default_vpc(cloud)
        vpc = Vpc(cloud)
        key = cloud.user("admin", *policies(SETUP, STACK))
        limited = Account(cloud, account.folder, {"AWS_ACCESS_KEY_ID": key[0], "AWS_SECRET_ACCESS_KEY": key[1]})
        assert f"{vpc.id} (cluster" in limited.run("-setup").err
        limited.set_up("-vpc", vpc.id)
        assert limited.run("-check-setup").status == OK
        assert limited.run("-teardown").status == OK


def test_a_subnet_that_is_gone_is_found_by_check_setup(account: Account) -> None:
    vpc = Vpc(account.cloud)
    account.set_up("-vpc", vpc.id)
    account.client("ec2").delete_subnet(SubnetId=vpc.public[0])
    [found] = account.run("-check-setup").faults()
    assert found.startswith(f"network: {vpc.public[0]} of {vpc.id} was deleted")
    account.set_up("-vpc", vpc.id)
    assert subnets_of(account) == vpc.public[1]


def test_an_account_without_a_default_vpc_is_reported_before_its_setup(account: Account) -> None:
    without_default_vpc(account.cloud)
    vpc = Vpc(account.cloud)
    found = account.run("-check-setup").faults()
    assert found[0].startswith("network: there is no default VPC with default subnets")
    assert f"{vpc.id} (cluster, 10.0.0.0/16)" in found[0]


def test_an_order_in_an_account_without_a_default_vpc_starts_in_the_subnets_of_setup(account: Account) -> None:
    without_default_vpc(account.cloud)
    vpc = Vpc(account.cloud)
    account.set_up("-vpc", vpc.id)
    knobs = ConfigurationFile(str(account.file)).settings()
    site = Site(account.cloud, knobs["ANNEX_DEFAULT_LEASE_FUNCTION_ARN"], account.folder / "site")
    site.home.mkdir()
    assert site.order()["Result"] == "Failure", "without its default subnets AWS refuses the order"
    site.defaults = replace(
        site.defaults,
        security_group_id=knobs["ANNEX_DEFAULT_SECURITY_GROUP_ID"],
        subnet_ids=tuple(knobs["ANNEX_DEFAULT_SUBNET_IDS"].split(",")),
    )
    reply = site.order()
    assert reply["Result"] == "Success", reply
    [fleet] = account.cloud.fleets()
    [specification] = fleet["config"]["LaunchSpecifications"]
    assert specification["SubnetId"] == subnets_of(account)
    assert len(account.cloud.running_instances()) > 0
