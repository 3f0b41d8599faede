"""The most in a quote is never exceeded, whatever prices do and whatever mixture AWS chooses."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from annexd.annex.lease.identifiers import leased_token
from annexd.annex.quote.costs import LATE_S, Most, most_of, priced
from annexd.annex.quote.images import LINUX, Image
from annexd.annex.quote.list_prices import ListPrices
from annexd.annex.quote.money import dollars, price_in
from annexd.annex.quote.optional_calls import OptionalCalls
from annexd.annex.quote.pools import capacity_of
from annexd.annex.quote.price_table import PriceTable
from annexd.annex.quote.sums import WeightedPrice, most_dollars, most_instances
from test.cloud.fleets import Fleets
from test.cloud.instances import Timing
from test.cloud.meter import reading
from test.cloud.prices import Market

START_S = 1_800_000_000.0
KINDS = ("m5.large", "c5.xlarge", "r5.2xlarge")
IMAGE = "ami-12345678"
GIGABYTE_MONTH, ADDRESS_HOUR = 8.0, 0.5  # so expensive that a fault in one part shows
WEIGHTS = st.sampled_from([1, 2, 3, 0.5, 1.5])
PRICES = st.sampled_from([0.05, 0.1, 0.2, 0.4])  # few, so that prices often equal the bound


@dataclass
class Clock:
    now_s: float = START_S

    def __call__(self) -> float:
        return self.now_s


@st.composite
def parts(draw: st.DrawFn) -> dict[str, Any]:
    """Draw one launch specification or override."""
    part: dict[str, Any] = {"InstanceType": draw(st.sampled_from(KINDS)), "WeightedCapacity": draw(WEIGHTS)}
    if draw(st.booleans()):
        part["SpotPrice"] = f"{draw(PRICES):.3f}"
    return part


@st.composite
def orders(draw: st.DrawFn) -> dict[str, Any]:
    config: dict[str, Any] = {
        "TargetCapacity": draw(st.integers(1, 12)),
        "Type": draw(st.sampled_from(["request", "maintain"])),
        "AllocationStrategy": draw(st.sampled_from(["lowestPrice", "diversified", "capacityOptimized"])),
    }
    if draw(st.booleans()):
        config["SpotPrice"] = f"{draw(PRICES):.3f}"
    some = draw(st.lists(parts(), min_size=1, max_size=3))
    if draw(st.booleans()):
        config["OnDemandTargetCapacity"] = draw(st.integers(0, config["TargetCapacity"]))
        named = {"LaunchTemplateName": "any", "Version": "1"}
        config["LaunchTemplateConfigs"] = [{"LaunchTemplateSpecification": named, "Overrides": some}]
        return config
    beside = {
        "ImageId": IMAGE,
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": draw(st.integers(1, 500)), "VolumeType": "gp3"}}
        ],
        "NetworkInterfaces": [{"DeviceIndex": 0, "AssociatePublicIpAddress": draw(st.booleans())}],
    }
    config["LaunchSpecifications"] = [{**beside, **each} for each in some]
    return config


@st.composite
def courses(draw: st.DrawFn) -> dict[str, Any]:
    """Draw On-Demand prices of all types, and Spot prices that rise above and fall below them."""
    moments = st.lists(st.integers(-5000, 20_000), max_size=3, unique=True)
    spot = {kind: [[-90 * 86400.0, draw(PRICES)], *([at_s, draw(PRICES)] for at_s in draw(moments))] for kind in KINDS}
    return {"spot": spot, "on_demand": {kind: draw(PRICES) for kind in KINDS}}


def specifications(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return specifications and overrides as AWS reads them, with the request's price where a part has none."""
    price = {"SpotPrice": config["SpotPrice"]} if "SpotPrice" in config else {}
    overrides = [each for template in config.get("LaunchTemplateConfigs", ()) for each in template["Overrides"]]
    return [{**price, **each} for each in (*config.get("LaunchSpecifications", ()), *overrides)]


