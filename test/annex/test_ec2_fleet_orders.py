"""Orders by EC2 Fleet: the same file as for a Spot Fleet, the launch template, the lease, and the undo."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from annexd.annex.lease.identifiers import LeasedToken, read_leased_token
from annexd.annex.lease.lease import utc
from annexd.annex.request.fleet_api import EC2_FLEET, SPOT_FLEET
from test.annex.ads import OWNER, SPECIFICATION
from test.annex.fleets import by_hand
from test.annex.joining import BUCKET, defaults
from test.annex.site import BYSTANDER, KEYS, Site
from test.cloud.orders import described_fleet

COLD = ["GetFunction", "FilterLogEvents", "CreateLaunchTemplate", "CreateFleet"]  # and GetCallerIdentity, once an hour
CAPACITY = {"TotalTargetCapacity": 2, "OnDemandTargetCapacity": 0, "DefaultTargetCapacityType": "spot"}


@pytest.fixture
def by_ec2_fleet(site: Site) -> Iterator[Site]:
    """Yield a site whose administrator chose EC2 Fleets; delete its launch templates afterwards."""
    before = site.defaults
    site.defaults, site.asks = replace(before, fleet_api=EC2_FLEET), {"FleetAPI": None}
    yield site
    site.defaults, site.asks = before, {}
    site.cloud.clear_faults()
    site.cloud.behave(templates_late_s=0.0, fleet_trouble="")
    for each in templates(site):
        by_hand(site).delete_launch_template(LaunchTemplateId=each["LaunchTemplateId"])


def templates(site: Site) -> list[dict[str, Any]]:
    return list(by_hand(site).describe_launch_templates()["LaunchTemplates"])


def versions(site: Site, name: object) -> list[dict[str, Any]]:
    reported = by_hand(site).describe_launch_template_versions(LaunchTemplateName=name)["LaunchTemplateVersions"]
    return [each["LaunchTemplateData"] for each in sorted(reported, key=lambda each: int(each["VersionNumber"]))]


def config_of(site: Site) -> dict[str, Any]:
    [fleet] = site.live_fleets()
    return dict(fleet["config"])


def tags_in(reported: Mapping[str, Any]) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in reported["Tags"]}


def own_template(site: Site, name: str, **data: Any) -> dict[str, Any]:
    """Create a launch template of the user's; return it as a file names it."""
    whole = {"ImageId": "ami-12345678", "InstanceType": "m5.large", **data}
    by_hand(site).create_launch_template(LaunchTemplateName=name, LaunchTemplateData=whole)
    return {"LaunchTemplateSpecification": {"LaunchTemplateName": name, "Version": "$Latest"}}


def test_an_order_by_ec2_fleet_takes_six_calls_when_everything_is_cold_and_four_after_that(site: Site) -> None:
    s3 = site.cloud.client("s3", BYSTANDER)
    s3.create_bucket(Bucket=BUCKET)
    site.defaults, site.asks = replace(defaults(s3_url=site.cloud.url), fleet_api=EC2_FLEET), {"FleetAPI": None}
    own = {key.decode() for path, key in site.keys.items() if path.endswith("public")}
    calls = []
    for _ in range(2):
        site.cloud.clear_audit()
        assert site.order()["Result"] == "Success"
        made = [each for each in site.cloud.audit() if each["kind"] == "call" and each.get("access_key_id") in own]
        calls.append([each["operation"] for each in made])
    whole = ["GetCallerIdentity", "GetFunction", "FilterLogEvents", "PutObject", "CreateLaunchTemplate", "CreateFleet"]
    assert calls[0] == whole
    assert [name for name in calls[1] if name != "FilterLogEvents"] == whole[1:2] + whole[3:]
    for each in s3.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        s3.delete_object(Bucket=BUCKET, Key=each["Key"])
    s3.delete_bucket(Bucket=BUCKET)


def test_the_same_file_becomes_an_ec2_fleet_with_its_lease_in_its_token(by_ec2_fleet: Site) -> None:
    site = by_ec2_fleet
    reply = site.order()
    assert reply["Result"] == "Success", reply
    assert str(reply["BulkRequestID"]).startswith("fleet-")
    assert site.operations() == COLD
    config, end_s = config_of(site), int(str(reply["EndOfLease"]))
    assert read_leased_token(config["ClientToken"]) == LeasedToken(str(reply["AnnexID"]), end_s)
    assert config["Type"] == "request"
    assert tags_in(described_fleet(by_hand(site), str(reply["BulkRequestID"]))) == {
        "htcondor:annex-id": reply["AnnexID"],
        "htcondor:annex-owner": OWNER,
        "htcondor:annex-lease-end": utc(end_s),
    }
    [override] = config["LaunchTemplateConfigs"][0]["Overrides"]
    assert (override["InstanceType"], override["MaxPrice"]) == ("m5.large", "0.05")
    site.check_all_leased()


