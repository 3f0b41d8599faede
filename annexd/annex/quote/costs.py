"""The cost of an order: the maximum, by its price bounds, and an estimate at present and past Spot prices.

A maximum is valid only if every price is known: an unknown price is named, and makes the maximum "unknown".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from annexd.annex.quote.images import LINUX, SYSTEMS, Image, volumes_of
from annexd.annex.quote.list_prices import ListPrices
from annexd.annex.quote.money import rounded_up
from annexd.annex.quote.pools import Capacity, Pool
from annexd.annex.quote.spot_prices import SpotPrices
from annexd.annex.quote.sums import WeightedPrice, alone, most_dollars, most_instances

HOURS_OF_MONTH: Final = 28 * 24  # of the shortest month: EBS bills a fraction of the current month (EBS pricing page)
LATE_S: Final = 2 * 300  # two runs of the lease function, until which an instance may be billed after the end
HOUR_S: Final = 3600


@dataclass(frozen=True)
class PricedPool:
    """A pool and the cost of one of its instances for an hour, in dollars; None: unknown.

    `bound`: for Spot capacity, the bound that is sent, or else AWS's own, the On-Demand price.  `beside`: the cost of
    its volumes.
    """

    pool: Pool
    zones: tuple[str, ...] | None
    bound: Fraction | None
    on_demand: Fraction | None
    volumes: Fraction | None
    spot: Mapping[str, SpotPrices]  # by zone

    @property
    def is_bound_sent(self) -> bool:
        """Return whether the request itself has the bound."""
        return self.pool.price_bound is not None

    def offers(self, price: Callable[[SpotPrices], Fraction]) -> Iterator[WeightedPrice]:
        """Yield the cost of this pool in each of its zones; nobody pays more than the bound."""
        for prices in self.spot.values():
            asked = price(prices)
            yield WeightedPrice(self.pool.weight, asked if self.bound is None else min(asked, self.bound))


@dataclass(frozen=True)
class Most:
    """The maximum cost of the whole order in dollars; None: unknown.  `unknown` names what is not known."""

    instances: Fraction | None
    volumes: Fraction | None
    addresses: Fraction | None
    unknown: tuple[str, ...]
    hours: Fraction

    @property
    def total(self) -> Fraction | None:
        if self.instances is None or self.volumes is None or self.addresses is None:
            return None
        return self.instances + self.volumes + self.addresses


def priced(
    pool: Pool,
    zones: tuple[str, ...] | None,
    images: Mapping[str, Image],
    spot: Mapping[str, SpotPrices],
    prices: ListPrices,
    unknown: dict[str, None],
) -> PricedPool:
    """Look up all prices of a pool, and add the unknown ones to `unknown`."""
    on_demand = _on_demand(pool, images, prices)
    bound = pool.price_bound
    if bound is None and on_demand is not None:
        bound = rounded_up(on_demand / pool.weight)  # per unit, as it can be sent
    bound = None if bound is None else bound * pool.weight
    volumes = _volumes(pool, images, prices, unknown)
    here = {zone: each for zone, each in spot.items() if zones is None or zone in zones}
    return PricedPool(pool, zones, bound, on_demand, volumes, here)


def platform_of(pool: Pool, images: Mapping[str, Image]) -> str:
    """Return AWS's name of the platform; for an image that cannot be read, Linux is assumed."""
    image = images.get(pool.image or "")
    return LINUX if image is None else image.platform


def _on_demand(pool: Pool, images: Mapping[str, Image], prices: ListPrices) -> Fraction | None:
    system = SYSTEMS.get(platform_of(pool, images))
    if pool.instance_type is None or system is None or pool.tenancy != "default":
        return None
    return prices.on_demand(pool.instance_type, system)


def _volumes(pool: Pool, images: Mapping[str, Image], prices: ListPrices, unknown: dict[str, None]) -> Fraction | None:
    volumes, missing = volumes_of(pool, images)
    unknown |= dict.fromkeys(missing)
    whole: Fraction | None = None if missing else Fraction(0)
    for each in volumes:
        price = prices.gigabyte_month(each.kind) if each.kind else None
        unknown |= {} if price is not None else {f"the price of a {each.kind or 'volume'} gigabyte": None}
        unknown |= {f"the price of {name} of volumes": None for name in each.priced_apart}
        unknown |= {} if each.gigabytes is not None else {f"the size of {each.device} of {pool.path}": None}
        if price is None or each.gigabytes is None or each.priced_apart or whole is None:
            whole = None
        else:
            whole += price * each.gigabytes / HOURS_OF_MONTH
    return whole


