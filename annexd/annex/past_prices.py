"""Query AWS for the prices of pools at the times when instances of annexes ran, with few calls for all annexes of a
place.

Spot prices are those of these times.  An On-Demand price is today's list price, for all times.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from annexd.annex.fleet.capacity_pool import ON_DEMAND, SHARED, SPOT, CapacityPool
from annexd.annex.quote import spot_prices
from annexd.annex.quote.images import SYSTEMS
from annexd.annex.quote.optional_calls import OptionalCalls
from annexd.annex.quote.price_sources import list_prices_of
from annexd.annex.request.account_target import AccountTarget
from annexd.annex.request.defaults import Defaults
from annexd.annex.spending import Prices
from annexd.annex.steps import StepContext
from annexd.aws import Clients, account_of_function, time_limit

LONGEST_S: Final = 60.0  # for all calls of one query


@dataclass(frozen=True)
class Place:
    """A place where all keys see the same prices: zones have names of each account's own (EC2 user guide, AZ IDs)."""

    account: str | None
    region: str
    ec2_url: str

    @classmethod
    def of(cls, target: AccountTarget) -> "Place":
        return cls(account_of_function(target.lease_function_arn), target.endpoints.region, target.endpoints.ec2_url)


@dataclass(frozen=True)
class PastPrices:
    """`is_denied`: these keys may not see Spot prices; other keys may."""

    prices: Mapping[CapacityPool, Prices]
    is_denied: bool


def past_prices(
    context: StepContext, target: AccountTarget, defaults: Defaults, since_s: Mapping[CapacityPool, float]
) -> PastPrices:
    """Return the known prices of these pools, from these times until now.  Blocks.

    Raises Retry or Refused if the keys cannot be used.
    """
    with time_limit(LONGEST_S):
        clients, optional = context.access(target), OptionalCalls()
        shared = {pool: at_s for pool, at_s in since_s.items() if pool.tenancy == SHARED and pool.kind}
        spot = {pool: at_s for pool, at_s in shared.items() if pool.market == SPOT and pool.platform}
        found = dict(_spot(clients, spot, context.aws_now_s(clients), optional))
        listed = [pool for pool in shared if pool.market == ON_DEMAND and pool.platform in SYSTEMS]
        found |= dict(_listed(clients, target, defaults, listed, optional))
        return PastPrices(found, spot_prices.RIGHT in optional.missing)


def _spot(
    clients: Clients, since_s: Mapping[CapacityPool, float], now_s: float, optional: OptionalCalls
) -> Iterator[tuple[CapacityPool, Prices]]:
    for platform in {pool.platform for pool in since_s}:
        pools = [pool for pool in since_s if pool.platform == platform]
        kinds = sorted({pool.kind for pool in pools})
        for first in range(0, len(kinds), spot_prices.MOST_TYPES):
            some = kinds[first : first + spot_prices.MOST_TYPES]
            begin_s = min(since_s[pool] for pool in pools if pool.kind in some)
            found = spot_prices.changes(clients.ec2, some, platform, begin_s, now_s, optional)
            for pool in pools:
                if rows := found.get((pool.kind, pool.zone)):
                    yield pool, [(at_s, float(price)) for at_s, price in rows]


def _listed(
    clients: Clients, target: AccountTarget, defaults: Defaults, pools: list[CapacityPool], optional: OptionalCalls
) -> Iterator[tuple[CapacityPool, Prices]]:
    if not pools:
        return
    prices = list_prices_of(target, clients, defaults, optional)
    for pool in pools:
        price: Fraction | None = prices.on_demand(pool.kind, SYSTEMS[pool.platform])
        if price is not None:
            yield pool, [(0.0, float(price))]
