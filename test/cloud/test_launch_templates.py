"""AWS's launch templates: names, versions, tokens, tags, pages, and the delay before they are visible."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud
from test.cloud.orders import create_fleet, described_fleet, ec2_fleet_config, specification, template, until


@pytest.fixture
def ec2(cloud: Cloud) -> Any:
    return cloud.client("ec2")


def code_of(call: Any, **asked: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**asked)
    return str(refused.value.response["Error"]["Code"])


def names(ec2: Any, **asked: Any) -> list[str]:
    pages = ec2.get_paginator("describe_launch_templates").paginate(**asked)
    return [each["LaunchTemplateName"] for page in pages for each in page["LaunchTemplates"]]


def test_a_template_has_a_name_an_id_a_first_version_and_its_own_tags(ec2: Any) -> None:
    made = template(ec2, "one.two_three-4", {"k": "v"}, UserData="aGVsbG8=", DisableApiTermination=True)
    [answered] = ec2.describe_launch_templates(LaunchTemplateIds=[made])["LaunchTemplates"]
    assert (answered["LaunchTemplateName"], answered["DefaultVersionNumber"], answered["LatestVersionNumber"]) == (
        "one.two_three-4",
        1,
        1,
    )
    assert answered["Tags"] == [{"Key": "k", "Value": "v"}]
    [version] = ec2.describe_launch_template_versions(LaunchTemplateName="one.two_three-4")["LaunchTemplateVersions"]
    data = version["LaunchTemplateData"]
    assert (data["UserData"], data["DisableApiTermination"], data["ImageId"]) == ("aGVsbG8=", True, "ami-12345678")
    assert "TagSpecifications" not in data, "its own tags are not those of instances"


def test_a_name_is_taken_once(ec2: Any) -> None:
    template(ec2, "taken")
    asked: Any = {"LaunchTemplateName": "taken", "LaunchTemplateData": specification(KeyName="other")}
    assert code_of(ec2.create_launch_template, **asked) == "InvalidLaunchTemplateName.AlreadyExistsException"
    ec2.delete_launch_template(LaunchTemplateName="taken")
    template(ec2, "taken")


@pytest.mark.parametrize("name", ["ab", "a" * 129, "with space", "with,comma"])
def test_an_invalid_name_is_refused(ec2: Any, name: str) -> None:
    asked: Any = {"LaunchTemplateName": name, "LaunchTemplateData": specification()}
    if len(name) <= 2:
        with pytest.raises(Exception, match="LaunchTemplateName"):
            ec2.create_launch_template(**asked)
        return
    assert code_of(ec2.create_launch_template, **asked) == "InvalidLaunchTemplateName.MalformedException"


def test_a_token_makes_one_template(ec2: Any) -> None:
    asked: Any = {"LaunchTemplateName": "by-token", "LaunchTemplateData": specification(), "ClientToken": "t"}
    first = ec2.create_launch_template(**asked)["LaunchTemplate"]["LaunchTemplateId"]
    assert ec2.create_launch_template(**asked)["LaunchTemplate"]["LaunchTemplateId"] == first
    other = asked | {"LaunchTemplateName": "another"}
    assert code_of(ec2.create_launch_template, **other) == "IdempotentParameterMismatch"


def test_a_token_makes_one_version(ec2: Any) -> None:
    made = template(ec2, "versioned")
    asked = {"LaunchTemplateId": made, "LaunchTemplateData": specification(), "ClientToken": "once"}
    numbers = [ec2.create_launch_template_version(**asked)["LaunchTemplateVersion"]["VersionNumber"] for _ in range(2)]
    assert numbers == [2, 2]
    other = {**asked, "LaunchTemplateData": specification(KeyName="another")}
    assert code_of(ec2.create_launch_template_version, **other) == "IdempotentParameterMismatch"


def test_versions_are_numbered_and_the_default_one_is_chosen(ec2: Any) -> None:
    made = template(ec2, "versions", KeyName="first")
    second: Any = {"LaunchTemplateId": made, "SourceVersion": "1", "LaunchTemplateData": {"KeyName": "second"}}
    assert ec2.create_launch_template_version(**second)["LaunchTemplateVersion"]["VersionNumber"] == 2

    def keys(*wanted: str) -> list[str]:
        answered = ec2.describe_launch_template_versions(LaunchTemplateId=made, Versions=list(wanted))
        return [each["LaunchTemplateData"]["KeyName"] for each in answered["LaunchTemplateVersions"]]

    assert keys("$Default", "$Latest", "1") == ["first", "second", "first"]
    ec2.modify_launch_template(LaunchTemplateId=made, DefaultVersion="2")
    assert keys("$Default") == ["second"]
    missing: Any = {"LaunchTemplateId": made, "Versions": ["3"]}
    assert code_of(ec2.describe_launch_template_versions, **missing) == "InvalidLaunchTemplateId.VersionNotFound"
    every = ec2.describe_launch_template_versions(Versions=["$Latest"])["LaunchTemplateVersions"]
    assert [each["VersionNumber"] for each in every] == [2]
    assert code_of(ec2.describe_launch_template_versions) == "MissingParameter"


def test_templates_are_listed_in_pages_of_at_most_200_and_filtered(cloud: Cloud, ec2: Any) -> None:
    for number in range(205):
        template(ec2, f"page-{number}", {"htcondor:annex-id": "one"} if number < 3 else None)
    assert len(ec2.describe_launch_templates()["LaunchTemplates"]) == 200
    assert len(names(ec2)) == 205
    assert code_of(ec2.describe_launch_templates, MaxResults=201) == "InvalidParameterValue"
    ours = [f"page-{number}" for number in range(3)]
    assert names(ec2, Filters=[{"Name": "tag-key", "Values": ["htcondor:annex-id"]}]) == ours
    assert names(ec2, Filters=[{"Name": "tag:htcondor:annex-id", "Values": ["o*"]}], MaxResults=2) == ours
    assert names(ec2, Filters=[{"Name": "launch-template-name", "Values": ["page-7"]}]) == ["page-7"]
    assert names(ec2, Filters=[{"Name": "launch-template-name", "Values": ["none"]}]) == []
    cloud.fault("DescribeLaunchTemplates", "shift")
    assert names(ec2, Filters=[{"Name": "tag-key", "Values": ["htcondor:annex-id"]}], MaxResults=1) == [
        "page-0",
        "page-2",
    ]


def test_a_deleted_template_is_not_found_and_its_fleets_live_on(ec2: Any) -> None:
    fleet = create_fleet(ec2)
    [named] = described_fleet(ec2, fleet)["LaunchTemplateConfigs"]
    made = named["LaunchTemplateSpecification"]["LaunchTemplateId"]
    ec2.delete_launch_template(LaunchTemplateId=made)
    assert code_of(ec2.describe_launch_templates, LaunchTemplateIds=[made]) == "InvalidLaunchTemplateId.NotFound"
    assert code_of(ec2.delete_launch_template, LaunchTemplateId=made) == "InvalidLaunchTemplateId.NotFound"
    assert code_of(ec2.delete_launch_template, LaunchTemplateName="none") == (
        "InvalidLaunchTemplateName.NotFoundException"
    )
    assert described_fleet(ec2, fleet)["FleetState"] == "active"


def test_a_fleet_launches_nothing_more_without_its_template(cloud: Cloud, ec2: Any) -> None:
    made = template(ec2)
    fleet = str(ec2.create_fleet(**ec2_fleet_config(made, 2, Type="maintain"))["FleetId"])
    until("its instances run", lambda: len(cloud.running_instances()) == 2)
    ec2.delete_launch_template(LaunchTemplateId=made)
    ec2.terminate_instances(InstanceIds=[cloud.running_instances()[0]["id"]])
    until("one is gone", lambda: len(cloud.running_instances()) == 1)
    time.sleep(1.0)  # in which another would be launched
    assert len(cloud.running_instances()) == 1
    assert described_fleet(ec2, fleet)["FleetState"] == "active"


def test_a_new_template_may_be_unknown_for_a_while_also_to_a_fleet(cloud: Cloud, ec2: Any) -> None:
    cloud.behave(templates_late_s=3600.0)
    made = template(ec2, "late")
    assert names(ec2) == []
    assert code_of(ec2.create_fleet, **ec2_fleet_config(made)) == "InvalidLaunchTemplateId.NotFound"
    asked: Any = {"LaunchTemplateName": "late", "LaunchTemplateData": specification()}
    assert code_of(ec2.create_launch_template, **asked) == "InvalidLaunchTemplateName.AlreadyExistsException"
    cloud.behave(templates_late_s=0.0)
    until("the template is seen", lambda: names(ec2) == ["late"])
    assert ec2.create_fleet(**ec2_fleet_config(made))["FleetId"]


def test_a_template_is_tagged_as_other_resources_are(ec2: Any) -> None:
    made = template(ec2, "tagged")
    ec2.create_tags(Resources=[made], Tags=[{"Key": "k", "Value": "v"}])
    answered = ec2.describe_tags(Filters=[{"Name": "resource-type", "Values": ["launch-template"]}])["Tags"]
    assert [(each["ResourceId"], each["Key"]) for each in answered] == [(made, "k")]
    wrong: Any = {"LaunchTemplateName": "wrong", "LaunchTemplateData": specification()}
    groups = [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}]
    assert code_of(ec2.create_launch_template, **wrong, TagSpecifications=groups) == "InvalidParameterValue"


def test_a_dry_run_makes_and_deletes_nothing(ec2: Any) -> None:
    template(ec2, "stays")
    asked: Any = {"LaunchTemplateName": "new", "LaunchTemplateData": specification(), "DryRun": True}
    assert code_of(ec2.create_launch_template, **asked) == "DryRunOperation"
    assert code_of(ec2.delete_launch_template, LaunchTemplateName="stays", DryRun=True) == "DryRunOperation"
    assert names(ec2) == ["stays"]
