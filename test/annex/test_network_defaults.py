"""Machines whose request names no network use the network that -setup was given."""

from __future__ import annotations

from typing import Any

import pytest

from annexd.annex.request.faults import InvalidRequest
from annexd.annex.request.request import BulkRequest
from test.annex.ads import ID, NOW_S, SPECIFICATION, bulk_request_ad
from test.annex.joining import defaults

GROUP, FIRST, SECOND, OTHER = f"sg-{ID}", f"subnet-{ID}", "subnet-0fedcba9876543210", "subnet-00000000000000001"
OWN_NETWORK = defaults(security_group_id=GROUP, subnet_ids=(FIRST, SECOND))
DEFAULT_VPC = defaults(security_group_id=GROUP)
TEMPLATE = {"LaunchTemplateSpecification": {"LaunchTemplateId": f"lt-{ID}", "Version": "1"}}


def filled(specification: dict[str, Any], network: Any = OWN_NETWORK) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the launch specification that reaches AWS, and its notes."""
    request = BulkRequest.from_ad(bulk_request_ad(LaunchSpecifications=[specification]), NOW_S, network)
    [one] = request.config["LaunchSpecifications"]
    return dict(one), request.notes


def mentioning(notes: tuple[str, ...], word: str) -> list[str]:
    return [note for note in notes if word in note]


def test_a_specification_without_a_network_gets_the_subnets_and_the_group_of_setup() -> None:
    one, _ = filled(SPECIFICATION)
    assert (one["SubnetId"], one["SecurityGroups"]) == (f"{FIRST},{SECOND}", [{"GroupId": GROUP}])


def test_in_the_default_vpc_aws_chooses_the_subnet() -> None:
    one, _ = filled(SPECIFICATION, DEFAULT_VPC)
    assert "SubnetId" not in one
    assert one["SecurityGroups"] == [{"GroupId": GROUP}]


@pytest.mark.parametrize("named", [FIRST, f"{SECOND}, {FIRST}"])
def test_one_of_setups_own_subnets_gets_the_group_too(named: str) -> None:
    one, notes = filled(SPECIFICATION | {"SubnetId": named})
    assert (one["SubnetId"], one["SecurityGroups"]) == (named, [{"GroupId": GROUP}])
    assert mentioning(notes, GROUP) == []


@pytest.mark.parametrize("network", [OWN_NETWORK, DEFAULT_VPC])
def test_another_subnet_keeps_the_group_of_its_own_vpc(network: Any) -> None:
    one, notes = filled(SPECIFICATION | {"SubnetId": OTHER}, network)
    assert one["SubnetId"] == OTHER
    assert "SecurityGroups" not in one
    assert mentioning(notes, GROUP) == []


@pytest.mark.parametrize("network", [OWN_NETWORK, DEFAULT_VPC])
def test_setups_group_with_a_subnet_of_possibly_another_vpc_causes_a_warning(network: Any) -> None:
    _, notes = filled(SPECIFICATION | {"SubnetId": OTHER, "SecurityGroups": [{"GroupId": GROUP}]}, network)
    [note] = mentioning(notes, GROUP)
    assert note.startswith(
        f"LaunchSpecifications[0]: {GROUP} belongs to the VPC that -setup chose. If {OTHER} belongs to another"
    )


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({"Placement": {"AvailabilityZone": "us-east-1a"}}, "Placement.AvailabilityZone needs a SubnetId in it"),
        ({"Placement": {"AvailabilityZoneId": "use1-az1"}}, "Placement.AvailabilityZoneId needs a SubnetId in it"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0}]}, "NetworkInterfaces[0].SubnetId is missing"),
    ],
)
def test_requests_that_several_subnets_cannot_complete_are_refused_with_their_names(
    place: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=r"LaunchSpecifications\[0\]") as refused:
        filled(SPECIFICATION | place)
    [fault] = refused.value.faults
    assert message in fault
    assert f"machines are in {FIRST}, {SECOND} otherwise, as -setup chose" in fault
    filled(SPECIFICATION | place, DEFAULT_VPC)


def test_a_launch_template_without_a_subnet_is_warned_about() -> None:
    def notes(**override: str) -> tuple[str, ...]:
        pool = {"InstanceType": "m5.large"} | override
        config: dict[str, Any] = {
            "LaunchSpecifications": None,
            "LaunchTemplateConfigs": [TEMPLATE | {"Overrides": [pool]}],
        }
        return BulkRequest.from_ad(bulk_request_ad(**config), NOW_S, OWN_NETWORK).notes

    [note] = mentioning(notes(), "default VPC")
    assert f"must name a subnet, such as {FIRST}" in note
    assert mentioning(notes(SubnetId=FIRST), "default VPC") == []