def most_of(
    capacity: Capacity, pools: Sequence[PricedPool], address: Fraction | None, length_s: float, unknown: Iterable[str]
) -> Most:
    """Return the maximum cost until its end, which is `length_s` away; see LATE_S."""
    missing = dict.fromkeys(unknown)
    hours = Fraction(int(length_s) + LATE_S + 1, HOUR_S)
    missing |= dict.fromkeys(_unknown_prices(capacity, pools))
    instances = None if capacity.rebalances else _instances(capacity, pools)
    weights = [each.pool.weight for each in pools]
    number = most_instances(capacity.spot_units, weights) + most_instances(capacity.on_demand_units, weights)
    if not any(each.pool.may_have_address for each in pools):
        address = Fraction(0)
    elif address is None:
        missing["the price of a public IPv4 address"] = None
    volumes = _both(capacity, [(each.pool.weight, each.volumes, each.volumes) for each in pools])
    return Most(
        None if instances is None else instances * hours,
        None if volumes is None else volumes * hours,
        None if address is None else address * number * hours,
        tuple(missing),
        hours,
    )


def _instances(capacity: Capacity, pools: Sequence[PricedPool]) -> Fraction | None:
    if any(each.pool.instance_type is None for each in pools):
        return None  # the weights that AWS chooses are not known either
    return _both(capacity, [(each.pool.weight, each.bound, each.on_demand) for each in pools])


def _both(capacity: Capacity, rates: Sequence[tuple[Fraction, Fraction | None, Fraction | None]]) -> Fraction | None:
    """Add the maxima of the Spot and the On-Demand part; None if a rate that counts is unknown."""
    whole = Fraction(0)
    for units, column in ((capacity.spot_units, 1), (capacity.on_demand_units, 2)):
        offers = [WeightedPrice(rate[0], dollars) for rate in rates if isinstance(dollars := rate[column], Fraction)]
        if units > 0 and (len(offers) < len(rates) or not offers):
            return None
        whole += most_dollars(units, offers)
    return whole


def _unknown_prices(capacity: Capacity, pools: Sequence[PricedPool]) -> Iterator[str]:
    if capacity.rebalances:
        yield "how many instances run at once: SpotMaintenanceStrategies starts new ones beside those that are there"
    for each in pools:
        name = each.pool.instance_type
        if name is None:
            yield f"the instance types of {each.pool.path}, which AWS or a launch template chooses"
        elif capacity.on_demand_units and each.on_demand is None:
            yield f"the On-Demand price of {name}"
        elif capacity.spot_units and each.bound is None:
            yield f"the On-Demand price of {name}, which is AWS's bound where the file has no SpotPrice"


def range_at(
    capacity: Capacity, pools: Sequence[PricedPool], price: Callable[[SpotPrices], Fraction], length_s: float
) -> tuple[Fraction, Fraction] | None:
    """Return the cost of the instances at such prices, in the cheapest pool alone and in the most expensive mixture."""
    hours = Fraction(int(length_s), HOUR_S)
    offers = [offer for each in pools for offer in each.offers(price)]
    on_demand = [WeightedPrice(each.pool.weight, each.on_demand) for each in pools if each.on_demand is not None]
    if (capacity.spot_units and not offers) or (capacity.on_demand_units and len(on_demand) < len(pools)):
        return None
    lowest = sum(
        (min(alone(units, offer) for offer in some) for units, some in _parts(capacity, offers, on_demand)), Fraction(0)
    )
    highest = sum((most_dollars(units, some) for units, some in _parts(capacity, offers, on_demand)), Fraction(0))
    return lowest * hours, highest * hours


def _parts(
    capacity: Capacity, spot: Sequence[WeightedPrice], on_demand: Sequence[WeightedPrice]
) -> Iterator[tuple[int, Sequence[WeightedPrice]]]:
    if capacity.spot_units:
        yield capacity.spot_units, spot
    if capacity.on_demand_units:
        yield capacity.on_demand_units, on_demand