def quoted(config: dict[str, Any], course: dict[str, Any], length_s: float) -> Most:
    """Return what annexd computes with prices from a table; another test covers the images of templates."""
    table = PriceTable(
        "a table",
        {("Linux", kind): Fraction(str(price)) for kind, price in course["on_demand"].items()},
        {"gp3": Fraction(str(GIGABYTE_MONTH))},
        Fraction(str(ADDRESS_HOUR)),
    )
    prices, unknown = ListPrices(None, table, "us-east-1", OptionalCalls()), dict[str, None]()
    capacity = capacity_of(config)
    images = {image: Image(LINUX, ()) for image in (IMAGE, "")}
    pools = [priced(each, None, images, {}, prices, unknown) for each in capacity.pools]
    return most_of(capacity, pools, prices.address_hour(), length_s, unknown)


@settings(max_examples=300)
@given(orders(), courses(), st.sampled_from([60, 600, 7200]), st.sampled_from([0, LATE_S]), st.integers(0, 300))
def test_in_every_course_of_prices_the_meter_reads_no_more_than_the_quote_said(
    config: dict[str, Any], course: dict[str, Any], length_s: int, late_s: int, valid_s: int
) -> None:
    """The instances end with their lease, or up to two runs of the function late; AWS may interrupt them before."""
    clock, market = Clock(), Market()
    market.set({**course, "gb_month": GIGABYTE_MONTH, "address_hour": ADDRESS_HOUR}, START_S)
    fleets = Fleets("us-east-1", Timing(), clock, lambda *_, **__: None)
    fleets.market = market
    most = quoted(config, course, length_s + (valid_s if config["Type"] == "maintain" else 0))
    token = leased_token("annex-1", int(START_S) + length_s)
    sent = {**config, "ClientToken": token, "ValidUntil": START_S + min(valid_s, length_s)}
    fleet = fleets.request(sent, specifications(config))
    for part in range(1, 20):
        clock.now_s = START_S + length_s * part / 20
        fleets.settle()
    clock.now_s = START_S + length_s + late_s
    fleets.settle()
    fleets.terminate([each.instance_id for each in fleet.live()])
    clock.now_s += 86400
    line = reading([fleet], clock.now_s, market)["annexes"]["annex-1"]
    assert line["unpriced"] == 0
    assert most.total is not None, most.unknown
    assert line["dollars"] <= float(most.total) + 1e-9


@given(st.integers(1, 60), st.lists(st.tuples(WEIGHTS, PRICES), min_size=1, max_size=3), st.data())
def test_no_mixture_of_instances_costs_more_than_the_most(
    units: int, pools: list[tuple[float, float]], data: st.DataObject
) -> None:
    """AWS starts one instance after the other until their weights reach the target."""
    offers = [WeightedPrice(Fraction(repr(weight)), Fraction(repr(price))) for weight, price in pools]
    reached, cost, number = Fraction(0), Fraction(0), 0
    while reached < units:
        chosen = data.draw(st.sampled_from(offers))
        reached, cost, number = reached + chosen.weight, cost + chosen.dollars, number + 1
    assert cost <= most_dollars(units, offers)
    assert number <= most_instances(units, [each.weight for each in offers])


@given(st.integers(1, 1000), WEIGHTS, PRICES)
def test_the_bound_is_exact_for_one_kind_of_instance(units: int, weight: float, price: float) -> None:
    offer = WeightedPrice(Fraction(repr(weight)), Fraction(repr(price)))
    assert most_dollars(units, [offer]) == most_instances(units, [offer.weight]) * offer.dollars


@given(st.fractions(0, 10**9))
def test_dollars_are_written_with_six_decimals_and_never_too_small(amount: Fraction) -> None:
    written = price_in(dollars(amount))
    assert written is not None
    assert amount <= written < amount + Fraction(1, 10**6)
