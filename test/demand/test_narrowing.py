"""An order leaves out closed capacity, requests nothing more than before, and is not sent when nothing is left."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexd.annex.request.ec2_fleet import rendered
from annexd.annex.request.markets import FleetScope
from annexd.demand.breaker import (
    ANY_TYPE,
    CAPACITY,
    FIRST_S,
    LIMIT,
    LONGEST_S,
    ON_DEMAND,
    SPOT,
    Breaker,
    CapacityPoolKey,
    Closing,
)
from annexd.demand.narrowing import Narrowed, Places, narrowed

WORDS = "There is no Spot capacity available that matches your request."
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
SUBNETS = {f"subnet-{zone[-1]}": zone for zone in ZONES}
PLACES = Places(SUBNETS)


def closed(
    *pools: tuple[str, str | None], market: str = SPOT, until_s: float = 180.0
) -> dict[CapacityPoolKey, Closing]:
    return {CapacityPoolKey(kind, zone, market): Closing(until_s, WORDS, CAPACITY) for kind, zone in pools}


def spec(kind: str = "m5.large", **more: Any) -> dict[str, Any]:
    return {"ImageId": "ami-12345678", "InstanceType": kind, **more}


def of(*specs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"TargetCapacity": 2, "LaunchSpecifications": list(specs), **more}


def templates(*groups: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    named = {"LaunchTemplateId": "lt-0123456789abcdef0", "Version": "1"}
    configs = [{"LaunchTemplateSpecification": named, **({"Overrides": each} if each else {})} for each in groups]
    return {"TargetCapacity": 2, "LaunchTemplateConfigs": configs, **more}


def left(found: Narrowed) -> list[Mapping[str, Any]]:
    assert found.config is not None
    whole = found.config
    overrides = [each for one in whole.get("LaunchTemplateConfigs", ()) for each in one.get("Overrides", ())]
    return [*whole.get("LaunchSpecifications", ()), *overrides]


def test_open_pools_are_sent_unchanged() -> None:
    config = of(spec(SubnetId="subnet-a, subnet-b"), spec("c5.large", Placement={"Tenancy": "dedicated"}))
    found = narrowed(config, closed(("r5.large", None), ("m5.large", "us-east-1c")), [SPOT], PLACES)
    assert (found.config, found.left_out) == (config, ())


def test_a_closed_type_is_left_out_and_reported() -> None:
    found = narrowed(of(spec(), spec("c5.large")), closed(("m5.large", None)), [SPOT], PLACES)
    assert left(found) == [spec("c5.large")]
    assert found.left_out == (f"m5.large (spot) in all zones: {WORDS}",)


def test_a_closed_zone_is_taken_out_of_the_subnets_or_zones_that_are_named() -> None:
    shut = closed(("m5.large", "us-east-1a"))
    [subnets] = left(narrowed(of(spec(SubnetId="subnet-a, subnet-b,subnet-c")), shut, [SPOT], PLACES))
    [zones] = left(
        narrowed(
            of(spec(Placement={"AvailabilityZone": "us-east-1a, us-east-1b", "Tenancy": "default"})),
            shut,
            [SPOT],
            PLACES,
        )
    )
    assert subnets == spec(SubnetId="subnet-b,subnet-c")
    assert zones == spec(Placement={"AvailabilityZone": "us-east-1b", "Tenancy": "default"})


def test_a_specification_that_names_no_place_gets_the_open_ones_of_those_where_it_would_be() -> None:
    shut = closed(("m5.large", "us-east-1a"))
    [subnets] = left(narrowed(of(spec()), shut, [SPOT], Places(SUBNETS, subnets=tuple(SUBNETS))))
    [zones] = left(narrowed(of(spec()), shut, [SPOT], Places({}, zones=ZONES)))
    assert subnets == spec(SubnetId="subnet-b,subnet-c")
    assert zones == spec(Placement={"AvailabilityZone": "us-east-1b,us-east-1c"})
    assert narrowed(of(spec()), shut, [SPOT], Places({})).config is None, "AWS would choose the same zone again"


@pytest.mark.parametrize(
    "place",
    [
        {"SubnetId": "subnet-unknown"},
        {"Placement": {"AvailabilityZoneId": "use1-az1"}},
        {"NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": "subnet-a"}]},
    ],
)
def test_a_place_whose_zone_may_be_the_closed_one_counts_as_closed(place: dict[str, Any]) -> None:
    assert narrowed(of(spec(**place)), closed(("m5.large", "us-east-1a")), [SPOT], PLACES).config is None


def test_overrides_of_launch_templates_are_left_out_and_a_template_without_any_with_them() -> None:
    """Without its overrides a template would start the instances that it names itself."""
    config = templates(
        [{"InstanceType": "m5.large", "SubnetId": "subnet-a"}],
        [{"InstanceType": "m5.large", "SubnetId": "subnet-a,subnet-b"}, {"InstanceType": "c5.large"}],
    )
    found = narrowed(config, closed(("m5.large", "us-east-1a")), [SPOT], PLACES)
    assert found.config is not None
    assert len(found.config["LaunchTemplateConfigs"]) == 1
    assert left(found) == [{"InstanceType": "m5.large", "SubnetId": "subnet-b"}, {"InstanceType": "c5.large"}]


def test_an_ec2_fleet_request_is_narrowed_as_well() -> None:
    request = rendered(of(spec(SubnetId="subnet-a,subnet-b"), spec("c5.large", SubnetId="subnet-a"))).config
    found = narrowed(request, closed(("m5.large", "us-east-1b"), ("c5.large", "us-east-1a")), [SPOT], PLACES)
    assert left(found) == [{"InstanceType": "m5.large", "SubnetId": "subnet-a"}]


def test_a_narrowed_config_is_translated_for_ec2_fleet() -> None:
    found = narrowed(of(spec()), closed(("m5.large", "us-east-1a")), [SPOT], Places({}, zones=ZONES))
    assert found.config is not None
    translated = rendered(found.config)
    zones = [each["AvailabilityZone"] for each in translated.config["LaunchTemplateConfigs"][0]["Overrides"]]
    assert (zones, translated.faults) == (["us-east-1b", "us-east-1c"], [])


def test_the_other_market_is_not_narrowed() -> None:
    config = templates([{"InstanceType": "m5.large"}])
    assert narrowed(config, closed(("m5.large", None)), [ON_DEMAND], PLACES).config == config


def test_a_pool_closed_in_both_markets_is_left_out_of_an_order_for_both() -> None:
    config = templates([{"InstanceType": "m5.large"}, {"InstanceType": "c5.large"}, {"InstanceType": "r5.large"}])
    shut = closed(("m5.large", None), ("c5.large", None)) | closed(("m5.large", None), market=ON_DEMAND)
    found = narrowed(config, shut, [SPOT, ON_DEMAND], PLACES)
    assert [each["InstanceType"] for each in left(found)] == ["c5.large", "r5.large"]
    nothing = closed(("m5.large", None), ("c5.large", None), ("r5.large", None))
    assert narrowed(config, nothing, [SPOT, ON_DEMAND], PLACES).config is None, "half a fleet is none"


def test_types_that_aws_chooses_are_excluded_where_they_are_closed_in_every_place() -> None:
    wanted = {"VCpuCount": {"Min": 2}, "MemoryMiB": {"Min": 1}, "ExcludedInstanceTypes": ["t3.*"]}
    config = templates([{"InstanceRequirements": wanted, "SubnetId": "subnet-a,subnet-b"}])
    shut = closed(
        ("m5.large", "us-east-1a"), ("c5.large", None), ("r5.large", "us-east-1a"), ("r5.large", "us-east-1b")
    )
    [override] = left(narrowed(config, shut, [SPOT], PLACES))
    assert override["InstanceRequirements"]["ExcludedInstanceTypes"] == ["t3.*", "c5.large", "r5.large"]
    assert override["SubnetId"] == "subnet-a,subnet-b"


def test_the_open_ones_of_the_allowed_types_stay() -> None:
    wanted = {"AllowedInstanceTypes": ["m5.large", "c5.large"]}
    config = templates([{"InstanceRequirements": wanted}])
    [override] = left(narrowed(config, closed(("m5.large", None)), [SPOT], PLACES))
    assert override["InstanceRequirements"] == {"AllowedInstanceTypes": ["c5.large"]}
    assert narrowed(config, closed(("m5.large", None), ("c5.large", None)), [SPOT], PLACES).config is None


def test_a_limit_of_the_account_closes_all_types_also_those_that_aws_chooses() -> None:
    shut = {CapacityPoolKey(ANY_TYPE, None, SPOT): Closing(180.0, "Max spot instance count exceeded", LIMIT)}
    for config in (of(spec()), templates([]), templates([{"InstanceRequirements": {"VCpuCount": {"Min": 2}}}])):
        found = narrowed(config, shut, [SPOT], PLACES)
        assert found.config is None
        assert "all instance types (spot) in all zones: Max spot instance count exceeded" in found.words


def test_of_two_closings_of_one_place_the_one_that_ends_last_counts() -> None:
    shut = closed(("m5.large", None), until_s=180.0) | closed(("m5.large", "us-east-1a"), until_s=1800.0)
    config = of(spec(Placement={"AvailabilityZone": "us-east-1a"}))
    for both in (shut, dict(reversed(shut.items()))):
        assert narrowed(config, both, [SPOT], PLACES).until_s == 1800.0


def test_when_all_is_closed_it_says_until_when_and_why() -> None:
    shut = closed(("m5.large", None), until_s=1_800_000_000.0) | closed(("c5.large", None), until_s=1_800_000_060.0)
    found = narrowed(of(spec("c5.large"), spec()), shut, [SPOT], PLACES)
    assert (found.config, found.until_s) == (None, 1_800_000_000.0)
    assert found.words == (
        "all its capacity is closed until 2027-01-15T08:00:00Z, the first to open is m5.large (spot) in all zones: "
        + WORDS
    )


# Breaker and narrowing together: AWS has no capacity anywhere.

TYPES = ("m5.large", "c5.large", "g5.xlarge")
OFFERS = st.lists(
    st.lists(
        st.tuples(st.sampled_from(TYPES), st.lists(st.sampled_from(sorted(SUBNETS)), max_size=3, unique=True)),
        min_size=1,
        max_size=4,
    ),
    min_size=1,
    max_size=3,
)


def config_of(offer: list[tuple[str, list[str]]]) -> dict[str, Any]:
    return of(*(spec(kind, **({"SubnetId": ",".join(subnets)} if subnets else {})) for kind, subnets in offer))


def pools_in(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (each["InstanceType"], SUBNETS[subnet])
        for each in config["LaunchSpecifications"]
        for subnet in (each.get("SubnetId") or ",".join(SUBNETS)).split(",")
    ]


@given(OFFERS, st.booleans(), st.booleans())
def test_without_capacity_each_offer_asks_at_most_once_a_cool_down(
    offers: list[list[tuple[str, list[str]]]], names_zone: bool, knows_places: bool
) -> None:
    """The test makes a decision a minute for four hours, and AWS refuses each pool that is requested."""
    breaker, places = Breaker(), Places(SUBNETS, subnets=tuple(SUBNETS) if knows_places else ())
    calls: dict[int, list[float]] = {number: [] for number in range(len(offers))}
    for minute in range(240):
        now_s = 60.0 * minute
        for number, offer in enumerate(offers):
            found = narrowed(config_of(offer), breaker.closed(now_s), [SPOT], places)
            if found.config is None:
                assert found.until_s > now_s
                continue
            calls[number].append(now_s)
            for kind, zone in pools_in(found.config):
                breaker.note_error(CapacityPoolKey(kind, zone if names_zone else None, SPOT), now_s, WORDS)
    for times_s in calls.values():
        assert all(second - first >= FIRST_S for first, second in itertools.pairwise(times_s))
        assert len(times_s) <= 8, "after 0, 3, 9, 21, 45, 93, 153 and 213 minutes"


@given(OFFERS)
def test_no_pool_is_requested_twice_in_a_cool_down_if_aws_names_one_pool_a_call(
    offers: list[list[tuple[str, list[str]]]],
) -> None:
    """A one-time Spot Fleet does so, since it requests one pool only."""
    breaker, asked = Breaker(), dict[tuple[str, str], float]()
    for minute in range(120):
        now_s = 60.0 * minute
        for offer in offers:
            config = narrowed(
                config_of(offer), breaker.closed(now_s), [SPOT], Places(SUBNETS, subnets=tuple(SUBNETS))
            ).config
            if config is not None:
                pool = pools_in(config)[0]
                assert now_s - asked.get(pool, float("-inf")) >= FIRST_S
                asked[pool] = now_s
                breaker.note_error(CapacityPoolKey(*pool, SPOT), now_s, WORDS)


@given(OFFERS, st.lists(st.tuples(st.sampled_from(TYPES), st.sampled_from([*ZONES, None])), max_size=6))
def test_a_narrowed_order_asks_for_nothing_that_the_whole_one_does_not_and_for_nothing_closed(
    offers: list[list[tuple[str, list[str]]]], shut: list[tuple[str, str | None]]
) -> None:
    pools, places = closed(*shut, until_s=LONGEST_S), Places(SUBNETS, subnets=tuple(SUBNETS))
    for offer in offers:
        config = config_of(offer)
        found = narrowed(config, pools, [SPOT], places)
        asked = set(pools_in(found.config)) if found.config is not None else set()
        is_open = {(kind, zone) for kind, zone in pools_in(config) if not {(kind, zone), (kind, None)} & set(shut)}
        assert asked == is_open
        assert FleetScope.of(config).markets == (SPOT,)
