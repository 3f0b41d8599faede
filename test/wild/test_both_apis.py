"""Test the same files with EC2 Fleet: it gets the same as Spot Fleet, or the user gets a message about the rest."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from annexd.annex.request.translation import MOVED, STRATEGIES
from test.annex.conftest import deployed, site
from test.annex.site import BYSTANDER, Site
from test.wild.driver import order, set_up, with_templates, without_the_leases_own
from test.wild.expectation import Case, cases

__all__ = ["deployed", "site"]  # the fixtures of annexd's own tests

SENT = [case for case in cases() if case.sent is not None]
REFUSED = [case for case in cases() if case.sent is None]
BY_SPOT_FLEET_ONLY = {"37-labs-target-group.json": "LoadBalancersConfig: EC2 Fleet does not register instances"}
OF_MAINTAIN = ("ExcessCapacityTerminationPolicy", "ReplaceUnhealthyInstances")
OF_SPOT_FLEET = ("IamFleetRole", "On-Demand instances of a Spot Fleet")
ROLE_ALONE = "46-notes-ja-wrapper.json"  # only the fleet role is wrong in it
PLACES = ("InstanceType", "InstanceRequirements", "WeightedCapacity", "Priority")
ZONES = ("AvailabilityZone", "AvailabilityZoneId")


@pytest.fixture
def annexd(site: Site) -> Iterator[Site]:
    """Provide an annexd that -setup has prepared."""
    with set_up(site):
        yield site


def names(some: list[Case]) -> list[str]:
    return [f"{case.file[:-5]}: {case.name}" for case in some]


@pytest.mark.parametrize("case", SENT, ids=names(SENT))
def test_a_spot_fleet_config_reaches_aws_equally_as_an_ec2_fleet(case: Case, annexd: Site, tmp_path: Path) -> None:
    text = with_templates(annexd, case.text)
    file = tmp_path / "config.json"
    file.write_text(text, encoding="utf-8")
    outcome = order(annexd, file, *case.options, api="ec2-fleet")
    if case.file in BY_SPOT_FLEET_ONLY:
        assert BY_SPOT_FLEET_ONLY[case.file] in outcome.message
        assert "-fleet-api spot-fleet" in outcome.message
        return
    assert (outcome.by, outcome.message) == ("", "")
    assert outcome.fleet is not None
    assert case.sent is not None
    spot, ec2 = case.sent.config(text), without_the_leases_own(outcome.fleet)
    data = versions(annexd, outcome.fleet)
    for name, place in MOVED.items():
        if name in spot and not (name in OF_MAINTAIN and spot.get("Type") != "maintain"):
            value = spot[name]
            assert plain(at(ec2, place)) == plain(STRATEGIES.get(value, value) if isinstance(value, str) else value)
    assert sorted(of_ec2_fleet(ec2, data)) == sorted(of_spot_fleet(spot))
    for each in data.values():
        assert each["MetadataOptions"]["HttpTokens"] == "required"


def versions(annexd: Site, fleet: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the data of the fleet's own launch template, by version number, and delete the template."""
    ec2, name = annexd.cloud.client("ec2", BYSTANDER), fleet["ClientToken"]
    response = ec2.describe_launch_template_versions(LaunchTemplateName=name)["LaunchTemplateVersions"]
    ec2.delete_launch_template(LaunchTemplateName=name)
    return {str(each["VersionNumber"]): each["LaunchTemplateData"] for each in response}


def at(config: Mapping[str, Any], place: str) -> Any:
    value: Any = config
    for name in place.split("."):
        value = value[name]
    return value


def plain(value: Any) -> Any:
    """Convert numbers and booleans to text, as they are sent."""
    if isinstance(value, Mapping):
        return {name: plain(value[name]) for name in sorted(value)}
    return str(float(value)) if isinstance(value, int | float) and not isinstance(value, bool) else str(value).lower()


def of_spot_fleet(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each pool of a Spot Fleet's config: type, place, price, and launch specification."""
    price = config.get("SpotPrice")
    for each in config.get("LaunchSpecifications") or ():
        place = each.get("Placement") or {}
        zones = [zone.strip() for name in ZONES for zone in str(place.get(name) or "").split(",")]
        for zone in [zone for zone in zones if zone] or [""]:
            yield line(each, zone, each.get("SpotPrice") or price, each)
    for template in config.get("LaunchTemplateConfigs") or ():
        for each in template.get("Overrides") or [{}]:
            zone = next((each[name] for name in ZONES if name in each), "")
            yield line(each, zone, each.get("SpotPrice") or price, {})


def of_ec2_fleet(config: Mapping[str, Any], data: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for each in config["LaunchTemplateConfigs"]:
        made_of = data[each["LaunchTemplateSpecification"]["Version"]]
        is_copy = "InstanceType" in made_of  # of the user's template, which is not part of the file
        for override in each.get("Overrides") or [{}]:
            zone = next((override[name] for name in ZONES if name in override), "")
            yield line(override, zone, override.get("MaxPrice"), {} if is_copy else as_specification(made_of))


def as_specification(data: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the parts of a launch template that have other names in a launch specification."""
    groups = [{"GroupId": each} for each in data.get("SecurityGroupIds") or ()]
    groups += [{"GroupName": each} for each in data.get("SecurityGroups") or ()]
    return {**data, "SecurityGroups": groups}


def line(pool: Mapping[str, Any], zone: str, price: Any, made_of: Mapping[str, Any]) -> str:
    parts = [plain(pool[name]) for name in PLACES if name in pool]
    subnet = str(pool.get("SubnetId") or "").replace(" ", "")
    what = [made_of.get(name) for name in ("ImageId", "KeyName", "IamInstanceProfile", "UserData", "EbsOptimized")]
    groups = [each.get("GroupId") or each.get("GroupName") for each in made_of.get("SecurityGroups") or ()]
    devices = [each.get("DeviceName") for each in made_of.get("BlockDeviceMappings") or ()]
    tags = {tag["Key"] for one in made_of.get("TagSpecifications") or () for tag in one["Tags"]}
    own = sorted(tag for tag in tags if not tag.startswith("htcondor:"))
    return repr((parts, subnet, zone, price and plain(float(price)), what, groups, devices, own))


@pytest.mark.parametrize("case", REFUSED, ids=names(REFUSED))
def test_faults_of_a_spot_fleet_are_faults_of_an_ec2_fleet(case: Case, annexd: Site, tmp_path: Path) -> None:
    text = with_templates(annexd, case.text)
    file = tmp_path / "config.json"
    file.write_text(text, encoding="utf-8")
    outcome = order(annexd, file, *case.options, api="ec2-fleet")
    if case.file == ROLE_ALONE:
        assert outcome.by == ""
        return
    wording = outcome.message.replace(f"{tmp_path}/", "")
    wrong = [each for each in case.refused.split("; ") if not any(name in each for name in OF_SPOT_FLEET)]
    assert [each for each in wrong if each not in wording] == []
    assert annexd.live_fleets() == []
