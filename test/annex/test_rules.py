"""annexd refuses early what AWS's documentation forbids but not its model, and what would outlive the lease."""

import re
import time
from random import Random
from typing import Any

import pytest

from annexd.annex.request.defaults import Defaults
from annexd.annex.request.faults import InvalidRequest
from annexd.annex.request.request import BulkRequest
from annexd.annex.request.shapes import config_shape
from test.annex.ads import ID, NOW_S, SPECIFICATION, bulk_request_ad
from test.annex.joining import defaults
from test.annex.samples import sample_of

TEMPLATE: dict[str, Any] = {"LaunchTemplateSpecification": {"LaunchTemplateId": f"lt-{ID}", "Version": "1"}}
SPEC = "LaunchSpecifications[0]."
CONFIG = "LaunchTemplateConfigs[0]."
REQUIREMENTS = {"VCpuCount": {"Min": 1}, "MemoryMiB": {"Min": 0}}
INTERFACE = {"DeviceIndex": 0}
TAG = {"Key": "project", "Value": "x"}


def config(defaults: Defaults | None = None, **changes: Any) -> dict[str, Any]:
    return dict(BulkRequest.from_ad(bulk_request_ad(**changes), NOW_S, defaults or Defaults()).config)


def fault(defaults: Defaults | None = None, **changes: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        config(defaults, **changes)
    return "; ".join(caught.value.faults)


def spec(**more: Any) -> dict[str, Any]:
    return {"LaunchSpecifications": [SPECIFICATION | more]}


def template(*overrides: dict[str, Any], **more: Any) -> dict[str, Any]:
    named = TEMPLATE["LaunchTemplateSpecification"] | more
    whole = {"LaunchTemplateSpecification": {name: value for name, value in named.items() if value is not None}}
    return {"LaunchSpecifications": None, "LaunchTemplateConfigs": [whole | {"Overrides": list(overrides)}]}


REFUSED: list[tuple[dict[str, Any], str]] = [
    # What to launch
    ({"LaunchSpecifications": [{"InstanceType": "m5.large"}]}, f"{SPEC}ImageId is missing"),
    (
        {"LaunchSpecifications": [{"ImageId": "ami-12345678"}]},
        f"{SPEC}InstanceType is missing, or InstanceRequirements",
    ),
    (spec(InstanceRequirements=REQUIREMENTS), f"{SPEC}InstanceType and {SPEC}InstanceRequirements exclude each other"),
    (
        template({"InstanceType": "m5.large"}, {"InstanceRequirements": REQUIREMENTS}),
        "exclude each other in one request",
    ),
    (
        template({"InstanceRequirements": REQUIREMENTS | {"VCpuCount": {"Max": 2}}}),
        "InstanceRequirements.VCpuCount needs a Min",
    ),
    (template({"InstanceRequirements": {"VCpuCount": {"Min": 2}}}), "InstanceRequirements.MemoryMiB needs a Min"),
    (
        spec(IamInstanceProfile={"Name": "a", "Arn": "arn:aws:iam::123456789012:instance-profile/a"}),
        "an Arn and a Name",
    ),
    (
        spec(SecurityGroups=[{"GroupId": f"sg-{ID}"}], NetworkInterfaces=[INTERFACE]),
        f"{SPEC}SecurityGroups and NetworkInterfaces exclude each other: put it into NetworkInterfaces[].Groups",
    ),
    (spec(SubnetId=f"subnet-{ID}", NetworkInterfaces=[INTERFACE]), f"{SPEC}SubnetId and NetworkInterfaces exclude"),
    (spec(NetworkInterfaces=[{"SubnetId": f"subnet-{ID}"}]), "DeviceIndex is missing"),
    (spec(NetworkInterfaces=[INTERFACE | {"NetworkInterfaceId": "eni-1"}]), "NetworkInterfaceId names one interface"),
    (
        spec(NetworkInterfaces=[INTERFACE | {"InterfaceType": "efa"}]),
        "InterfaceType is efa, for which AWS needs Launch",
    ),
    (
        spec(NetworkInterfaces=[INTERFACE | {"AssociatePublicIpAddress": True}, {"DeviceIndex": 1}]),
        "AssociatePublicIpAddress can be used only with a single network interface",
    ),
    (spec(Placement={"AvailabilityZone": "a", "AvailabilityZoneId": "b"}), "AvailabilityZone and AvailabilityZoneId"),
    (spec(Placement={"Tenancy": "host"}), "Tenancy is host, which AWS does not support for Spot"),
    (spec(BlockDeviceMappings=[{"Ebs": {"VolumeSize": 8}}]), "BlockDeviceMappings[0].DeviceName is missing"),
    (
        spec(BlockDeviceMappings=[{"DeviceName": "a", "Ebs": {"AvailabilityZone": "a"}}]),
        "Ebs.AvailabilityZone: AWS accepts no zone here",
    ),
    (template(Version=None), f"{CONFIG}LaunchTemplateSpecification.Version is missing: $Default, $Latest or a number"),
    (template(Version="newest"), "Version must be a version's number, $Latest or $Default, not"),
    (template(LaunchTemplateId=None), "must have a LaunchTemplateId or a LaunchTemplateName"),
    (template(LaunchTemplateName="abc"), "LaunchTemplateId and LaunchTemplateName exclude each other"),
    (template({"AvailabilityZone": "a", "AvailabilityZoneId": "b"}), f"{CONFIG}Overrides[0].AvailabilityZone and"),
    (template({"Priority": 1.5}), f"{CONFIG}Overrides[0].Priority must be 0 or a positive integer, not 1.5"),
    (
        spec(LaunchTemplate={"LaunchTemplateName": "x"}),
        "did you mean LaunchTemplateConfigs, beside LaunchSpecifications?",
    ),
    # Formats
    ({"IamFleetRole": "fleet"}, "IamFleetRole must be like arn:aws:iam::123456789012:role/NAME, not"),
    ({"IamFleetRole": "arn:aws:iam::<ACCOUNT>:role/fleet"}, "that is a placeholder: replace it with your own value"),
    (spec(IamInstanceProfile={"Arn": "machine"}), "IamInstanceProfile.Arn must be like arn:aws:iam::1234567890"),
    (spec(ImageId="ubuntu"), f"{SPEC}ImageId must be the ID of an image, like ami-"),
    (spec(KeyName="${KeyName}"), f"{SPEC}KeyName is"),
    (spec(InstanceType="large"), f"{SPEC}InstanceType must be an instance type, like m5.large, not"),
    (spec(SubnetId=f"subnet-{ID}, private"), f"{SPEC}SubnetId must be the ID of a subnet, like subnet-"),
    (template({"SubnetId": f"subnet-{ID}, subnet-{ID}"}), "Overrides[0].SubnetId must be the ID of a subnet"),
    (spec(SecurityGroups=[{"GroupId": "default"}]), "SecurityGroups[0].GroupId must be the ID of a security group"),
    ({"SpotPrice": "cheap"}, 'SpotPrice must be a number above 0, like 0.05, not "cheap"'),
    ({"SpotPrice": "$0.10"}, "SpotPrice must be a number above 0"),
    ({"SpotPrice": 0}, "SpotPrice must be a number above 0"),
    ({"SpotMaxTotalPrice": "1,50"}, "SpotMaxTotalPrice must be a number above 0"),
    (spec(SpotPrice="x"), f"{SPEC}SpotPrice must be a number above 0"),
    (
        {"AllocationStrategy": "cheapest"},
        "AllocationStrategy must be one of lowestPrice, diversified, capacityOptimized",
    ),
    # Tags
    (spec(TagSpecifications=[{"ResourceType": "volume", "Tags": [TAG]}]), 'must be instance, not "volume"'),
    ({"TagSpecifications": [{"ResourceType": "instance", "Tags": [TAG]}]}, "ResourceType must be spot-fleet-request"),
    ({"TagSpecifications": [{"Tags": [TAG]}]}, "must be spot-fleet-request, and is missing"),
    (
        spec(TagSpecifications=[{"ResourceType": "instance", "Tags": [TAG | {"Key": "aws:x"}]}]),
        "aws: are reserved for AWS",
    ),
    (
        spec(TagSpecifications=[{"ResourceType": "instance", "Tags": [TAG | {"Key": "htcondor:annex-id"}]}]),
        "Tags[0].Key is htcondor:annex-id, which is reserved for annexd",
    ),
    (spec(TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Value": "x"}]}]), "Tags[0].Key is missing"),
    (spec(TagSpecifications=[{"ResourceType": "instance", "Tags": [TAG, TAG]}]), 'the key "project" more than once'),
    (spec(TagSpecifications=[{"ResourceType": "instance", "Tags": [TAG | {"Value": "x" * 257}]}]), "is too long"),
    (
        spec(TagSpecifications=[{"ResourceType": "instance", "Tags": [TAG | {"Key": str(i)} for i in range(45)]}]),
        f"{SPEC}TagSpecifications has 45 tags, the limit is 44: AWS allows 50, and annexd sets 6",
    ),
    # Numbers that belong together
    (
        {"OnDemandTargetCapacity": 1},
        "OnDemandTargetCapacity is 1: On-Demand instances of a Spot Fleet need LaunchTemplateConfigs",
    ),
    (
        template() | {"OnDemandTargetCapacity": 5},
        "OnDemandTargetCapacity is 5, more than the TargetCapacity (-count) of 2",
    ),
    (template() | {"OnDemandTargetCapacity": -1}, "OnDemandTargetCapacity must not be negative"),
    (spec(WeightedCapacity=0), f"{SPEC}WeightedCapacity must be above 0, not 0"),
    (template({"WeightedCapacity": -2}), f"{CONFIG}Overrides[0].WeightedCapacity must be above 0, not -2"),
    (
        {"InstancePoolsToUseCount": 2, "AllocationStrategy": "diversified"},
        "requires AllocationStrategy lowestPrice, not",
    ),
    ({"InstancePoolsToUseCount": 0}, "InstancePoolsToUseCount must be a positive integer, not 0"),
    ({"TargetCapacityUnitType": "vcpu"}, "TargetCapacityUnitType vcpu requires InstanceRequirements, but"),
    # The kind of request
    ({"Type": "instant"}, "Type must be request or maintain: instant is for EC2 Fleet"),
    (
        {"SpotMaintenanceStrategies": {"CapacityRebalance": {"ReplacementStrategy": "launch"}}},
        'requires "Type": "mainta',
    ),
    (
        {
            "Type": "maintain",
            "SpotMaintenanceStrategies": {"CapacityRebalance": {"ReplacementStrategy": "launch-before-terminate"}},
        },
        "TerminationDelay is missing: launch-before-terminate needs",
    ),
    (
        {
            "Type": "maintain",
            "SpotMaintenanceStrategies": {
                "CapacityRebalance": {"ReplacementStrategy": "launch-before-terminate", "TerminationDelay": 60}
            },
        },
        "must be 120 to 7200 seconds, not 60",
    ),
    (
        {
            "Type": "maintain",
            "SpotMaintenanceStrategies": {
                "CapacityRebalance": {"ReplacementStrategy": "launch", "TerminationDelay": 120}
            },
        },
        "TerminationDelay can be used with launch-before-terminate",
    ),
    # Resources that would outlive the lease
    (
        spec(BlockDeviceMappings=[{"DeviceName": "a", "Ebs": {"DeleteOnTermination": False}}]),
        f"{SPEC}BlockDeviceMappings[0].Ebs.DeleteOnTermination is false: the volume would outlive the lease",
    ),
    (
        spec(NetworkInterfaces=[INTERFACE | {"DeleteOnTermination": False}]),
        "the network interface would outlive the lease",
    ),
    (
        {"InstanceInterruptionBehavior": "stop", "Type": "maintain"},
        "InstanceInterruptionBehavior must be terminate, not stop",
    ),
    ({"InstanceInterruptionBehavior": "hibernate", "Type": "maintain"}, "must be terminate, not hibernate"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=[message[:60] for _, message in REFUSED])
def test_requests_that_aws_would_refuse_later_or_leave_running_are_refused_at_once(
    changes: dict[str, Any], message: str
) -> None:
    reported = fault(**changes)
    assert message in reported
    assert reported.count("; ") == 0


LIGHT = {"WeightedCapacity": 0.1}


@pytest.mark.parametrize(
    ("capacity", "pools", "message"),
    [
        (
            100,
            spec(**LIGHT),
            f"TargetCapacity 100 with {SPEC}WeightedCapacity 0.1 may come to 1000 instances, the most allowed",
        ),
        (11, spec(**LIGHT), "may come to 110 instances, the most allowed here is 100 (ANNEX_MAX_TARGET_CAPACITY)"),
        (10, spec(**LIGHT), None),
        (
            60,
            template({}, {"WeightedCapacity": 0.5}),
            f"{CONFIG}Overrides[0].WeightedCapacity 0.5 may come to 120 instances",
        ),
        (100, template({"WeightedCapacity": 3}, {"InstanceType": "m5.large"}), None),
        (1, spec(WeightedCapacity=1e-300), "may come to a number of more than 64 bits instances"),
    ],
)
def test_instances_are_counted_for_any_weights(capacity: int, pools: dict[str, Any], message: str | None) -> None:
    most = Defaults(max_target_capacity=100)
    if message is None:
        assert config(most, TargetCapacity=capacity, **pools)["TargetCapacity"] == capacity
    else:
        assert message in fault(most, TargetCapacity=capacity, **pools)


EMPTY: list[dict[str, Any]] = [
    {"LaunchTemplateConfigs": []},
    {"LaunchTemplateConfigs": [{"LaunchTemplateSpecification": {"LaunchTemplateId": ""}, "Overrides": []}]},
    {"SpotMaxTotalPrice": "", "Context": "", "OnDemandTargetCapacity": "", "ReplaceUnhealthyInstances": ""},
    {"TagSpecifications": [{"ResourceType": "spot-fleet-request", "Tags": [{"Key": "", "Value": ""}]}]},
    {"TagSpecifications": [], "LoadBalancersConfig": {"TargetGroupsConfig": {"TargetGroups": [{"Arn": ""}]}}},
    {"ClientToken": "", "ValidFrom": "", "ValidUntil": None},
    spec(IamInstanceProfile={"Arn": "", "Name": ""}, KeyName="", SecurityGroups=[{"GroupId": ""}]),
    spec(TagSpecifications=[{"ResourceType": "instance", "Tags": []}], Placement={}, UserData="", SubnetId=""),
]


@pytest.mark.parametrize("changes", EMPTY)
def test_an_empty_member_counts_as_missing(changes: dict[str, Any]) -> None:
    profile = "arn:aws:iam::123456789012:instance-profile/machine"
    own = Defaults(instance_profile_arn=profile, security_group_id=f"sg-{ID}")
    assert config(own, **changes) == config(own)
    request = BulkRequest.from_ad(bulk_request_ad(**changes), NOW_S, own)
    assert request.notes == ()


def test_an_empty_role_is_the_administrators() -> None:
    role = "arn:aws:iam::123456789012:role/fleet"
    assert config(Defaults(fleet_role_arn=role), IamFleetRole="")["IamFleetRole"] == role
    assert "IamFleetRole is missing" in fault(IamFleetRole="")


def test_members_that_may_be_empty_reach_aws() -> None:
    mappings = [{"DeviceName": "/dev/sdb", "NoDevice": ""}]
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "urgent", "Value": ""}]}]
    [sent] = config(**spec(BlockDeviceMappings=mappings, TagSpecifications=tags))["LaunchSpecifications"]
    assert (sent["BlockDeviceMappings"], sent["TagSpecifications"]) == (mappings, tags)


