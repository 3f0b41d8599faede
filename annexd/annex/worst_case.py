"""The worst case of an order under a budget: a rate that cannot be exceeded, because of the price bounds that are sent.

If the file bounds no Spot price, the On-Demand price of AWS's list is sent as the bound: AWS then interrupts a
machine rather than charge more (botocore's EC2 model, SpotPrice and MaxPrice).  A cost without a bound is a fault.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from annexd.annex.quote.costs import LATE_S, Most, PricedPool, most_of, priced
from annexd.annex.quote.images import images_of
from annexd.annex.quote.money import dollars
from annexd.annex.quote.optional_calls import OptionalCalls
from annexd.annex.quote.pools import Capacity, capacity_of, capacity_of_ec2_fleet
from annexd.annex.quote.price_sources import list_prices_of
from annexd.annex.request.account_target import AccountTarget
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.fleet_api import SPOT_FLEET
from annexd.annex.request.order import FleetOrder
from annexd.annex.request.price_bounds import MAX_PRICE, PRICE, with_bounds
from annexd.aws import Clients
from annexd.budget.money import rounded_up

# EC2 API reference, CreditSpecificationRequest: "Default: standard (T2 instances) or unlimited (T3/T3a/T4g instances)";
# ModifyDefaultCreditSpecification changes the default of an account, including that of T2.
BURSTABLE: Final = ("t2.", "t3.", "t3a.", "t4g.")
NOTE: Final = "a budget applies, so this bound of the Spot price is sent: {bounds}"


@dataclass(frozen=True)
class WorstCase:
    """The possible cost of an order.  `rate`, `machine_rate` and `machine_extra` as in Hold, in micro-dollars an hour.

    `order` sends the `bounds` where it had none; `faults`: why its cost has no bound.
    """

    order: FleetOrder
    bounds: Mapping[str, str]
    rate: int
    machine_rate: int
    machine_extra: int
    late_s: int
    faults: tuple[str, ...]


def worst_case(order: FleetOrder, target: AccountTarget, clients: Clients, defaults: Defaults) -> WorstCase:
    """Compute the worst case from AWS's list prices and images.  Blocks."""
    capacity, optional = _capacity(order), OptionalCalls()
    unknown: dict[str, None] = {}
    images = images_of(capacity.pools, clients.ec2, optional)
    prices = list_prices_of(target, clients, defaults, optional)
    pools = [priced(each, None, images, {}, prices, unknown) for each in capacity.pools]
    address = prices.address_hour()
    most = most_of(capacity, pools, address, 0, unknown)
    bounds = dict(_bounds(capacity, pools))
    faults = [*_unbounded(order, capacity), *_unknown(most, optional)]
    rate = most.total / most.hours if most.total is not None else Fraction(0)
    extras = [_extra(each, address) for each in pools]
    machines = [_dearest(each, capacity) + extra for each, extra in zip(pools, extras, strict=True)]
    return WorstCase(
        _bounded(order, bounds),
        bounds,
        rounded_up(rate),
        rounded_up(max(machines, default=Fraction(0))),
        rounded_up(max(extras, default=Fraction(0))),
        LATE_S + 1 + (defaults.provisioning_delay_s if capacity.replaces else 0),
        tuple(dict.fromkeys(faults)),
    )


def _capacity(order: FleetOrder) -> Capacity:
    if order.api == SPOT_FLEET:
        return capacity_of(order.config)
    return capacity_of_ec2_fleet(order.config, [each.data for each in order.versions if each.source is None])


def _bounds(capacity: Capacity, pools: Sequence[PricedPool]) -> Iterator[tuple[str, str]]:
    """Yield the bounds that must be sent, per unit and hour, by the path of the pool."""
    for each in pools:
        if capacity.spot_units and not each.is_bound_sent and each.bound is not None:
            yield each.pool.path, str(dollars(each.bound / each.pool.weight))


def _bounded(order: FleetOrder, bounds: Mapping[str, str]) -> FleetOrder:
    if not bounds:
        return order
    price = PRICE if order.api == SPOT_FLEET else MAX_PRICE
    bound_list = ", ".join(f"{path} {price} {bound}" for path, bound in bounds.items())
    config = with_bounds(order.config, bounds, price)
    return replace(order, config=config, notes=(*order.notes, NOTE.format(bounds=bound_list)))


def _dearest(each: PricedPool, capacity: Capacity) -> Fraction:
    parts = (capacity.spot_units and each.bound, capacity.on_demand_units and each.on_demand)
    return max(Fraction(part or 0) for part in parts)


def _extra(each: PricedPool, address: Fraction | None) -> Fraction:
    return (each.volumes or Fraction(0)) + ((address or Fraction(0)) if each.pool.may_have_address else 0)


def _unbounded(order: FleetOrder, capacity: Capacity) -> Iterator[str]:
    """Yield the costs without a bound although each price is known."""
    for each in capacity.pools:
        kind = each.instance_type or ""
        if kind.startswith(BURSTABLE) and each.cpu_credits != "standard":
            yield (
                f"{each.path}: {kind} may run with unlimited CPU credits, which cost beyond every bound: order another "
                "type (t2, t3, t3a and t4g have such credits)"
            )
        if each.tenancy != "default":
            yield f"{each.path}: machines of tenancy {each.tenancy} cost a fee that is in no price list: leave it out"
    if any(each.source is not None for each in order.versions) or _has_foreign_template(order):
        yield (
            "what a launch template of yours says is not known before the order: give the machines in the file "
            "(LaunchSpecifications), or by options"
        )


def _has_foreign_template(order: FleetOrder) -> bool:
    return order.api == SPOT_FLEET and "LaunchTemplateConfigs" in order.config


def _unknown(most: Most, optional: OptionalCalls) -> Iterator[str]:
    """Yield why the maximum is unknown, and AWS's errors during the queries."""
    if most.total is not None:
        return
    for each in most.unknown:
        yield f"{each} is not known: order machines whose prices and volumes are known (condor_annex -quote shows them)"
    for right in optional.missing:
        yield f"these keys lack the right {right} (templates/policies), or ANNEX_PRICE_TABLE must name a price list"
    yield from optional.troubles
