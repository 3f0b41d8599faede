"""The upper bounds of capacity, in instances and dollars, over every mixture of its pools that AWS may choose.

AWS starts instances until their weights reach the target ("rounds the number of instances to the next whole number":
botocore's EC2 model, WeightedCapacity), so that without the last of them the weights are below it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce


@dataclass(frozen=True)
class WeightedPrice:
    """Weight and price of one instance; dollars of an hour."""

    weight: Fraction
    dollars: Fraction


def most_instances(units: int, weights: Sequence[Fraction]) -> int:
    """Return the number of instances if all have the smallest weight."""
    return math.ceil(units / min(weights)) if units > 0 and weights else 0


def most_dollars(units: int, offers: Sequence[WeightedPrice]) -> Fraction:
    """Return the maximum cost of `units` for an hour.

    All but the last instance together weigh less than the target, and so at most the largest multiple of the weights'
    common measure below it; each costs at most as much as the most expensive unit.  With equal weights the bound is
    exact.
    """
    if units <= 0 or not offers:
        return Fraction(0)
    before = (math.ceil(units / _measure(offers)) - 1) * _measure(offers)
    dearest_unit = max(each.dollars / each.weight for each in offers)
    return max(each.dollars for each in offers) + before * dearest_unit


def alone(units: int, offer: WeightedPrice) -> Fraction:
    """Return the cost of an hour if all instances are of one pool."""
    return most_instances(units, [offer.weight]) * offer.dollars


def _measure(offers: Sequence[WeightedPrice]) -> Fraction:
    """Return the greatest weight of which all weights are multiples."""
    return reduce(_common, (each.weight for each in offers))


def _common(one: Fraction, other: Fraction) -> Fraction:
    denominator = math.lcm(one.denominator, other.denominator)
    return Fraction(math.gcd(int(one * denominator), int(other * denominator)), denominator)
