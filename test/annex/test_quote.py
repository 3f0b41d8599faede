"""A quote, from its ad to its reply, on the emulated AWS: it describes the order and changes nothing."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest

from annexd.annex.lease.heartbeat import CLOSED_DESCRIPTION
from annexd.annex.quote.pools import capacity_of_ec2_fleet
from annexd.annex.reply import ReplyAd
from test.annex.ads import SPECIFICATION
from test.annex.priced import seen
from test.annex.site import BYSTANDER, Site, wait_for
from test.annex.strange import NOW, answering
from test.aws.endpoint import endpoint, relays

EFFECTS = {"fleet requested", "instances launched", "object put"}
DAY_S = 86400.0


def quote_in(reply: ReplyAd) -> dict[str, Any]:
    quote: dict[str, Any] = json.loads(str(reply["Quote"]))
    return quote


def quoted(site: Site, **changes: Any) -> dict[str, Any]:
    reply = site.quote(**{"LaunchSpecifications": [seen()], **changes})
    assert reply["Result"] == "Success", reply
    return quote_in(reply)


def test_a_quote_changes_nothing_and_says_what_would_be_sent(priced: Site) -> None:
    quote = quoted(priced)
    assert priced.cloud.fleets() == [] or not priced.live_fleets()
    assert [each for each in priced.cloud.audit() if each.get("effect") in EFFECTS] == []
    assert not (priced.home / "command_state").exists(), "no journal was made"
    sent = quote["Request"]
    assert (sent["TargetCapacity"], sent["SpotPrice"], sent["Type"]) == (2, "0.05", "request")
    assert {tag["Key"] for tag in sent["TagSpecifications"][0]["Tags"]} >= {"htcondor:annex-id"}


def test_the_most_is_the_bound_times_instances_times_the_lease_with_two_runs_of_the_function(priced: Site) -> None:
    quote = quoted(priced)
    most, hours = quote["Most"], Fraction(quote["BilledSeconds"] + 1, 3600)
    assert 3600 + 600 - 30 < quote["BilledSeconds"] <= 3600 + 600
    assert quote["MostInstances"] == 2
    expected = {"Instances": 2 * 0.05, "Volumes": 2 * 20 * 0.08 / (28 * 24), "Addresses": 2 * 0.005}
    for name, rate in expected.items():
        assert float(most[name]) == pytest.approx(rate * float(hours), abs=2e-6)
    assert float(most["Total"]) == pytest.approx(sum(float(most[name]) for name in expected), abs=4e-6)
    assert most["Unknown"] == []
    assert any("traffic" in each for each in quote["NotIncluded"])


def test_spot_prices_are_those_of_ninety_days_each_for_as_long_as_it_held(priced: Site) -> None:
    """One zone was 80 days at 0.02, 8 at 0.03 and 2 at 0.045; the other changed each hour, over several pages."""
    course = [[-100 * DAY_S, 0.02], [-10 * DAY_S, 0.03], [-2 * DAY_S, 0.045]]
    often = [[-95 * DAY_S + 3600 * hour, 0.02 + hour % 2 / 1000] for hour in range(2200)]
    priced.cloud.set_prices(spot={"m5.large us-east-1a": course, "m5.large us-east-1b": often})
    [pool] = quoted(priced)["Pools"]
    prices = pool["SpotPrices"]["us-east-1a"]
    assert (prices["Now"], prices["Median"], prices["Percentile90"]) == ("0.045000", "0.020000", "0.030000")
    assert prices["Days"] == 90
    assert pool["SpotPrices"]["us-east-1b"]["Percentile90"] == "0.021000"
    assert priced.operations().count("DescribeSpotPriceHistory") >= 3, "pages"


def test_the_estimate_is_between_the_cheapest_and_the_dearest_pool_and_never_above_the_bound(
    priced: Site,
) -> None:
    priced.cloud.set_prices(spot={"m5.large us-east-1a": [[-DAY_S, 0.02]], "m5.large us-east-1b": [[-DAY_S, 0.07]]})
    priced.cloud.set_prices(spot={"m5.large": [[-DAY_S, 0.02]]})
    now = quoted(priced)["Instances"]["Now"]
    assert float(now["Lowest"]) == pytest.approx(2 * 0.02, rel=0.01)
    assert float(now["Highest"]) == pytest.approx(2 * 0.05, rel=0.01)


def test_pools_are_shown_by_type_and_zone_with_their_number_of_instances(priced: Site) -> None:
    subnets = {each["SubnetId"]: each["AvailabilityZone"] for each in
               priced.cloud.client("ec2", BYSTANDER).describe_subnets()["Subnets"][:2]}  # fmt: skip
    specifications = [
        seen(SubnetId=",".join(subnets)),
        seen(InstanceType="c5.xlarge", WeightedCapacity=3, Placement={"AvailabilityZone": "us-east-1c"}),
    ]
    quote = quoted(priced, TargetCapacity=10, LaunchSpecifications=specifications)
    large, extra = quote["Pools"]
    assert (large["Zones"], large["MostSpotInstances"]) == (sorted(subnets.values()), 10)
    assert (extra["Zones"], extra["MostSpotInstances"]) == (["us-east-1c"], 4)
    assert quote["MostInstances"] == 10
    hours = float(Fraction(quote["BilledSeconds"] + 1, 3600))
    assert float(quote["Most"]["Instances"]) == pytest.approx((9 * 0.05 + 0.15) * hours, abs=2e-6), "a unit of 0.05"


def test_without_a_spot_price_the_bound_is_the_on_demand_price_which_is_not_sent(priced: Site) -> None:
    [pool] = quoted(priced, SpotPrice=None)["Pools"]
    assert (pool["PriceBound"], pool["PriceBoundIsSent"], pool["OnDemandPrice"]) == ("0.096000", False, "0.096000")


def test_a_bound_that_was_quoted_is_sent_where_the_file_has_none(priced: Site) -> None:
    own = seen(SpotPrice="0.04", InstanceType="c5.xlarge")
    bounds = ["LaunchSpecifications[0]=0.096000", "LaunchSpecifications[1]=0.17"]
    reply = priced.order(SpotPrice=None, LaunchSpecifications=[seen(), own], PriceBounds=bounds)
    assert reply["Result"] == "Success", reply
    [fleet] = priced.live_fleets()
    assert [each["SpotPrice"] for each in fleet["config"]["LaunchSpecifications"]] == ["0.096000", "0.04"]


@pytest.mark.parametrize("bounds", ["0.1", ["0.1"], ["IamFleetRole=0.1"], ["LaunchSpecifications[0]=1e3"], [7]])
def test_bounds_that_are_none_are_refused(site: Site, bounds: Any) -> None:
    reply = site.order(PriceBounds=bounds)
    assert reply["Result"] == "InvalidRequest"
    assert "PriceBounds must be a list of texts" in str(reply["ErrorString"])


def test_a_quote_is_refused_for_the_same_reason_as_its_order(site: Site) -> None:
    wrong: dict[str, Any] = {"TargetCapacity": -1, "SpotPrice": "much"}
    ordered, asked = site.order(**wrong), site.quote(**wrong)
    assert asked["Result"] == "InvalidRequest"
    assert asked["ErrorString"] == ordered["ErrorString"]


def test_an_order_whose_lease_nobody_would_end_is_refused_and_priced_all_the_same(priced: Site) -> None:
    functions, reply = priced.cloud.client("lambda", BYSTANDER), dict[str, Any]()
    updated = functions.get_waiter("function_updated_v2")
    for description in (CLOSED_DESCRIPTION, ""):
        functions.update_function_configuration(FunctionName=priced.arn, Description=description)
        updated.wait(FunctionName=priced.arn, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        reply = priced.quote(LaunchSpecifications=[seen()]) if description else reply
    assert reply["Result"] == "Failure"
    assert "is closed" in str(reply["ErrorString"])
    assert quote_in(reply)["Most"]["Total"] is not None


def test_a_right_that_a_dry_run_misses_refuses_the_order(priced: Site) -> None:
    priced.cloud.fault("RequestSpotFleet", "denied")
    reply = priced.quote(LaunchSpecifications=[seen()])
    assert reply["Result"] == "Failure"
    assert "RequestSpotFleet (DryRun) was denied" in str(reply["ErrorString"])
    assert quote_in(reply)["Rights"]["Denied"] != []


def test_a_successful_dry_run_is_reported_with_its_limits(priced: Site) -> None:
    rights = quoted(priced)["Rights"]
    assert (rights["Denied"], rights["DryRunFault"]) == ([], None)
    assert "iam:PassRole" in rights["NotProved"]
    assert "s3:PutObject" in rights["NotTried"]


@pytest.mark.parametrize(
    ("operation", "right", "is_unknown"),
    [
        ("DescribeImages", "ec2:DescribeImages", lambda quote: quote["Most"]["Total"] is None),
        ("GetProducts", "pricing:GetProducts", lambda quote: quote["Most"]["Total"] is None),
        ("DescribeSpotPriceHistory", "ec2:DescribeSpotPriceHistory", lambda quote: not quote["Pools"][0]["SpotPrices"]),
        ("GetServiceQuota", "servicequotas:GetServiceQuota", lambda quote: quote["Quotas"][0]["Left"] is None),
        ("DescribeInstanceTypes", "ec2:DescribeInstanceTypes", lambda quote: quote["Quotas"][0]["Needed"] is None),
        ("DescribeInstances", "ec2:DescribeInstances", lambda quote: quote["Quotas"][0]["Used"] is None),
    ],
)
def test_without_an_optional_right_something_is_unknown_and_the_right_is_named(
    priced: Site, operation: str, right: str, is_unknown: Any
) -> None:
    priced.cloud.fault(operation, "denied", times=100)
    quote = quoted(priced)
    assert quote["Rights"]["MissingForQuote"] == [right]
    assert is_unknown(quote)


def test_a_price_that_is_unknown_is_said_and_makes_the_most_unknown(priced: Site) -> None:
    quote = quoted(priced, SpotPrice=None, LaunchSpecifications=[seen(InstanceType="r5.large")])
    assert quote["Most"]["Total"] is quote["Most"]["Instances"] is None
    assert any("the On-Demand price of r5.large" in each for each in quote["Most"]["Unknown"])


def test_types_that_aws_chooses_make_the_most_unknown(priced: Site) -> None:
    needs = {"VCpuCount": {"Min": 2}, "MemoryMiB": {"Min": 4096}}
    by_attributes = {key: value for key, value in seen().items() if key != "InstanceType"}
    quote = quoted(priced, LaunchSpecifications=[by_attributes | {"InstanceRequirements": needs}])
    assert quote["Most"]["Total"] is None
    assert any("which AWS or a launch template chooses" in each for each in quote["Most"]["Unknown"])


def test_quotas_say_what_is_left_beside_what_runs_and_warn_of_too_little(priced: Site) -> None:
    priced.order(TargetCapacity=3)
    priced.cloud.set_quotas(L_34B43A08=16.0)
    [quota] = quoted(priced, TargetCapacity=6)["Quotas"]
    assert (quota["Code"], quota["Value"], quota["Used"], quota["Left"], quota["Needed"]) == (
        "L-34B43A08", 16.0, 6, 10.0, 12)  # fmt: skip
    assert any(
        "12 are needed, 16 are allowed and 6 are used" in each for each in quoted(priced, TargetCapacity=6)["Warnings"]
    )


def test_a_quota_without_a_row_shows_awss_default(priced: Site) -> None:
    [quota] = quoted(priced, LaunchSpecifications=[seen(InstanceType="g4dn.xlarge")])["Quotas"]
    assert (quota["Code"], quota["Value"], quota["Needed"]) == ("L-3819A6DF", 0.0, 8)


def test_a_bound_below_today_s_price_in_every_zone_is_warned_of(priced: Site) -> None:
    warnings = quoted(priced, SpotPrice="0.02")["Warnings"]
    assert any("the Spot price of m5.large is above the bound in every zone" in each for each in warnings)


def test_an_unreadable_image_makes_volumes_unknown(priced: Site) -> None:
    quote = quoted(priced, LaunchSpecifications=[SPECIFICATION])
    assert quote["Most"]["Volumes"] is None
    assert any("Linux is assumed" in each for each in quote["Warnings"])
    assert any("InvalidAMIID.NotFound" in each for each in quote["Troubles"])


@pytest.mark.parametrize(
    ("course", "capacity", "changes"),
    [
        ([[-DAY_S, 0.03]], 2, {}),
        ([[-DAY_S, 0.03], [1, 0.049], [2, 0.01]], 3, {}),
        ([[-DAY_S, 0.03], [10, 0.2]], 2, {}),
        ([[-DAY_S, 0.03], [1, 0.09]], 2, {"SpotPrice": None}),
        ([[-DAY_S, 0.09]], 5, {"SpotPrice": None, "LaunchSpecifications": [seen(WeightedCapacity=2)]}),
    ],
)
def test_the_meter_confirms_the_quote_after_an_order_that_ended_with_its_lease(
    priced: Site, course: list[list[float]], capacity: int, changes: dict[str, Any]
) -> None:
    priced.cloud.set_prices(spot={"m5.large": course})
    asked = {"TargetCapacity": capacity, "LaunchSpecifications": [seen()], **changes}
    most = float(quoted(priced, EndOfLease=int(priced.now_s()) + 15, **asked)["Most"]["Total"])
    reply = priced.order(EndOfLease=int(priced.now_s()) + 15, **asked)
    assert reply["Result"] == "Success", reply
    wait_for(lambda: priced.now_s() > int(str(reply["EndOfLease"])), "the end of the lease")
    priced.beat()
    priced.check_nothing_left()
    line = priced.cloud.meter()["annexes"][reply["AnnexID"]]
    assert line["unpriced"] == 0
    assert 0 < line["dollars"] <= most


def test_a_repeated_order_need_not_repeat_the_bounds_that_were_quoted(priced: Site) -> None:
    asked: dict[str, Any] = {"CommandID": "alice-7", "EndOfLease": int(priced.now_s()) + 3600, "SpotPrice": None}
    first = priced.order(**asked, PriceBounds=["LaunchSpecifications[0]=0.096000"])
    assert first["Result"] == "Success", first
    assert priced.order(**asked) == first


def test_a_quote_holds_whatever_text_the_request_has(priced: Site) -> None:
    texts = ['a "quote"', "a backslash at the end \\", 'both \\"', "\\\\", "é\t"]
    tags = [{"Key": f"k{i}", "Value": text} for i, text in enumerate(texts)]
    groups = [{"ResourceType": "instance", "Tags": tags}]
    reply = priced.quote(LaunchSpecifications=[seen(TagSpecifications=groups)])
    [group] = quote_in(reply)["Request"]["LaunchSpecifications"][0]["TagSpecifications"]
    assert [tag["Value"] for tag in group["Tags"]][: len(texts)] == texts
    assert '\\"' not in str(reply["Quote"])


def test_an_endpoint_that_treats_a_dry_run_as_an_order_is_reported(priced: Site) -> None:
    """Anything that it created has its lease in its token, like every order."""
    body = b"<RequestSpotFleetResponse><spotFleetRequestId>sfr-1</spotFleetRequestId></RequestSpotFleetResponse>"
    with endpoint(relays(priced.cloud.url, NOW, answering("RequestSpotFleet", body))) as url:
        reply = priced.quote(ServiceURL=url)
    assert reply["Result"] == "Failure"
    assert "does not know DryRun, and may have ordered" in str(reply["ErrorString"])


# By EC2 Fleet.


def test_a_quote_by_ec2_fleet_is_of_the_same_pools_at_the_same_most(priced: Site) -> None:
    specifications = [seen(), seen(InstanceType="c5.xlarge", WeightedCapacity=3)]
    ec2 = priced.cloud.client("ec2", BYSTANDER)
    before = ec2.describe_launch_templates()["LaunchTemplates"]
    by_spot_fleet, by_ec2_fleet = (
        quoted(priced, LaunchSpecifications=specifications, FleetAPI=api) for api in ("SpotFleet", "EC2Fleet")
    )
    assert by_ec2_fleet["Pools"] == by_spot_fleet["Pools"]
    assert by_ec2_fleet["MostInstances"] == by_spot_fleet["MostInstances"]
    for name in ("Instances", "Volumes", "Addresses", "Total"):
        assert float(by_ec2_fleet["Most"][name]) == pytest.approx(float(by_spot_fleet["Most"][name]), rel=0.01)
    assert by_ec2_fleet["Request"]["TargetCapacitySpecification"]["TotalTargetCapacity"] == 2
    assert [each for each in priced.cloud.audit() if each.get("effect") in EFFECTS] == []
    assert ec2.describe_launch_templates()["LaunchTemplates"] == before


def test_the_capacity_and_bounds_of_a_create_fleet_request_are_read() -> None:
    template = {"LaunchTemplateSpecification": {"LaunchTemplateName": "mine", "Version": "1"}}
    overrides = [{"InstanceType": "m5.large", "MaxPrice": "0.05"}, {"InstanceType": "c5.xlarge"}]
    wanted = {"TotalTargetCapacity": 10, "OnDemandTargetCapacity": 2, "DefaultTargetCapacityType": "spot"}
    request = {"TargetCapacitySpecification": wanted, "LaunchTemplateConfigs": [{**template, "Overrides": overrides}]}
    capacity = capacity_of_ec2_fleet(request)
    assert (capacity.spot_units, capacity.on_demand_units) == (8, 2)
    assert [each.instance_type for each in capacity.pools] == ["m5.large", "c5.xlarge"]
    assert [each.price_bound for each in capacity.pools] == [Fraction("0.05"), None]


def test_a_bound_that_was_quoted_is_sent_by_ec2_fleet_too(priced: Site) -> None:
    bounds = ["LaunchSpecifications[0]=0.096"]
    quote = quoted(priced, SpotPrice=None, FleetAPI="EC2Fleet", PriceBounds=bounds)
    [override] = quote["Request"]["LaunchTemplateConfigs"][0]["Overrides"]
    assert override["MaxPrice"] == "0.096"
    assert quote["Most"]["Unknown"] == []


def test_a_quote_by_ec2_fleet_asks_for_a_published_image_once(priced: Site) -> None:
    published = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    quoted(priced, LaunchSpecifications=[seen(f"resolve:ssm:{published}")], FleetAPI="EC2Fleet")
    assert priced.operations().count("GetParameter") == 1


@pytest.mark.parametrize("on_demand", [2, 4])
def test_a_quote_of_mixed_capacity_by_ec2_fleet_has_both_kinds_and_the_most_of_each(
    priced: Site, on_demand: int
) -> None:
    quote = quoted(priced, TargetCapacity=4, OnDemandTargetCapacity=on_demand, FleetAPI="EC2Fleet", SpotPrice="0.05")
    assert (quote["SpotUnits"], quote["OnDemandUnits"]) == (4 - on_demand, on_demand)
    reply = priced.quote(
        LaunchSpecifications=[seen()], TargetCapacity=4, OnDemandTargetCapacity=2, FleetAPI="SpotFleet"
    )
    assert "need LaunchTemplateConfigs" in str(reply["ErrorString"]), "as the order of it"
    less = quoted(priced, TargetCapacity=4, FleetAPI="EC2Fleet", SpotPrice="0.05")
    assert float(quote["Most"]["Instances"]) > float(less["Most"]["Instances"]), "On-Demand costs more than the bound"
