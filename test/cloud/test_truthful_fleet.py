"""AWS behaviours that bare moto lacks: each one holds here, and is a strict expected failure of bare moto.

If moto implements one of them, its strict expected failure fails, and the emulator no longer needs that part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from moto.server import ThreadedMotoServer

from test.cloud import Cloud
from test.cloud.orders import described, fleet_config, instances, request, specification

Behaviour = Callable[[Any], None]


def a_second_request_with_the_same_token_makes_no_second_fleet(ec2: Any) -> None:
    assert request(ec2, ClientToken="same") == request(ec2, ClientToken="same")
    assert len(instances(ec2)) == 1


def the_same_token_with_other_parameters_is_refused(ec2: Any) -> None:
    request(ec2, ClientToken="mismatch")
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        request(ec2, 2, ClientToken="mismatch")


def the_token_is_told_when_the_fleet_is_described(ec2: Any) -> None:
    fleet = described(ec2, request(ec2, ClientToken="told_0123"))
    assert fleet["SpotFleetRequestConfig"]["ClientToken"] == "told_0123"


def type_and_validity_are_kept(ec2: Any) -> None:
    asked: dict[str, Any] = {"Type": "request", "ValidUntil": 1_900_000_000, "TerminateInstancesWithExpiration": True}
    config = described(ec2, request(ec2, **asked))["SpotFleetRequestConfig"]
    assert (config["Type"], config["TerminateInstancesWithExpiration"]) == ("request", True)
    assert config["ValidUntil"].timestamp() == 1_900_000_000


def a_dry_run_launches_nothing(ec2: Any) -> None:
    with pytest.raises(ClientError, match="DryRunOperation"):
        ec2.request_spot_fleet(SpotFleetRequestConfig=fleet_config(), DryRun=True)
    assert instances(ec2) == []


def the_allocation_strategy_has_a_default(ec2: Any) -> None:
    config = fleet_config()
    del config["AllocationStrategy"]
    fleet = ec2.request_spot_fleet(SpotFleetRequestConfig=config)["SpotFleetRequestId"]
    assert described(ec2, fleet)["SpotFleetRequestConfig"]["AllocationStrategy"] == "lowestPrice"


def weighted_capacity_rounds_up(ec2: Any) -> None:
    request(ec2, 9, LaunchSpecifications=[specification(WeightedCapacity=4)])
    assert len(instances(ec2)) == 3


def a_cancelled_fleet_stays_in_describe(ec2: Any) -> None:
    fleet = request(ec2)
    ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=True)
    assert described(ec2, fleet)["SpotFleetRequestState"].startswith("cancelled")


def a_second_cancel_answers_for_each_id(ec2: Any) -> None:
    fleet = request(ec2)
    ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=True)
    answer = ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet, "sfr-unknown"], TerminateInstances=True)
    codes = [each["Error"]["Code"] for each in answer["UnsuccessfulFleetRequests"]]
    assert codes == ["fleetRequestNotInCancellableState", "fleetRequestIdDoesNotExist"]


def no_more_than_100_fleets_are_cancelled_at_once(ec2: Any) -> None:
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=["sfr-1"] * 101, TerminateInstances=True)


def an_instance_ended_by_itself_is_replaced_if_the_fleet_maintains_its_capacity(ec2: Any) -> None:
    request(ec2, Type="maintain")
    [one] = instances(ec2)
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    assert len(instances(ec2, Filters=[{"Name": "instance-state-name", "Values": ["running"]}])) == 1


def a_one_shot_fleet_replaces_nothing_and_lists_only_what_runs(ec2: Any) -> None:
    fleet = request(ec2, Type="request")
    ec2.terminate_instances(InstanceIds=[one["InstanceId"] for one in instances(ec2)])
    assert ec2.describe_spot_fleet_instances(SpotFleetRequestId=fleet)["ActiveInstances"] == []


def fleets_are_told_in_pages(ec2: Any) -> None:
    fleets = {request(ec2) for _ in range(3)}
    first = ec2.describe_spot_fleet_requests(MaxResults=2)
    second = ec2.describe_spot_fleet_requests(MaxResults=2, NextToken=first["NextToken"])
    response = [each["SpotFleetRequestId"] for page in (first, second) for each in page["SpotFleetRequestConfigs"]]
    assert (len(response), set(response)) == (3, fleets)


def a_fleets_instances_are_told_in_pages(ec2: Any) -> None:
    fleet = request(ec2, 3)
    answer = ec2.describe_spot_fleet_instances(SpotFleetRequestId=fleet, MaxResults=2)
    assert (len(answer["ActiveInstances"]), bool(answer["NextToken"])) == (2, True)


def an_instance_carries_the_tag_of_its_fleet(ec2: Any) -> None:
    fleet = request(ec2)
    [one] = instances(ec2, Filters=[{"Name": "tag:aws:ec2spot:fleet-request-id", "Values": [fleet]}])
    assert one["InstanceLifecycle"] == "spot"


def an_instance_has_its_profile(ec2: Any) -> None:
    arn = "arn:aws:iam::123456789012:instance-profile/annex"
    request(ec2, LaunchSpecifications=[specification(IamInstanceProfile={"Arn": arn})])
    [one] = instances(ec2)
    assert one["IamInstanceProfile"]["Arn"] == arn


def every_override_of_a_launch_template_is_a_pool(ec2: Any) -> None:
    data = {"ImageId": "ami-12345678", "InstanceType": "m5.large"}
    ec2.create_launch_template(LaunchTemplateName="pools", LaunchTemplateData=data)
    template = {"LaunchTemplateName": "pools", "Version": "$Latest"}
    overrides = [{"InstanceType": "m5.large"}, {"InstanceType": "c5.large"}]
    config = fleet_config(4, AllocationStrategy="diversified")
    del config["LaunchSpecifications"]
    config["LaunchTemplateConfigs"] = [{"LaunchTemplateSpecification": template, "Overrides": overrides}]
    ec2.request_spot_fleet(SpotFleetRequestConfig=config)
    assert sorted(one["InstanceType"] for one in instances(ec2)) == ["c5.large"] * 2 + ["m5.large"] * 2


def more_than_200_values_in_a_filter_are_refused(ec2: Any) -> None:
    with pytest.raises(ClientError, match="FilterLimitExceeded"):
        instances(ec2, Filters=[{"Name": "instance-id", "Values": ["i-1"] * 201}])


BEHAVIOURS: list[Behaviour] = [
    a_second_request_with_the_same_token_makes_no_second_fleet,
    the_same_token_with_other_parameters_is_refused,
    the_token_is_told_when_the_fleet_is_described,
    type_and_validity_are_kept,
    a_dry_run_launches_nothing,
    the_allocation_strategy_has_a_default,
    weighted_capacity_rounds_up,
    a_cancelled_fleet_stays_in_describe,
    a_second_cancel_answers_for_each_id,
    no_more_than_100_fleets_are_cancelled_at_once,
    an_instance_ended_by_itself_is_replaced_if_the_fleet_maintains_its_capacity,
    fleets_are_told_in_pages,
    a_fleets_instances_are_told_in_pages,
    an_instance_carries_the_tag_of_its_fleet,
    an_instance_has_its_profile,
    every_override_of_a_launch_template_is_a_pool,
    more_than_200_values_in_a_filter_are_refused,
]
ALSO_MOTOS: list[Behaviour] = [a_one_shot_fleet_replaces_nothing_and_lists_only_what_runs]
EACH = pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.__name__)


@pytest.mark.parametrize("behaviour", BEHAVIOURS + ALSO_MOTOS, ids=lambda behaviour: behaviour.__name__)
def test_as_aws(cloud: Cloud, behaviour: Behaviour) -> None:
    behaviour(cloud.client("ec2"))


@pytest.fixture(scope="module")
def bare_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bare_ec2(bare_url: str) -> Any:
    """Return a client of moto's own EC2, after a reset."""
    connection = HTTPConnection(bare_url.removeprefix("http://"))
    connection.request("POST", "/moto-api/reset")
    assert connection.getresponse().status == 200
    connection.close()
    keys = {"aws_access_key_id": "AKIABARE", "aws_secret_access_key": "bare", "region_name": "us-east-1"}
    return boto3.client("ec2", endpoint_url=bare_url, config=Config(retries={"total_max_attempts": 1}), **keys)


def test_bare_moto_takes_a_plain_request_so_that_later_failures_have_the_stated_reason(bare_ec2: Any) -> None:
    fleet = request(bare_ec2, 2)
    assert described(bare_ec2, fleet)["SpotFleetRequestState"] == "active"
    assert len(instances(bare_ec2)) == 2


@pytest.mark.xfail(
    strict=True,
    raises=(AssertionError, ClientError, ResponseParserError, KeyError, ValueError, pytest.fail.Exception),
    reason="bare moto deviates from AWS here, which is why the layer exists",
)
@EACH
def test_bare_moto_is_not_as_aws(bare_ec2: Any, behaviour: Behaviour) -> None:
    behaviour(bare_ec2)
