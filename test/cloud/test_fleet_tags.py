"""Tags that are written on fleets and their instances: when they become visible, and which ones are reserved."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud
from test.cloud.orders import allow, described, instances, of, policy, request, until

END, CANCELLED = "htcondor:annex-lease-end", "htcondor:annex-cancelled"
FLEET_TAG = "aws:ec2spot:fleet-request-id"
INSTANCE = "arn:aws:ec2:*:*:instance/*"


def tag(key: str, value: str = "") -> dict[str, str]:
    return {"Key": key, "Value": value}


def tags_of(ec2: Any, fleet: str) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in described(ec2, fleet).get("Tags", [])}


def write(ec2: Any, resource: str, **tags: str) -> None:
    ec2.create_tags(Resources=[resource], Tags=[tag(key, value) for key, value in tags.items()])


def code_of(call: Any, **asked: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**asked)
    return str(refused.value.response["Error"]["Code"])


def test_tags_of_a_fleet_and_its_instances_are_written_shown_and_removed(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    fleet = request(ec2)
    [instance] = instances(ec2)
    both = [fleet, instance["InstanceId"]]
    ec2.create_tags(Resources=both, Tags=[tag("a", "1"), tag("b", "2")])
    ec2.create_tags(Resources=both, Tags=[tag("a", "3")])
    assert tags_of(ec2, fleet) == {"a": "3", "b": "2"}
    [found] = instances(ec2, Filters=[{"Name": "tag:a", "Values": ["3"]}])
    assert found["Tags"] == [tag(FLEET_TAG, fleet), tag("a", "3"), tag("b", "2")]
    answered = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [fleet]}])["Tags"]
    assert {(each["Key"], each["Value"], each["ResourceType"]) for each in answered} == {
        ("a", "3", "spot-fleet-request"),
        ("b", "2", "spot-fleet-request"),
    }
    ec2.delete_tags(Resources=both, Tags=[tag("a", "not this"), {"Key": "b"}])
    assert tags_of(ec2, fleet) == {"a": "3"}
    ec2.delete_tags(Resources=both)
    assert tags_of(ec2, fleet) == {}
    assert instances(ec2)[0]["Tags"] == [tag(FLEET_TAG, fleet)], "what AWS wrote stays"


def test_nobody_writes_or_removes_a_reserved_tag(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    request(ec2)
    [instance] = instances(ec2)
    for call in (ec2.create_tags, ec2.delete_tags):
        code = code_of(call, Resources=[instance["InstanceId"]], Tags=[tag(FLEET_TAG, "sfr-other")])
        assert code == "InvalidParameterValue"


def test_a_resource_has_fifty_tags_besides_those_of_aws(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    request(ec2)
    [instance] = instances(ec2)
    write(ec2, instance["InstanceId"], **{f"key-{number}": "" for number in range(50)})
    write(ec2, instance["InstanceId"], **{"key-0": "again"})
    assert code_of(ec2.create_tags, Resources=[instance["InstanceId"]], Tags=[tag("more")]) == "TagLimitExceeded"


def test_one_unknown_resource_spoils_the_call_for_all(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    fleet = request(ec2)
    code = code_of(ec2.create_tags, Resources=[fleet, "i-0123456789abcdef0"], Tags=[tag("a")])
    assert (code, tags_of(ec2, fleet)) == ("InvalidInstanceID.NotFound", {})


def test_a_tag_may_show_late(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    fleet = request(ec2)
    cloud.behave(tags_late_s=3600.0)
    write(ec2, fleet, a="1")
    assert tags_of(ec2, fleet) == {}
    cloud.behave(tags_late_s=0.5)
    write(ec2, fleet, b="2")
    until("the tag shows", lambda: tags_of(ec2, fleet) == {"b": "2"})


def test_a_write_may_be_lost_after_its_success(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    fleet = request(ec2)
    cloud.fault("CreateTags", "lost", matching=fleet)
    write(ec2, fleet, a="1")
    write(ec2, fleet, b="2")
    assert tags_of(ec2, fleet) == {"b": "2"}


def test_a_late_write_undoes_a_later_one(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    fleet = request(ec2)
    cloud.fault("CreateTags", "late", lag_s=15.0)
    write(ec2, fleet, a="first")
    write(ec2, fleet, a="second")
    assert tags_of(ec2, fleet) == {"a": "second"}
    until("the first write arrives", lambda: tags_of(ec2, fleet) == {"a": "first"})


def test_a_list_of_tags_that_lags_behind_shows_those_of_then(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    fleet = request(ec2)
    write(ec2, fleet, a="1")
    cloud.fault("DescribeTags", "lag", lag_s=3600.0)
    own = [{"Name": "key", "Values": ["a"]}]
    assert ec2.describe_tags(Filters=own)["Tags"] == []
    assert [each["ResourceId"] for each in ec2.describe_tags(Filters=own)["Tags"]] == [fleet]


USERS = allow(
    "ec2:CreateTags",
    "arn:aws:ec2:*:*:spot-fleet-request/*",
    Condition={"ForAllValues:StringEquals": {"aws:TagKeys": [END, CANCELLED]}, "Null": {"aws:TagKeys": "false"}},
)


@pytest.mark.parametrize(
    ("keys", "may"),
    [
        ([END], True),
        ([END, CANCELLED], True),
        ([END, "other"], False),
        (["other"], False),
        ([END.upper()], False),
    ],
)
def test_a_user_may_write_only_the_keys_in_the_policy(enforcing: Cloud, keys: list[str], may: bool) -> None:
    fleet = request(enforcing.client("ec2"))
    ec2 = of(enforcing, enforcing.user("alice", policy(USERS)), "ec2")
    asked: Any = {"Resources": [fleet], "Tags": [tag(key) for key in keys]}
    if may:
        ec2.create_tags(**asked)
    else:
        assert code_of(ec2.create_tags, **asked) == "UnauthorizedOperation"
    assert code_of(ec2.delete_tags, **asked) == "UnauthorizedOperation"


def test_a_call_without_tags_has_no_tag_keys(enforcing: Cloud) -> None:
    """ForAllValues alone is also true if there is no key, so a policy needs Null, too."""
    fleet = request(
        enforcing.client("ec2"), TagSpecifications=[{"ResourceType": "spot-fleet-request", "Tags": [tag(END, "then")]}]
    )
    for name, more in (("careless", {}), ("careful", {"Null": {"aws:TagKeys": "false"}})):
        condition = {"ForAllValues:StringEquals": {"aws:TagKeys": [END]}, **more}
        ec2 = of(enforcing, enforcing.user(name, policy(allow("ec2:DeleteTags", Condition=condition))), "ec2")
        if more:
            assert code_of(ec2.delete_tags, Resources=[fleet]) == "UnauthorizedOperation"
        else:
            ec2.delete_tags(Resources=[fleet])
            assert tags_of(enforcing.client("ec2"), fleet) == {}


def test_tags_are_written_on_instances_that_have_awss_own_and_on_no_others(enforcing: Cloud) -> None:
    root = enforcing.client("ec2")
    fleet = request(root)
    [ours] = instances(root)
    [other] = root.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"]
    condition = {"StringLike": {f"ec2:ResourceTag/{FLEET_TAG}": "sfr-*"}}
    actions = ["ec2:CreateTags", "ec2:ModifyInstanceAttribute"]
    ec2 = of(enforcing, enforcing.user("role", policy(allow(actions, INSTANCE, Condition=condition))), "ec2")
    write(ec2, ours["InstanceId"], **{"htcondor:annex-fleet": fleet})
    write(root, other["InstanceId"], **{"htcondor:annex-fleet": fleet})
    wanted: Any = {"Resources": [other["InstanceId"]], "Tags": [tag("htcondor:annex-fleet", fleet)]}
    assert code_of(ec2.create_tags, **wanted) == "UnauthorizedOperation"
    asked: Any = {"InstanceId": other["InstanceId"], "DisableApiTermination": {"Value": False}}
    assert code_of(ec2.modify_instance_attribute, **asked) == "UnauthorizedOperation"