def test_its_launch_template_is_found_by_the_token_and_holds_what_a_lease_needs(by_ec2_fleet: Site) -> None:
    site = by_ec2_fleet
    reply = site.order()
    [template] = templates(site)
    assert template["LaunchTemplateName"] == reply["ClientToken"]
    assert tags_in(template)["htcondor:annex-id"] == reply["AnnexID"]
    [data] = versions(site, reply["ClientToken"])
    assert data["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert not data.get("DisableApiTermination")
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["MetadataOptions"]["InstanceMetadataTags"] == "enabled"
    [instances] = data["TagSpecifications"]
    assert instances["ResourceType"] == "instance"
    assert tags_in(instances)["htcondor:annex-id"] == reply["AnnexID"]


def test_specifications_that_differ_in_more_than_an_override_carries_become_versions(by_ec2_fleet: Site) -> None:
    site, other = by_ec2_fleet, {**SPECIFICATION, "ImageId": "ami-87654321", "InstanceType": "c5.large"}
    third = {**SPECIFICATION, "InstanceType": "m5.xlarge", "SpotPrice": "0.02"}
    reply = site.order(LaunchSpecifications=[SPECIFICATION, other, third])
    assert reply["Result"] == "Success", reply
    assert [each["ImageId"] for each in versions(site, reply["ClientToken"])] == ["ami-12345678", "ami-87654321"]
    first, second = config_of(site)["LaunchTemplateConfigs"]
    assert [each["LaunchTemplateSpecification"]["Version"] for each in (first, second)] == ["1", "2"]
    assert [each["MaxPrice"] for each in first["Overrides"]] == ["0.05", "0.02"]
    assert [each["InstanceType"] for each in second["Overrides"]] == ["c5.large"]


def test_on_demand_and_mixed_capacity_is_ordered_by_launch_specifications(by_ec2_fleet: Site) -> None:
    reply = by_ec2_fleet.order(TargetCapacity=3, OnDemandTargetCapacity=2, OnDemandAllocationStrategy="prioritized")
    assert reply["Result"] == "Success", reply
    lifecycles = [each.get("lifecycle") for each in by_ec2_fleet.cloud.running_instances()]
    assert len(lifecycles) == 3
    wanted = config_of(by_ec2_fleet)["TargetCapacitySpecification"]
    assert int(wanted["OnDemandTargetCapacity"]) == 2
    assert config_of(by_ec2_fleet)["OnDemandOptions"] == {"AllocationStrategy": "prioritized"}


def test_ec2_fleets_own_json_is_taken_as_it_is_whatever_the_default(site: Site) -> None:
    named = own_template(site, "own-json")
    wanted = {"TotalTargetCapacity": 2, "OnDemandTargetCapacity": 1, "SpotTargetCapacity": 1}
    reply = site.order(
        FleetAPI=None,
        TargetCapacity=None,
        IamFleetRole=None,
        SpotPrice=None,
        LaunchSpecifications=None,
        TargetCapacitySpecification=wanted,
        LaunchTemplateConfigs=[{**named, "Overrides": [{"InstanceType": "m5.large", "MaxPrice": "0.04"}]}],
        SpotOptions={"AllocationStrategy": "price-capacity-optimized"},
    )
    assert reply["Result"] == "Success", reply
    config = config_of(site)
    assert config["SpotOptions"] == {"AllocationStrategy": "price-capacity-optimized"}
    assert {name: int(value) for name, value in config["TargetCapacitySpecification"].items()} == wanted
    assert (
        config["LaunchTemplateConfigs"][0]["LaunchTemplateSpecification"]["LaunchTemplateName"] == reply["ClientToken"]
    )
    by_hand(site).delete_launch_template(LaunchTemplateName="own-json")


def test_a_users_own_template_is_copied_as_it_is_at_the_order(by_ec2_fleet: Site) -> None:
    site = by_ec2_fleet
    tags = [
        {"ResourceType": "instance", "Tags": [{"Key": "lab", "Value": "x"}, {"Key": "htcondor:annex-id", "Value": "y"}]}
    ]
    metadata = {"HttpTokens": "optional", "HttpPutResponseHopLimit": 2}
    named = own_template(site, "own", KeyName="mine", TagSpecifications=tags, MetadataOptions=metadata)
    reply = site.order(LaunchSpecifications=None, LaunchTemplateConfigs=[named])
    assert reply["Result"] == "Success", reply
    [data] = versions(site, reply["ClientToken"])
    assert (data["KeyName"], data["InstanceInitiatedShutdownBehavior"]) == ("mine", "terminate")
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert int(data["MetadataOptions"]["HttpPutResponseHopLimit"]) == 2
    [instances] = data["TagSpecifications"]
    assert tags_in(instances)["lab"] == "x"
    assert tags_in(instances)["htcondor:annex-id"] == reply["AnnexID"]
    assert "MetadataOptions.HttpTokens became required" in str(reply["Warning"])
    assert "left out" in str(reply["Warning"])


PROTECTED = [
    ({"DisableApiTermination": True}, "DisableApiTermination"),
    ({"InstanceInitiatedShutdownBehavior": "stop"}, "InstanceInitiatedShutdownBehavior stop"),
    (
        {"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"DeleteOnTermination": False}}]},
        "outlive the lease",
    ),
    ({"NetworkInterfaces": [{"DeviceIndex": 0, "NetworkInterfaceId": "eni-12345678"}]}, "one for each instance"),
]


@pytest.mark.parametrize(("data", "message"), PROTECTED, ids=[message for _, message in PROTECTED])
def test_a_users_template_that_would_outlive_its_lease_is_refused_before_anything_is_made(
    by_ec2_fleet: Site, data: dict[str, Any], message: str
) -> None:
    named = own_template(by_ec2_fleet, "own", **data)
    reply = by_ec2_fleet.order(LaunchSpecifications=None, LaunchTemplateConfigs=[named])
    assert reply["Result"] == "InvalidRequest"
    assert message in str(reply["ErrorString"])
    assert "LaunchTemplateConfigs[0] (launch template own, version $Latest)" in str(reply["ErrorString"])
    assert [each["LaunchTemplateName"] for each in templates(by_ec2_fleet)] == ["own"]
    by_ec2_fleet.check_nothing_left()


REFUSED = [
    ({"LoadBalancersConfig": {"TargetGroupsConfig": {"TargetGroups": [{"Arn": "a"}]}}}, "LoadBalancersConfig"),
    (
        {"LaunchSpecifications": [SPECIFICATION, {**SPECIFICATION, "ImageId": "ami-87654321"}]},
        "m5.large appears twice",
    ),
    (
        {
            "LaunchSpecifications": [
                {**SPECIFICATION, "BlockDeviceMappings": [{"DeviceName": "a", "Ebs": {"OutpostArn": "a"}}]}
            ]
        },
        "LaunchSpecifications[0].BlockDeviceMappings[0].Ebs.OutpostArn is not an attribute",
    ),
    ({"FleetAPI": "ec2"}, 'FleetAPI must be EC2Fleet or SpotFleet, not "ec2"'),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_members_unknown_to_ec2_fleet_are_refused_by_name(
    by_ec2_fleet: Site, changes: dict[str, Any], message: str
) -> None:
    reply = by_ec2_fleet.order(**changes)
    assert (reply["Result"], by_ec2_fleet.operations()) == ("InvalidRequest", [])
    assert message in str(reply["ErrorString"])


NOTED = [
    ({"ExcessCapacityTerminationPolicy": "noTermination"}, "ExcessCapacityTerminationPolicy was left out"),
    ({}, "IamFleetRole was left out"),
    ({"LaunchSpecifications": [{**SPECIFICATION, "AddressingType": "public"}]}, "AddressingType was left out"),
]


@pytest.mark.parametrize(("changes", "message"), NOTED, ids=[message for _, message in NOTED])
def test_a_member_without_effect_is_left_out_with_a_note(
    by_ec2_fleet: Site, changes: dict[str, Any], message: str
) -> None:
    reply = by_ec2_fleet.order(**changes)
    assert reply["Result"] == "Success", reply
    assert message in str(reply["Warning"])


def test_the_request_chooses_the_api_and_no_other_is_tried(by_ec2_fleet: Site) -> None:
    site = by_ec2_fleet
    assert str(site.order(FleetAPI="spot-fleet")["BulkRequestID"]).startswith("sfr-")
    site.defaults = replace(site.defaults, fleet_api=SPOT_FLEET)
    assert str(site.order(FleetAPI="EC2Fleet")["BulkRequestID"]).startswith("fleet-")


@pytest.mark.parametrize(
    ("api", "operation", "other"),
    [
        (EC2_FLEET, "CreateFleet", "-fleet-api spot-fleet"),
        (EC2_FLEET, "CreateLaunchTemplate", "-fleet-api spot-fleet"),
        (SPOT_FLEET, "RequestSpotFleet", "-fleet-api ec2-fleet"),
    ],
)
def test_a_refusal_of_one_api_says_how_to_order_by_the_other(
    by_ec2_fleet: Site, api: str, operation: str, other: str
) -> None:
    by_ec2_fleet.cloud.fault(operation, "denied")
    reply = by_ec2_fleet.order(FleetAPI=api)
    assert reply["Result"] == "Failure"
    assert other in str(reply["ErrorString"])
    assert templates(by_ec2_fleet) == []
    by_ec2_fleet.check_nothing_left()


def test_a_file_of_ec2_fleet_and_the_option_for_spot_fleet_exclude_each_other(site: Site) -> None:
    reply = site.order(FleetAPI="SpotFleet", TargetCapacitySpecification=CAPACITY)
    assert "order it with -fleet-api ec2-fleet" in str(reply["ErrorString"])


def test_a_refusal_of_the_order_itself_does_not_suggest_the_other_api(by_ec2_fleet: Site) -> None:
    by_ec2_fleet.cloud.fault("CreateFleet", "error", code="InvalidFleetConfig")
    reply = by_ec2_fleet.order()
    assert "-fleet-api" not in str(reply["ErrorString"])
    assert templates(by_ec2_fleet) == []


@pytest.mark.parametrize("operation", ["CreateLaunchTemplate", "CreateLaunchTemplateVersion", "CreateFleet"])
@pytest.mark.parametrize("kind", ["lost", "internal", "throttle"])
def test_an_answer_that_is_lost_is_got_by_asking_again_and_there_is_one_of_each(
    by_ec2_fleet: Site, operation: str, kind: str
) -> None:
    site, other = by_ec2_fleet, {**SPECIFICATION, "ImageId": "ami-87654321", "InstanceType": "c5.large"}
    if kind == "lost":
        site.cloud.fault(operation, "reset", when="after")
    else:
        site.cloud.fault(operation, kind)
    reply = site.order(LaunchSpecifications=[SPECIFICATION, other])
    assert reply["Result"] == "Success", reply
    assert len(templates(site)) == len(site.live_fleets()) == 1
    assert len(versions(site, reply["ClientToken"])) == 2


def test_a_template_that_is_known_a_little_late_is_waited_for(by_ec2_fleet: Site) -> None:
    by_ec2_fleet.cloud.behave(templates_late_s=0.3)
    other = {**SPECIFICATION, "ImageId": "ami-87654321", "InstanceType": "c5.large"}
    reply = by_ec2_fleet.order(LaunchSpecifications=[SPECIFICATION, other])
    assert reply["Result"] == "Success", reply


def test_an_undo_of_a_template_that_is_known_a_little_late_leaves_none(by_ec2_fleet: Site) -> None:
    by_ec2_fleet.cloud.behave(templates_late_s=0.3)
    by_ec2_fleet.cloud.fault("CreateFleet", "denied")
    assert by_ec2_fleet.order()["Result"] == "Failure"
    by_ec2_fleet.cloud.behave(templates_late_s=0.0)
    assert templates(by_ec2_fleet) == []


def test_the_fleet_is_undone_first_and_its_template_after_it(by_ec2_fleet: Site) -> None:
    site = by_ec2_fleet
    site.cloud.fault("CreateFleet", "reset", when="after")
    site.cloud.fault("CreateFleet", "denied", times=99)
    assert site.order()["Result"] == "Failure"
    assert site.live_fleets() == templates(site) == []
    ended = [each for each in site.operations() if each.startswith("Delete")]
    assert ended[0] == "DeleteFleets"
    assert ended[-1] == "DeleteLaunchTemplate"


@pytest.mark.parametrize("at", range(2, 14))
@pytest.mark.parametrize("written", [True, False])
def test_whenever_annexd_dies_the_next_one_goes_on_with_one_fleet_and_one_template(
    by_ec2_fleet: Site, at: int, written: bool
) -> None:
    site = by_ec2_fleet
    asked: dict[str, Any] = {"CommandID": "alice-1", "EndOfLease": int(site.now_s()) + 3600}
    with site.mortal(at, written=written):
        site.order(**asked)
    site.restart()
    reply = site.order(**asked)
    assert reply["Result"] == "Success", reply
    assert len(templates(site)) == len(site.live_fleets()) == 1
    site.check_all_leased()


def test_a_cancelled_annex_by_ec2_fleet_ends(by_ec2_fleet: Site) -> None:
    site = by_ec2_fleet
    reply = site.order()
    public, secret = KEYS
    answer = site.cancel(str(reply["AnnexID"]), PublicKeyFile=public, SecretKeyFile=secret)
    assert (answer["Result"], answer["BulkRequestID"]) == ("Success", reply["BulkRequestID"])
    site.check_nothing_left()
