"""AWS's EC2 Fleet where a lease depends on it: by its documentation, botocore's model and reports."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud, CloudError
from test.cloud.orders import (
    create_fleet,
    delete,
    described_fleet,
    ec2_fleet_config,
    instances,
    request,
    template,
    until,
)

TAG = "aws:ec2:fleet-id"
TOKEN = "annex-1_1900000000_0123456789abcdef"


@pytest.fixture
def ec2(cloud: Cloud) -> Any:
    return cloud.client("ec2")


def code_of(call: Any, **asked: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**asked)
    return str(refused.value.response["Error"]["Code"])


def of_fleet(ec2: Any, fleet_id: str) -> list[dict[str, Any]]:
    return instances(ec2, Filters=[{"Name": f"tag:{TAG}", "Values": [fleet_id]}])


def state(ec2: Any, fleet_id: str) -> str:
    return str(described_fleet(ec2, fleet_id)["FleetState"])


def listed(ec2: Any, **asked: Any) -> list[str]:
    pages = ec2.get_paginator("describe_fleets").paginate(**asked)
    return [each["FleetId"] for page in pages for each in page["Fleets"]]


def test_a_fleet_launches_what_its_template_says_and_aws_puts_its_id_on_each_instance(ec2: Any) -> None:
    own = [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}]
    made_of = template(ec2, TagSpecifications=own, KeyName="key")
    fleet = ec2.create_fleet(**ec2_fleet_config(made_of, 2))["FleetId"]
    assert fleet.startswith("fleet-")
    found = of_fleet(ec2, fleet)
    assert [(each["KeyName"], each["InstanceLifecycle"]) for each in found] == [("key", "spot")] * 2
    tags = {tag["Key"]: tag["Value"] for tag in found[0]["Tags"]}
    assert (tags["a"], tags[TAG], tags["aws:ec2launchtemplate:id"]) == ("b", fleet, made_of)


def test_a_fleet_shows_its_token_tags_times_and_capacity(ec2: Any) -> None:
    until_ = datetime.fromtimestamp(1_900_000_000, UTC)
    tags = [{"Key": "htcondor:annex-id", "Value": "annex-1"}]
    own = [{"ResourceType": "fleet", "Tags": tags}]
    fleet = create_fleet(ec2, 3, ClientToken=TOKEN, TagSpecifications=own, ValidUntil=until_)
    answered = described_fleet(ec2, fleet)
    assert (answered["ClientToken"], answered["Type"], answered["FleetState"]) == (TOKEN, "request", "active")
    assert (answered["Tags"], answered["ValidUntil"], answered["ActivityStatus"]) == (tags, until_, "fulfilled")
    assert answered["TargetCapacitySpecification"]["TotalTargetCapacity"] == answered["FulfilledCapacity"] == 3
    assert abs(answered["CreateTime"].timestamp() - time.time()) < 60


def test_a_token_makes_one_fleet_and_is_refused_with_other_parameters(ec2: Any) -> None:
    config = ec2_fleet_config(template(ec2), 1, ClientToken=TOKEN)
    first = ec2.create_fleet(**config)["FleetId"]
    assert ec2.create_fleet(**config)["FleetId"] == first
    assert len(instances(ec2)) == 1
    other = ec2_fleet_config(config["LaunchTemplateConfigs"][0]["LaunchTemplateSpecification"]["LaunchTemplateId"], 2)
    assert code_of(ec2.create_fleet, **other, ClientToken=TOKEN) == "IdempotentParameterMismatch"


def test_a_token_is_of_one_api(ec2: Any) -> None:
    assert request(ec2, ClientToken=TOKEN).startswith("sfr-")
    assert create_fleet(ec2, ClientToken=TOKEN).startswith("fleet-")


def test_each_api_knows_its_own_fleets_only(ec2: Any) -> None:
    spot, fleet = request(ec2), create_fleet(ec2)
    assert listed(ec2) == [fleet]
    assert [each["SpotFleetRequestId"] for each in ec2.describe_spot_fleet_requests()["SpotFleetRequestConfigs"]] == [
        spot
    ]
    assert code_of(ec2.describe_fleets, FleetIds=[spot]) == "InvalidFleetId.NotFound"
    assert delete(ec2, spot) == ([], ["fleetIdMalformed"])
    answer = ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=True)
    assert answer["UnsuccessfulFleetRequests"][0]["Error"]["Code"] == "fleetRequestIdMalformed"


def test_a_deletion_ends_a_fleet_with_or_without_its_instances(cloud: Cloud, ec2: Any) -> None:
    with_, without = create_fleet(ec2, 2), create_fleet(ec2, 2)
    assert delete(ec2, with_) == (["deleted_terminating"], [])
    assert delete(ec2, without, terminate=False) == (["deleted_running"], [])
    assert (state(ec2, with_), state(ec2, without)) == ("deleted", "deleted_running")
    assert {each["fleet"] for each in cloud.running_instances()} == {without}
    ec2.terminate_instances(InstanceIds=[each["InstanceId"] for each in of_fleet(ec2, without)])
    assert state(ec2, without) == "deleted"


def test_a_deletion_fails_for_each_fleet_by_itself(cloud: Cloud, ec2: Any) -> None:
    good, broken, gone = create_fleet(ec2), create_fleet(ec2), create_fleet(ec2)
    delete(ec2, gone)
    cloud.fault("DeleteFleets", "partial", matching=broken)
    codes = ["unexpectedError", "fleetNotInDeletableState", "fleetIdDoesNotExist", "fleetIdMalformed"]
    assert delete(ec2, good, broken, gone, "fleet-1", "sfr-1") == (["deleted_terminating"], codes)


@pytest.mark.parametrize(
    ("variant", "ended", "codes", "living"),
    [
        ("acted-upon", ["deleted_terminating"], [], 0),
        ("refused", [], ["fleetNotInDeletableState"], 2),
        ("no-effect", ["deleted_running"], [], 2),
    ],
)
def test_a_second_deletion_ends_the_instances_or_is_refused_or_has_no_effect(
    cloud: Cloud, ec2: Any, variant: str, ended: list[str], codes: list[str], living: int
) -> None:
    cloud.behave(second_cancel=variant)
    fleet = create_fleet(ec2, 2)
    delete(ec2, fleet, terminate=False)
    assert delete(ec2, fleet) == (ended, codes)
    assert len(cloud.running_instances()) == living


def test_no_more_than_100_fleets_are_deleted_at_once(ec2: Any) -> None:
    fleet = create_fleet(ec2)
    ids = [fleet, *(f"fleet-{number}" for number in range(100))]
    assert code_of(ec2.delete_fleets, FleetIds=ids, TerminateInstances=True) == "InvalidParameterValue"
    assert state(ec2, fleet) == "active"


def test_after_its_valid_until_a_fleet_runs_on_unless_it_says_otherwise(ec2: Any) -> None:
    soon = datetime.fromtimestamp(time.time() + 5, UTC)
    runs = create_fleet(ec2, 1, ValidUntil=soon)
    ends = create_fleet(ec2, 1, ValidUntil=soon, TerminateInstancesWithExpiration=True)
    until("the fleet ends with its validity", lambda: state(ec2, ends) == "deleted")
    assert state(ec2, runs) == "deleted_running"


def test_on_demand_and_spot_are_as_many_as_was_asked(ec2: Any) -> None:
    mixed = {"TotalTargetCapacity": 5, "OnDemandTargetCapacity": 2, "DefaultTargetCapacityType": "spot"}
    plain = {"TotalTargetCapacity": 3, "DefaultTargetCapacityType": "on-demand"}
    parts = {"TotalTargetCapacity": 3, "OnDemandTargetCapacity": 1, "SpotTargetCapacity": 2}
    for wanted, on_demand, spot in [(mixed, 2, 3), (plain, 3, 0), (parts, 1, 2)]:
        fleet = create_fleet(ec2, TargetCapacitySpecification=wanted)
        kinds = [each.get("InstanceLifecycle") for each in of_fleet(ec2, fleet)]
        assert (kinds.count(None), kinds.count("spot")) == (on_demand, spot)
        assert described_fleet(ec2, fleet)["FulfilledOnDemandCapacity"] == on_demand


def test_overrides_are_pools_with_weights_places_and_priorities(ec2: Any) -> None:
    named = {"LaunchTemplateId": template(ec2), "Version": "$Latest"}
    overrides = [
        {"InstanceType": "m5.large", "WeightedCapacity": 2, "SubnetId": "subnet-1,subnet-2", "Priority": 2},
        {"InstanceType": "m5.xlarge", "WeightedCapacity": 4, "SubnetId": "subnet-1", "Priority": 1},
    ]
    configs = [{"LaunchTemplateSpecification": named, "Overrides": overrides}]
    wide = ec2_fleet_config("", 8, LaunchTemplateConfigs=configs, SpotOptions={"AllocationStrategy": "diversified"})
    found = of_fleet(ec2, ec2.create_fleet(**wide)["FleetId"])
    places = [(each["InstanceType"], each["SubnetId"]) for each in found]
    assert places == [("m5.large", "subnet-1"), ("m5.large", "subnet-2"), ("m5.xlarge", "subnet-1")]
    first = {"OnDemandOptions": {"AllocationStrategy": "prioritized"}, "LaunchTemplateConfigs": configs}
    plain = ec2_fleet_config("", 8, **first)
    plain["TargetCapacitySpecification"]["DefaultTargetCapacityType"] = "on-demand"
    assert [each["InstanceType"] for each in of_fleet(ec2, ec2.create_fleet(**plain)["FleetId"])] == ["m5.xlarge"] * 2


def test_a_fleet_of_type_instant_answers_with_its_instances_and_is_shown_by_its_id_only(cloud: Cloud, ec2: Any) -> None:
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}]
    answer = ec2.create_fleet(**ec2_fleet_config(template(ec2), 2, Type="instant", TagSpecifications=tags))
    fleet, [pool] = answer["FleetId"], answer["Instances"]
    assert (len(pool["InstanceIds"]), pool["Lifecycle"], answer.get("Errors", [])) == (2, "spot", [])
    assert {"Key": "a", "Value": "b"} in of_fleet(ec2, fleet)[0]["Tags"]
    assert listed(ec2) == []
    assert described_fleet(ec2, fleet)["Instances"][0]["InstanceIds"] == pool["InstanceIds"]
    assert code_of(ec2.describe_fleet_instances, FleetId=fleet) == "InvalidParameterValue"
    assert delete(ec2, fleet, terminate=False) == ([], ["NoTerminateInstancesNotSupported"])
    assert delete(ec2, fleet) == (["deleted_terminating"], [])
    assert cloud.running_instances() == []


def test_a_fleet_of_type_instant_says_what_could_not_be_launched(cloud: Cloud, ec2: Any) -> None:
    cloud.behave(fleet_trouble="some")
    answer = ec2.create_fleet(**ec2_fleet_config(template(ec2), 3, Type="instant"))
    assert [len(each["InstanceIds"]) for each in answer["Instances"]] == [1]
    assert [each["ErrorCode"] for each in answer["Errors"]] == ["InsufficientInstanceCapacity"]


def test_more_than_25_instant_fleets_in_a_call_keep_all_of_it_undeleted(ec2: Any) -> None:
    made_of, other = template(ec2), create_fleet(ec2)
    fleets = [ec2.create_fleet(**ec2_fleet_config(made_of, 1, Type="instant"))["FleetId"] for _ in range(26)]
    assert delete(ec2, other, *fleets) == ([], ["ExceededInstantFleetNumForDeletion"] * 27)
    assert delete(ec2, other, *fleets[:25]) == (["deleted_terminating"] * 26, [])


def test_only_a_fleet_that_maintains_its_capacity_is_modified_and_replaces_what_ends(cloud: Cloud, ec2: Any) -> None:
    once, kept = create_fleet(ec2, 1), create_fleet(ec2, 1, Type="maintain")
    more = {"TargetCapacitySpecification": {"TotalTargetCapacity": 3}}
    assert code_of(ec2.modify_fleet, FleetId=once, **more) == "InvalidFleetState"
    cloud.behave(modify_s=5.0)
    ec2.modify_fleet(FleetId=kept, **more)
    assert state(ec2, kept) == "modifying"
    until("it was modified", lambda: state(ec2, kept) == "active")
    assert len(of_fleet(ec2, kept)) == 3
    ec2.terminate_instances(InstanceIds=[of_fleet(ec2, kept)[0]["InstanceId"]])
    running = [each for each in cloud.running_instances() if each["fleet"] == kept]
    assert len(running) == 3


def test_its_history_and_its_instances_are_shown(cloud: Cloud, ec2: Any) -> None:
    cloud.behave(fleet_trouble="quota")
    fleet = create_fleet(ec2, 2)
    asked: Any = {"FleetId": fleet, "StartTime": datetime.fromtimestamp(0, UTC)}
    answered = ec2.describe_fleet_history(**asked)
    kinds = [(each["EventType"], each["EventInformation"]["EventSubType"]) for each in answered["HistoryRecords"]]
    assert kinds[:2] == [("fleetRequestChange", "submitted"), ("fleetRequestChange", "active")]
    assert ("error", "spotInstanceCountLimitExceeded") in kinds
    assert "LastEvaluatedTime" in answered
    only = ec2.describe_fleet_history(**asked, EventType="service-error")["HistoryRecords"]
    assert {each["EventType"] for each in only} == {"error", "information"}
    assert described_fleet(ec2, fleet)["ActivityStatus"] == "error"
    cloud.behave(fleet_trouble="")
    full = create_fleet(ec2, 2)
    assert len(ec2.describe_fleet_instances(FleetId=full)["ActiveInstances"]) == 2


def test_fleets_are_listed_in_pages_filtered_and_left_out_as_aws_may(cloud: Cloud, ec2: Any) -> None:
    fleets = [create_fleet(ec2) for _ in range(4)]
    assert listed(ec2, MaxResults=2) == fleets
    cloud.fault("DescribeFleets", "omit", matching=fleets[1])
    assert listed(ec2) == [fleets[0], *fleets[2:]]
    assert state(ec2, fleets[1]) == "active"
    cloud.fault("DescribeFleets", "shift")
    assert listed(ec2, MaxResults=2) == [fleets[0], fleets[1], fleets[3]]
    delete(ec2, fleets[0], terminate=False)
    assert listed(ec2, Filters=[{"Name": "fleet-state", "Values": ["deleted_running"]}]) == fleets[:1]


def test_a_new_fleet_may_be_seen_late(cloud: Cloud, ec2: Any) -> None:
    fleet = create_fleet(ec2)
    cloud.fault("DescribeFleets", "lag", times=2, lag_s=3600)
    assert listed(ec2) == []
    assert code_of(ec2.describe_fleets, FleetIds=[fleet]) == "InvalidFleetId.NotFound"
    assert listed(ec2) == [fleet]


@pytest.mark.parametrize("variant", ["refused", "empty"])
def test_a_fleet_that_aws_has_forgotten_is_refused_or_not_shown_while_its_instances_live(
    cloud: Cloud, ec2: Any, variant: str
) -> None:
    cloud.behave(unknown_fleet=variant)
    fleet = create_fleet(ec2)
    cloud.forget_fleet(fleet)
    if variant == "refused":
        assert code_of(ec2.describe_fleets, FleetIds=[fleet]) == "InvalidFleetId.NotFound"
    else:
        assert ec2.describe_fleets(FleetIds=[fleet])["Fleets"] == []
    assert delete(ec2, fleet) == ([], ["fleetIdDoesNotExist"])
    assert len(of_fleet(ec2, fleet)) == 1


@pytest.mark.parametrize("make", [create_fleet, request])
def test_a_fleet_is_listed_for_some_time_after_its_last_instance_and_no_longer(
    cloud: Cloud, ec2: Any, make: Any
) -> None:
    cloud.behave(listed_s=3600.0)
    fleet, runs = make(ec2), make(ec2)
    if make is create_fleet:
        delete(ec2, fleet)
        delete(ec2, runs, terminate=False)
    else:
        ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=True)
        ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[runs], TerminateInstances=False)
    assert [each["id"] for each in cloud.fleets()] == [fleet, runs]
    cloud.behave(listed_s=0.01)
    until("AWS lists it no more", lambda: [each["id"] for each in cloud.fleets()] == [runs])


def test_a_fleet_is_tagged_as_others_are(ec2: Any) -> None:
    fleet = create_fleet(ec2)
    ec2.create_tags(Resources=[fleet], Tags=[{"Key": "k", "Value": "v"}])
    assert described_fleet(ec2, fleet)["Tags"] == [{"Key": "k", "Value": "v"}]
    answered = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [fleet]}])["Tags"]
    assert [(each["ResourceType"], each["Key"]) for each in answered] == [("fleet", "k")]
    reserved: Any = {"Resources": [fleet], "Tags": [{"Key": TAG, "Value": "mine"}]}
    assert code_of(ec2.create_tags, **reserved) == "InvalidParameterValue"
    missing: Any = {"Resources": ["fleet-1", fleet], "Tags": [{"Key": "k", "Value": "w"}]}
    assert code_of(ec2.create_tags, **missing) == "InvalidFleetId.NotFound"


def test_a_dry_run_has_no_effect(ec2: Any) -> None:
    fleet, config = create_fleet(ec2), ec2_fleet_config(template(ec2))
    assert code_of(ec2.create_fleet, **config, DryRun=True) == "DryRunOperation"
    assert code_of(ec2.delete_fleets, FleetIds=[fleet], TerminateInstances=True, DryRun=True) == "DryRunOperation"
    assert (listed(ec2), state(ec2, fleet)) == ([fleet], "active")


def spec(**more: Any) -> dict[str, Any]:
    return {"TargetCapacitySpecification": {"TotalTargetCapacity": 4, "DefaultTargetCapacityType": "spot"} | more}


def overridden(*overrides: dict[str, Any]) -> dict[str, Any]:
    named = {"LaunchTemplateName": "plain", "Version": "1"}
    return {"LaunchTemplateConfigs": [{"LaunchTemplateSpecification": named, "Overrides": list(overrides)}]}


def named(**wanted: str) -> dict[str, Any]:
    return {"LaunchTemplateConfigs": [{"LaunchTemplateSpecification": wanted}]}


TYPES = [{"InstanceType": "m5.large"}, {"InstanceType": "m5.large"}]
INSTANCE_TAGS = [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}]
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no version": (named(LaunchTemplateName="plain"), "InvalidFleetConfig"),
    "an ID and a name": (named(LaunchTemplateName="plain", LaunchTemplateId="lt-1", Version="1"), "InvalidFleetConfig"),
    "a template that is not there": (
        named(LaunchTemplateName="none", Version="1"),
        "InvalidLaunchTemplateName.NotFoundException",
    ),
    "an ID that is not there": (named(LaunchTemplateId="lt-1", Version="1"), "InvalidLaunchTemplateId.NotFound"),
    "a version that is not there": (
        named(LaunchTemplateName="plain", Version="7"),
        "InvalidLaunchTemplateId.VersionNotFound",
    ),
    "no capacity": (spec(TotalTargetCapacity=0), "InvalidFleetConfig"),
    "more than a fleet's capacity": (spec(TotalTargetCapacity=10_001), "InvalidFleetConfig"),
    "parts beyond the total": (spec(OnDemandTargetCapacity=3, SpotTargetCapacity=2), "InvalidFleetConfig"),
    "parts that leave a rest of no type": (
        {"TargetCapacitySpecification": {"TotalTargetCapacity": 4, "SpotTargetCapacity": 2}},
        "InvalidFleetConfig",
    ),
    "reserved capacity": (spec(DefaultTargetCapacityType="reserved-capacity"), "InvalidFleetConfig"),
    "instances that are to stop": ({"SpotOptions": {"InstanceInterruptionBehavior": "stop"}}, "InvalidFleetConfig"),
    "options of instant": ({"SpotOptions": {"SingleInstanceType": True}}, "InvalidFleetConfig"),
    "pools with another strategy": (
        {"SpotOptions": {"AllocationStrategy": "diversified", "InstancePoolsToUseCount": 2}},
        "InvalidFleetConfig",
    ),
    "a policy of maintain": ({"ExcessCapacityTerminationPolicy": "termination"}, "InvalidFleetConfig"),
    "tags of instances": ({"TagSpecifications": INSTANCE_TAGS}, "InvalidFleetConfig"),
    "one pool twice": (overridden(*TYPES), "InvalidFleetConfig"),
    "an image in an override": (overridden({"ImageId": "ami-1"}), "InvalidFleetConfig"),
    "types and requirements": (
        overridden(TYPES[0], {"InstanceRequirements": {"VCpuCount": {"Min": 1}, "MemoryMiB": {"Min": 1}}}),
        "InvalidFleetConfig",
    ),
    "301 overrides": (
        overridden(*({"InstanceType": "m5.large", "SubnetId": f"subnet-{number}"} for number in range(301))),
        "InvalidFleetConfig",
    ),
    "a price that is none": (overridden({"MaxPrice": "0.001"}), "InvalidParameterValue"),
    "a token that is too long": ({"ClientToken": "a" * 65}, "InvalidParameterValue"),
}


@pytest.mark.parametrize(("asked", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_a_request_that_aws_refuses_launches_nothing(cloud: Cloud, ec2: Any, asked: dict[str, Any], code: str) -> None:
    made_of = template(ec2, "plain")
    assert code_of(ec2.create_fleet, **ec2_fleet_config(made_of, 4, **asked)) == code
    assert cloud.fleets() == []


def test_a_template_without_an_image_makes_no_fleet(ec2: Any) -> None:
    ec2.create_launch_template(LaunchTemplateName="bare", LaunchTemplateData={"InstanceType": "m5.large"})
    assert code_of(ec2.create_fleet, **ec2_fleet_config("", **named(LaunchTemplateName="bare", Version="1"))) == (
        "InvalidFleetConfig"
    )


def test_the_meter_knows_the_lease_of_an_ec2_fleet(cloud: Cloud, ec2: Any) -> None:
    end_s = int(time.time()) - 10
    create_fleet(ec2, 2, ClientToken=f"annex-late_{end_s}_0123456789abcdef")
    line = cloud.meter()["annexes"]["annex-late"]
    assert (line["lease_end"], line["live"]) == (end_s, 2)


@pytest.mark.parametrize("chosen", [{"unknown_fleet": "perhaps"}, {"delete_right": "none"}])
def test_an_unknown_variant_of_ec2_fleet_is_refused(cloud: Cloud, chosen: dict[str, str]) -> None:
    with pytest.raises(CloudError, match="is one of"):
        cloud.behave(**chosen)
