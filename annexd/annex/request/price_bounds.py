"""Bounds of Spot prices for a file without bounds: those of the quote are sent, and AWS then enforces them.

The attribute PriceBounds is a list of texts like LaunchSpecifications[0]=0.096, in dollars per unit and hour.  A bound
in the file is never replaced.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from annexd.annex.request.ad_attributes import AdAttributes
from annexd.annex.request.faults import shown

NAME: Final = "PriceBounds"
PRICE: Final = "SpotPrice"
MAX_PRICE: Final = "MaxPrice"  # of EC2 Fleet, per unit and hour like SpotPrice: botocore's EC2 model
BOUND: Final = re.compile(
    r"(LaunchSpecifications\[\d{1,5}\]|LaunchTemplateConfigs\[\d{1,5}\]\.Overrides\[\d{1,5}\])=(\d{1,10}\.\d{1,10})",
    re.ASCII,
)


def read_bounds(own: AdAttributes) -> dict[str, str]:
    """Return the bounds by the path of their part of the config; faults are added to those of the ad."""
    value = own.value(NAME)
    if value is None:
        return {}
    found = [BOUND.fullmatch(each) if isinstance(each, str) else None for each in value if isinstance(value, list)]
    if not isinstance(value, list) or not all(found):
        own.faults.append(f"{NAME} must be a list of texts like LaunchSpecifications[0]=0.096, not {shown(value)}")
    return {match[1]: match[2] for match in found if match}


def with_bounds(config: Mapping[str, Any], bounds: Mapping[str, str], price: str = PRICE) -> dict[str, Any]:
    """Return the config with these bounds where it has none; `price`: this API's name of a bound."""
    whole = dict(config)
    if PRICE in whole or not bounds:
        return whole
    if "LaunchSpecifications" in whole:
        whole["LaunchSpecifications"] = _bounded(whole["LaunchSpecifications"], "LaunchSpecifications", bounds, price)
    if "LaunchTemplateConfigs" in whole:
        whole["LaunchTemplateConfigs"] = [
            {**each, "Overrides": _bounded(each["Overrides"], f"LaunchTemplateConfigs[{i}].Overrides", bounds, price)}
            if each.get("Overrides")
            else each
            for i, each in enumerate(whole["LaunchTemplateConfigs"])
        ]
    return whole


def _bounded(parts: list[Mapping[str, Any]], path: str, bounds: Mapping[str, str], price: str) -> list[dict[str, Any]]:
    return [
        {price: bounds[f"{path}[{i}]"], **each} if f"{path}[{i}]" in bounds else dict(each)
        for i, each in enumerate(parts)
    ]
