"""The permissions that IAM requires to create and delete EC2 Fleets and launch templates."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud
from test.cloud.orders import allow, ec2_fleet_config, of, policy, template

TRUST = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
TAGS = [{"Key": "htcondor:annex-id", "Value": "one"}]
OF_INSTANCES = [{"ResourceType": "instance", "Tags": TAGS}]
OF_THE_FLEET = [{"ResourceType": "fleet", "Tags": TAGS}]
OWN = {"Null": {"aws:ResourceTag/htcondor:annex-id": "false"}}
OF_EC2_FLEETS = {"StringLike": {"ec2:ResourceTag/aws:ec2:fleet-id": "fleet-*"}}
CREATE = [
    allow("ec2:CreateFleet"),
    allow("ec2:RunInstances"),
    allow("ec2:CreateTags", Condition={"StringEquals": {"ec2:CreateAction": ["CreateFleet", "RunInstances"]}}),
    allow("iam:PassRole", "*", Condition={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}),
]
DELETE = [
    allow("ec2:DeleteFleets", "arn:aws:ec2:*:*:fleet/*", Condition=OWN),
    allow("ec2:TerminateInstances", "arn:aws:ec2:*:*:instance/*", Condition=OF_EC2_FLEETS),
]


def refused(call: Any, **asked: Any) -> str:
    """Return the action for which the permission was missing; empty if none was."""
    try:
        call(**asked)
    except ClientError as error:
        if error.response["Error"]["Code"] != "UnauthorizedOperation":
            raise
        return str(error.response["Error"]["Message"]).split("perform: ")[1].split(" ")[0]
    return ""


@pytest.fixture
def config(enforcing: Cloud) -> dict[str, Any]:
    """Return the request of a fleet whose instances have tags and a role."""
    iam = enforcing.client("iam")
    iam.create_role(RoleName="machines", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.create_instance_profile(InstanceProfileName="machines")
    iam.add_role_to_instance_profile(InstanceProfileName="machines", RoleName="machines")
    made = template(
        enforcing.client("ec2"), "made-of", TagSpecifications=OF_INSTANCES, IamInstanceProfile={"Name": "machines"}
    )
    return ec2_fleet_config(made, 2, TagSpecifications=OF_THE_FLEET)


@pytest.mark.parametrize("missing", [None, *range(len(CREATE))])
def test_a_fleet_needs_all_that_its_launch_needs(enforcing: Cloud, config: dict[str, Any], missing: int | None) -> None:
    statements = [each for number, each in enumerate(CREATE) if number != missing]
    ec2 = of(enforcing, enforcing.user("orders", policy(*statements)), "ec2")
    expected = "" if missing is None else CREATE[missing]["Action"]
    assert refused(ec2.create_fleet, **config) == expected
    assert len(enforcing.fleets()) == (1 if missing is None else 0)


def test_a_fleet_needs_its_template_among_its_resources(enforcing: Cloud, config: dict[str, Any]) -> None:
    narrow = allow("ec2:CreateFleet", "arn:aws:ec2:*:*:fleet/*")
    ec2 = of(enforcing, enforcing.user("orders", policy(narrow, *CREATE[1:])), "ec2")
    assert refused(ec2.create_fleet, **config) == "ec2:CreateFleet"


@pytest.mark.parametrize(
    ("right", "terminate", "missing", "living"),
    [
        ("instances", True, "", 0),
        ("all", True, "ec2:TerminateInstances", 2),
        ("all", False, "", 2),
    ],
)
def test_a_deletion_with_termination_needs_the_right_to_terminate(
    enforcing: Cloud, config: dict[str, Any], right: str, terminate: bool, missing: str, living: int
) -> None:
    enforcing.behave(delete_right=right)
    fleet = enforcing.client("ec2").create_fleet(**config)["FleetId"]
    ec2 = of(enforcing, enforcing.user("ends", policy(*DELETE)), "ec2")
    assert refused(ec2.delete_fleets, FleetIds=[fleet], TerminateInstances=terminate) == missing
    assert len(enforcing.running_instances()) == living
    narrow = of(enforcing, enforcing.user("deletes", policy(DELETE[0])), "ec2")
    other = enforcing.client("ec2").create_fleet(**config)["FleetId"]
    assert refused(narrow.delete_fleets, FleetIds=[other], TerminateInstances=True) == "ec2:TerminateInstances"


def test_a_condition_on_the_annexs_tag_keeps_the_fleets_and_templates_of_others(
    enforcing: Cloud, config: dict[str, Any]
) -> None:
    owner = enforcing.client("ec2")
    foreign = owner.create_fleet(**{name: each for name, each in config.items() if name != "TagSpecifications"})
    own_template, other_template = template(owner, "own", {"htcondor:annex-id": "one"}), template(owner, "other")
    rights = policy(*DELETE, allow("ec2:DeleteLaunchTemplate", "arn:aws:ec2:*:*:launch-template/*", Condition=OWN))
    ec2 = of(enforcing, enforcing.user("ends", rights), "ec2")
    ids = [foreign["FleetId"]]
    assert refused(ec2.delete_fleets, FleetIds=ids, TerminateInstances=True) == "ec2:DeleteFleets"
    assert refused(ec2.delete_launch_template, LaunchTemplateId=other_template) == "ec2:DeleteLaunchTemplate"
    assert refused(ec2.delete_launch_template, LaunchTemplateName="other") == "ec2:DeleteLaunchTemplate"
    assert refused(ec2.delete_launch_template, LaunchTemplateId=own_template) == ""


def test_a_template_with_tags_needs_the_right_to_tag_it(enforcing: Cloud) -> None:
    tags = {"htcondor:annex-id": "one"}
    made = allow("ec2:CreateLaunchTemplate", "arn:aws:ec2:*:*:launch-template/*")
    tag = allow("ec2:CreateTags", Condition={"StringEquals": {"ec2:CreateAction": "CreateLaunchTemplate"}})
    plain = of(enforcing, enforcing.user("plain", policy(made)), "ec2")
    assert refused(template, ec2=plain, name="tagged", tags=tags) == "ec2:CreateTags"
    assert template(plain, "untagged")
    assert template(of(enforcing, enforcing.user("tags", policy(made, tag)), "ec2"), "tagged", tags)


def test_reading_needs_its_right_and_the_list_is_of_all(enforcing: Cloud) -> None:
    ec2 = of(enforcing, enforcing.user("nobody", policy(allow("ec2:DescribeInstances"))), "ec2")
    assert refused(ec2.describe_fleets) == "ec2:DescribeFleets"
    assert refused(ec2.describe_launch_templates) == "ec2:DescribeLaunchTemplates"
