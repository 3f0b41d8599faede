"""Price bounds from a quote reach the parts of a request that they name, and replace none of its own."""

from __future__ import annotations

from typing import Any

from annexd.annex.request.ad_attributes import AdAttributes
from annexd.annex.request.price_bounds import read_bounds, with_bounds

NAMED = {"LaunchTemplateSpecification": {"LaunchTemplateName": "ours", "Version": "1"}}


def test_bounds_reach_overrides_of_launch_templates_and_launch_specifications() -> None:
    ad = {"PriceBounds": ["LaunchSpecifications[1]=0.2", "LaunchTemplateConfigs[1].Overrides[0]=0.300000"]}
    own = AdAttributes(ad)
    bounds = read_bounds(own)
    assert own.faults == []
    config: dict[str, Any] = {
        "LaunchSpecifications": [{"InstanceType": "a"}, {"InstanceType": "b"}],
        "LaunchTemplateConfigs": [NAMED, {**NAMED, "Overrides": [{"InstanceType": "c"}, {"SpotPrice": "0.1"}]}],
    }
    assert with_bounds(config, bounds) == {
        "LaunchSpecifications": [{"InstanceType": "a"}, {"InstanceType": "b", "SpotPrice": "0.2"}],
        "LaunchTemplateConfigs": [
            NAMED,
            {**NAMED, "Overrides": [{"InstanceType": "c", "SpotPrice": "0.300000"}, {"SpotPrice": "0.1"}]},
        ],
    }


def test_a_bound_of_the_request_itself_stays_the_only_one() -> None:
    config: dict[str, Any] = {"SpotPrice": "0.1", "LaunchSpecifications": [{"InstanceType": "a"}]}
    assert with_bounds(config, {"LaunchSpecifications[0]": "0.2"}) == config


def test_a_text_in_place_of_a_list_is_a_fault_and_no_bound() -> None:
    own = AdAttributes({"PriceBounds": "LaunchSpecifications[0]=0.2"})
    assert read_bounds(own) == {}
    assert own.faults != []
