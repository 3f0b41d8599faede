"""The content of a quote: one JSON object, which condor_annex shows as text or unchanged."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from annexd.annex.quote.costs import LATE_S, Most, PricedPool, range_at
from annexd.annex.quote.money import dollars
from annexd.annex.quote.pools import Capacity
from annexd.annex.quote.quotas import Quota
from annexd.annex.quote.rights import NOT_PROVED, UNTRIED, DryRun
from annexd.annex.quote.spot_prices import SpotPrices
from annexd.annex.quote.sums import most_instances
from annexd.annex.request.order import FleetOrder
from annexd.workflow import Json

MOMENTS: Final[dict[str, Callable[[SpotPrices], Fraction]]] = {
    "Now": lambda prices: prices.now,
    "Median": lambda prices: prices.median,
    "Percentile90": lambda prices: prices.percentile_90,
}
NOT_IN_IT: Final = (
    "traffic: out of AWS, between zones, through NAT gateways and endpoints",
    "requests to S3, and what the lease function costs (cents a month)",
    "software of the AWS Marketplace in an image, detailed monitoring, unlimited CPU credits of t2, t3, t3a and t4g",
    "volumes, snapshots and whatever else jobs make in AWS by themselves",
    "taxes, and discounts of your account",
)


@dataclass(frozen=True)
class Quote:
    """All findings; `assumed_linux`: images whose platform and volumes could not be read."""

    capacity: Capacity
    pools: tuple[PricedPool, ...]
    most: Most
    length_s: float
    refusals: tuple[str, ...]
    warnings: tuple[str, ...]
    tried: DryRun
    quotas: tuple[Quota, ...]
    missing_rights: tuple[str, ...]
    troubles: tuple[str, ...]
    price_sources: tuple[str, ...]
    assumed_linux: tuple[str, ...]
    budgets: tuple[Json, ...] = ()  # that apply


def answer_of(order: FleetOrder, quote: Quote) -> Json:
    """Return the object; dollars are texts with six decimals, null is unknown."""
    most = quote.most
    return {
        "Refusals": list(quote.refusals),
        "Warnings": [*quote.warnings, *_warnings(quote)],
        "EndOfLease": order.end_of_lease_s,
        "BilledSeconds": int(quote.length_s) + LATE_S,
        "SpotUnits": quote.capacity.spot_units,
        "OnDemandUnits": quote.capacity.on_demand_units,
        "MostInstances": _most_instances(quote),
        "Pools": [_pool(each, quote.capacity) for each in quote.pools],
        "Most": {
            "Instances": dollars(most.instances),
            "Volumes": dollars(most.volumes),
            "Addresses": dollars(most.addresses),
            "Total": dollars(most.total),
            "Unknown": list(most.unknown),
        },
        "Instances": {name: _range(quote, price) for name, price in MOMENTS.items()},
        "Budgets": list(quote.budgets),
        "NotIncluded": list(NOT_IN_IT),
        "PriceSources": list(quote.price_sources),
        "Quotas": [_quota(each) for each in quote.quotas],
        "Rights": {
            "Denied": [quote.tried.refusal] if quote.tried.refusal else [],
            "DryRunFault": quote.tried.trouble or None,
            "NotProved": list(NOT_PROVED),
            "NotTried": list(UNTRIED),
            "MissingForQuote": list(quote.missing_rights),
        },
        "Troubles": list(quote.troubles),
        "Request": dict(order.config),
    }


def _warnings(quote: Quote) -> list[str]:
    short = [
        f"{each.name}: {each.needed} are needed, {each.value:g} are allowed and {each.used or 0} are used "
        f"({each.code}): AWS starts fewer, or cancels the fleet"
        for each in quote.quotas
        if each.is_short and each.value is not None
    ]
    dear = [
        f"{each.pool.path}: the Spot price of {each.pool.instance_type} is above the bound in every zone"
        for each in quote.pools
        if quote.capacity.spot_units and each.spot and each.bound is not None
        and all(prices.now > each.bound for prices in each.spot.values())
    ]  # fmt: skip
    linux = [f"{image} cannot be described: Linux is assumed as its platform" for image in quote.assumed_linux]
    return [*short, *dear, *linux]


def _most_instances(quote: Quote) -> int:
    weights = [each.pool.weight for each in quote.pools]
    parts = quote.capacity.spot_units, quote.capacity.on_demand_units
    return sum(most_instances(units, weights) for units in parts)


def _pool(priced: PricedPool, capacity: Capacity) -> Json:
    pool = priced.pool
    bound = None if priced.bound is None else priced.bound / pool.weight
    return {
        "Path": pool.path,
        "InstanceType": pool.instance_type,
        "Zones": list(priced.zones) if priced.zones is not None else None,
        "Weight": float(pool.weight),
        "MostSpotInstances": most_instances(capacity.spot_units, [pool.weight]),
        "MostOnDemandInstances": most_instances(capacity.on_demand_units, [pool.weight]),
        "PriceBound": dollars(bound),  # per unit and hour, like SpotPrice
        "PriceBoundIsSent": priced.is_bound_sent,
        "OnDemandPrice": dollars(priced.on_demand),
        "SpotPrices": {zone: _spot(prices) for zone, prices in priced.spot.items()},
    }


def _spot(prices: SpotPrices) -> dict[str, Any]:
    return {**{name: dollars(price(prices)) for name, price in MOMENTS.items()}, "Days": prices.days}


def _range(quote: Quote, price: Callable[[SpotPrices], Fraction]) -> dict[str, str | None]:
    found = range_at(quote.capacity, quote.pools, price, quote.length_s)
    lowest, highest = found or (None, None)
    return {"Lowest": dollars(lowest), "Highest": dollars(highest)}


def _quota(quota: Quota) -> Json:
    left = None if quota.value is None or quota.used is None else quota.value - quota.used
    return {"Name": quota.name, "Code": quota.code, "Value": quota.value, "Used": quota.used, "Left": left,
            "Needed": quota.needed}  # fmt: skip
