"""Unusual accounts: without a default VPC, with several networks, or below an organization."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud
from test.cloud.orders import described, request, specification
from test.cloud.stack_orders import Stack

GROUP = {"GroupDescription": "of one network", "VpcId": {"Fn::If": ["Own", {"Ref": "Vpc"}, {"Ref": "AWS::NoValue"}]}}
TEMPLATE = json.dumps(
    {
        "Parameters": {"Vpc": {"Type": "String", "Default": ""}},
        "Conditions": {"Own": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Vpc"}, ""]}]}},
        "Resources": {"Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": GROUP}},
        "Outputs": {
            "Group": {"Value": {"Fn::GetAtt": ["Group", "GroupId"]}},
            "Vpc": {"Value": {"Ref": "Vpc"}, "Condition": "Own"},
        },
    }
)


@pytest.fixture
def ec2(cloud: Cloud) -> Any:
    return cloud.client("ec2")


def without_default_vpc(ec2: Any) -> None:
    [vpc] = ec2.describe_vpcs()["Vpcs"]
    for each in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=each["SubnetId"])
    ec2.delete_vpc(VpcId=vpc["VpcId"])


def vpc_of(ec2: Any, group_id: str) -> str:
    [group] = ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    return str(group["VpcId"])


def test_without_a_default_vpc_a_group_and_a_fleet_need_a_network(ec2: Any) -> None:
    without_default_vpc(ec2)
    with pytest.raises(ClientError, match=r"VPCIdNotSpecified.*No default VPC for this user"):
        ec2.create_security_group(GroupName="one", Description="of no network")
    with pytest.raises(ClientError, match="VPCIdNotSpecified"):
        request(ec2)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    assert vpc_of(ec2, ec2.create_security_group(GroupName="one", Description="one", VpcId=vpc)["GroupId"]) == vpc
    assert request(ec2, LaunchSpecifications=[specification(SubnetId=subnet)])


def test_a_group_of_another_vpc_than_the_subnets_starts_nothing_after_the_yes(cloud: Cloud, ec2: Any) -> None:
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="one", Description="of the default VPC")["GroupId"]
    other = ec2.create_security_group(GroupName="two", Description="of the other one", VpcId=vpc)["GroupId"]
    for place in (
        specification(SubnetId=subnet, SecurityGroups=[{"GroupId": group}]),
        specification(SecurityGroups=[{"GroupId": other}]),  # in the default VPC, since it names no subnet
    ):
        fleet = request(ec2, LaunchSpecifications=[place])
        assert described(ec2, fleet)["ActivityStatus"] == "error"
    assert cloud.running_instances() == []


def test_a_group_that_an_instance_has_is_not_deleted(ec2: Any) -> None:
    group = ec2.create_security_group(GroupName="one", Description="one")["GroupId"]
    request(ec2, LaunchSpecifications=[specification(SecurityGroups=[{"GroupId": group}])])
    with pytest.raises(ClientError, match="DependencyViolation"):
        ec2.delete_security_group(GroupId=group)


def test_a_condition_chooses_by_the_parameters_and_omits_the_rest(cloud: Cloud, ec2: Any) -> None:
    stack, vpc = Stack(cloud), ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    assert stack.create(TEMPLATE) == "CREATE_COMPLETE", stack.reasons()
    first = {each["OutputKey"]: each["OutputValue"] for each in stack.answered()["Outputs"]}
    assert first.keys() == {"Group"}
    with pytest.raises(ClientError, match="No updates are to be performed"):
        stack.update(TEMPLATE)
    assert stack.update(TEMPLATE, Vpc=vpc) == "UPDATE_COMPLETE"
    second = {each["OutputKey"]: each["OutputValue"] for each in stack.answered()["Outputs"]}
    assert second["Vpc"] == vpc == vpc_of(ec2, second["Group"])
    groups = [each["GroupId"] for each in ec2.describe_security_groups()["SecurityGroups"]]
    assert first["Group"] not in groups, "the group of the other network is removed in the clean-up"


def test_an_organizations_policy_forbids_also_what_the_root_user_asks_for(cloud: Cloud, ec2: Any) -> None:
    cloud.behave(forbidden=["ec2:RequestSpotFleet"])
    with pytest.raises(ClientError, match=r"ec2:RequestSpotFleet .* with an explicit deny in a service control policy"):
        request(ec2)
    assert ec2.describe_spot_fleet_requests()["SpotFleetRequestConfigs"] == []
    cloud.behave(control_policy_words="encoded")
    with pytest.raises(ClientError) as refused:
        request(ec2)
    message = refused.value.response["Error"]["Message"]
    assert "control policy" not in message
    answered = cloud.client("sts").decode_authorization_message(EncodedMessage=message.rpartition(" ")[2])
    assert json.loads(answered["DecodedMessage"])["explicitDeny"] is True


def test_the_default_key_of_volumes_is_an_alias_until_somebody_chooses_another(cloud: Cloud, ec2: Any) -> None:
    assert ec2.get_ebs_default_kms_key_id()["KmsKeyId"] == "alias/aws/ebs"
    key = cloud.client("kms").create_key()["KeyMetadata"]["Arn"]
    ec2.modify_ebs_default_kms_key_id(KmsKeyId=key)
    assert ec2.get_ebs_default_kms_key_id()["KmsKeyId"] == key