def test_a_volume_goes_with_its_instance_where_the_file_is_silent() -> None:
    ephemeral = {"DeviceName": "/dev/sdc", "VirtualName": "ephemeral0"}
    mappings = [{"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 8}}, ephemeral]
    [sent] = config(**spec(BlockDeviceMappings=mappings))["LaunchSpecifications"]
    assert sent["BlockDeviceMappings"] == [
        {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 8, "DeleteOnTermination": True}},
        ephemeral,
    ]


def test_text_is_a_number_or_a_truth_where_aws_wants_one() -> None:
    """CloudFormation writes such text, and so do examples 8 and 10 of the EC2 user guide."""
    texts = spec(EbsOptimized="false", WeightedCapacity="0.5", Monitoring={"Enabled": "True"})
    sent = config(TargetCapacity="50", **texts)
    assert sent["TargetCapacity"] == 50
    [specification] = sent["LaunchSpecifications"]
    assert (specification["EbsOptimized"], specification["WeightedCapacity"]) == (False, 0.5)
    assert specification["Monitoring"] == {"Enabled": True}


def test_an_enumerations_value_is_brought_to_awss_spelling() -> None:
    sent = config(ExcessCapacityTerminationPolicy="Default", AllocationStrategy="LOWESTPRICE")
    assert (sent["ExcessCapacityTerminationPolicy"], sent["AllocationStrategy"]) == ("default", "lowestPrice")


def test_wrapped_base64_is_sent_in_one_line() -> None:
    [sent] = config(**spec(UserData="QUJD\nREVG\n"))["LaunchSpecifications"]
    assert sent["UserData"] == "QUJDREVG"


def lasting(length_s: float) -> BulkRequest:
    return BulkRequest.from_ad(bulk_request_ad(EndOfLease=int(NOW_S)), NOW_S - length_s, Defaults())


@pytest.mark.parametrize("length_s", [600, 598.5, 30 * 86400, 30 * 86400 + 5])
def test_a_lease_of_just_the_shortest_or_longest_length_is_taken_though_seconds_have_passed(length_s: float) -> None:
    assert lasting(length_s).end_of_lease_s == int(NOW_S)


@pytest.mark.parametrize(
    ("length_s", "message"),
    [
        (500, "-lease-duration 9m is shorter than ANNEX_MIN_LEASE (10m)"),
        (90, "-lease-duration 1m30s is shorter than ANNEX_MIN_LEASE (10m)"),
        (30 * 86400 + 3600, "-lease-duration 30d1h is longer than ANNEX_MAX_LEASE (30d)"),
    ],
)
def test_a_lease_is_as_long_as_two_runs_of_its_function_and_no_longer_than_allowed(
    length_s: float, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(message)):
        lasting(length_s)


JUNK: list[Any] = [None, "", 0, -1, 1.5, True, [], {}, "x", "{{a}}", "5", [None], [{}], [""], {"Min": None}, 10**12]


def changed(value: Any, dice: Random) -> Any:
    """Return the value with members left out and anything in the place of others, at any depth."""
    if isinstance(value, dict):
        kept = {name: inner for name, inner in value.items() if dice.random() > 0.08}
        return {name: _other(inner, dice) for name, inner in kept.items()}
    if isinstance(value, list):
        return [_other(inner, dice) for inner in value for _ in range(dice.choice([0, 1, 1, 1, 2]))]
    return value


def _other(value: Any, dice: Random) -> Any:
    return dice.choice(JUNK) if dice.random() < 0.12 else changed(value, dice)


def test_any_change_of_a_whole_request_gives_readable_faults() -> None:
    whole, dice = sample_of(config_shape()), Random(11)  # noqa: S311  chance, no secret
    for _ in range(500):
        try:
            config(**changed(whole, dice))
        except InvalidRequest as error:
            reported = error.faults
        else:
            reported = ("taken",)
        assert all(reported)


def test_a_name_of_megabytes_is_refused_in_no_time() -> None:
    """The requester chooses the name, and annexd checks it in its own process."""
    began_s = time.monotonic()
    assert "KeyName" not in fault(**spec(ImageId="{{" * 1_000_000, KeyName="<" * 1_000_000))
    assert time.monotonic() - began_s < 30


# Settings that keep machines from joining cause warnings.

PROFILE = "arn:aws:iam::123456789012:instance-profile/setups"
OWN = {"IamInstanceProfile": {"Arn": "arn:aws:iam::123456789012:instance-profile/mine"}}
PRIVATE = {"NetworkInterfaces": [INTERFACE | {"AssociatePublicIpAddress": False}]}


def notes(profile: str | None, *specifications: dict[str, Any], **more: Any) -> tuple[str, ...]:
    ad = bulk_request_ad(LaunchSpecifications=[SPECIFICATION | each for each in specifications], **more)
    return BulkRequest.from_ad(ad, NOW_S, defaults(instance_profile_arn=profile)).notes


def test_another_instance_profile_is_reported_with_its_place_and_the_remedy() -> None:
    [note] = notes(PROFILE, OWN, {}, OWN, OWN, OWN)
    assert note.startswith("LaunchSpecifications[0], [2] to [4]: with an IamInstanceProfile of their own")
    assert "Leave it out to have setups" in note


@pytest.mark.parametrize("same", [{"Arn": PROFILE}, {"Name": "setups"}])
def test_the_profile_of_setup_may_be_named(same: dict[str, str]) -> None:
    assert notes(PROFILE, {"IamInstanceProfile": same}, {}) == ()


def test_without_setups_profile_only_a_missing_profile_causes_a_warning() -> None:
    assert notes(None, OWN) == ()
    assert "LaunchSpecifications[1]: without an IamInstanceProfile" in notes(None, OWN, {})[0]


def test_machines_without_a_public_address_cause_a_warning() -> None:
    [note] = notes(PROFILE, {}, PRIVATE)
    assert note.startswith("LaunchSpecifications[1]: without a public address")


def test_machines_that_need_not_join_cause_no_warning() -> None:
    assert notes(PROFILE, OWN | PRIVATE, JoinPool=False) == ()
