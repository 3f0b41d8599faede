"""CA_QUOTE_ANNEX: all checks of an order and its cost, without any effect: nothing is created, and the journal is not
written.

The ad is an order's, with another Command.  An order that annexd would refuse gets the same reply here.  All other data
is optional: without the permission for it, it is unknown.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

from annexd.annex.budgets import line_of
from annexd.annex.bulk_request import of_offer, order_in
from annexd.annex.join.config_bundle import BundleSources, completed
from annexd.annex.lease.lease_code import warning_of
from annexd.annex.quote import quotas, spot_prices
from annexd.annex.quote.answer import Quote, answer_of
from annexd.annex.quote.costs import most_of, platform_of, priced
from annexd.annex.quote.images import Image, images_of
from annexd.annex.quote.optional_calls import OptionalCalls
from annexd.annex.quote.pools import Capacity, capacity_of, capacity_of_ec2_fleet
from annexd.annex.quote.price_sources import list_prices_of
from annexd.annex.quote.quotas import quotas_of
from annexd.annex.quote.rights import DryRun, dry_run
from annexd.annex.quote.zones import zones_of, zones_of_subnets
from annexd.annex.reply import ANSWERED, ReplyAd, json_text, reply, reply_of_error
from annexd.annex.request.account_defaults import FLEET_ROLE
from annexd.annex.request.account_target import AccountTarget
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.fleet_api import OF_EC2_FLEET, SPOT_FLEET
from annexd.annex.request.fleet_request import NO_ROLE
from annexd.annex.request.join_config import MachineOffer
from annexd.annex.request.order import FleetOrder
from annexd.annex.request.request import COMMAND as ORDER
from annexd.annex.request.request import check_command
from annexd.annex.reservations import Preview, Reservations
from annexd.annex.steps import StepContext
from annexd.annex.steps.check_lease_function import check_max_lease, lease_function_of
from annexd.aws import Clients, is_aws_host
from annexd.aws.time_limit import time_limit
from annexd.budget.money import decimal
from annexd.workflow import FAILURE, SUCCESS, Json, Refused, Retry

COMMAND: Final = "CA_QUOTE_ANNEX"
ON_DEMAND: Final = "ondemand"  # in a Spot Fleet only launch templates provide such capacity
LONGEST_S: Final = 180.0  # of all calls to AWS together


def quote_annex(
    ad: Mapping[str, Any],
    owner: str,
    context: StepContext,
    defaults: Defaults,
    now_s: float,
    bundle_sources: BundleSources,
    reservations: Reservations | None = None,
    offer: MachineOffer | None = None,
) -> ReplyAd:
    """Return Quote, a JSON text (see answer_of); Result says whether the order would be refused.  Blocks.

    `offer`: the offer by which annexd itself would order for idle jobs.
    """
    try:
        check_command(ad, COMMAND)
        as_order = {name: value for name, value in ad.items() if name.lower() != "command"} | {"Command": ORDER}
        _, order, whole = order_in(as_order, owner, defaults, now_s, context.access)
        preview = Preview(completed(of_offer(order, offer), bundle_sources))
        with time_limit(LONGEST_S):
            if reservations is not None:
                preview = reservations.preview(owner, preview.order, defaults)
            order = preview.order
            capacity = _capacity_of(order, whole, owner, defaults, now_s, context)
            if preview.needs:
                capacity = _as_bounded(capacity, order)
            quote = _quote(order, capacity, context, defaults)
            quote = replace(quote, refusals=(*preview.refusals, *quote.refusals), budgets=_budgets(preview))
    except ANSWERED as error:
        return reply_of_error(error, None, begun=False)
    message = "; ".join(quote.refusals)
    result = preview.result if preview.refusals else FAILURE if message else SUCCESS
    return {**reply(result, message), "Quote": json_text(answer_of(order, quote))}


def _budgets(preview: Preview) -> tuple[Json, ...]:
    """Return the state of each budget that applies, and what the order needs of it."""
    needs = preview.needs or {}
    return tuple(
        {
            **line_of(each),
            "Need": decimal(needs[each.budget.key].money),
            "NeedRate": decimal(needs[each.budget.key].rate),
        }
        for each in preview.accounts
    )


def _capacity_of(
    order: FleetOrder, ad: Mapping[str, Any], owner: str, defaults: Defaults, now_s: float, context: StepContext
) -> Capacity:
    """Return the pools of the file, under its own names: both APIs start the same instances of it."""
    if order.api == SPOT_FLEET:
        return capacity_of(order.config)
    sent = capacity_of_ec2_fleet(order.config)
    if {name.lower() for name in ad} & OF_EC2_FLEET:
        return sent
    apart = {"fleetapi", FLEET_ROLE.lower()}
    same = {name: value for name, value in ad.items() if name.lower() not in apart}
    same = {name: value for name, value in same.items() if not name.lower().startswith(ON_DEMAND)}  # as it is sent
    _, by_spot_fleet, _ = order_in(
        {**same, "FleetAPI": SPOT_FLEET, FLEET_ROLE: NO_ROLE}, owner, defaults, now_s, context.access
    )
    by_file = capacity_of(by_spot_fleet.config)
    return replace(by_file, spot_units=sent.spot_units, on_demand_units=sent.on_demand_units)


def _as_bounded(capacity: Capacity, order: FleetOrder) -> Capacity:
    """Return the pools with the bounds that are sent because of budgets, by type and weight: the most expensive of
    each.
    """
    if order.api == SPOT_FLEET:
        return capacity  # it was read from the request that is sent
    bounds: dict[tuple[str | None, Fraction], Fraction] = {}
    for each in capacity_of_ec2_fleet(order.config).pools:
        if each.price_bound is not None:
            key = each.instance_type, each.weight
            bounds[key] = max(each.price_bound, bounds.get(key, each.price_bound))
    pools = [
        each
        if each.price_bound is not None
        else replace(each, price_bound=bounds.get((each.instance_type, each.weight)))
        for each in capacity.pools
    ]
    return replace(capacity, pools=tuple(pools))


def _quote(order: FleetOrder, capacity: Capacity, context: StepContext, defaults: Defaults) -> Quote:
    clients = context.access(order.target)
    optional, warnings = OptionalCalls(), list(order.notes)
    refusals = list(_lease_refusals(order, context, clients, warnings))
    tried = dry_run(clients.ec2, order)
    refusals += [tried.refusal] if tried.refusal else []
    now_s = context.aws_now_s(clients)
    findings = Findings(tuple(refusals), tuple(warnings), tried)
    return _priced(order, capacity, clients, defaults, optional, now_s, findings)


@dataclass(frozen=True)
class Findings:
    """The findings of the checks: why the order would be refused, and other messages."""

    refusals: tuple[str, ...]
    warnings: tuple[str, ...]
    tried: DryRun


def _lease_refusals(order: FleetOrder, context: StepContext, clients: Clients, warnings: list[str]) -> Iterator[str]:
    """Yield why the order would be refused because its lease could not be enforced."""
    try:
        enforcer = lease_function_of(context, order.target, clients)
        check_max_lease(enforcer, order.end_of_lease_s, context.aws_now_s(clients))
        if message := warning_of(enforcer.receipt, order.target.lease_function_arn):
            warnings.append(message)
    except (Refused, Retry) as error:
        yield str(error)


def _priced(
    order: FleetOrder,
    capacity: Capacity,
    clients: Clients,
    defaults: Defaults,
    optional: OptionalCalls,
    now_s: float,
    findings: Findings,
) -> Quote:
    unknown: dict[str, None] = {}
    images = images_of(capacity.pools, clients.ec2, optional)
    subnets = zones_of_subnets(capacity, clients.ec2, optional)
    prices = list_prices_of(order.target, clients, defaults, optional)
    history = _history(
        capacity, {each.path: platform_of(each, images) for each in capacity.pools}, clients, now_s, optional
    )
    pools = [
        priced(
            each,
            zones_of(each, subnets),
            images,
            history.get((each.instance_type, platform_of(each, images)), {}),
            prices,
            unknown,
        )
        for each in capacity.pools
    ]
    length_s = max(0.0, order.end_of_lease_s - now_s)
    replaced_s = defaults.provisioning_delay_s if capacity.replaces else 0
    most = most_of(capacity, pools, prices.address_hour(), length_s + replaced_s, unknown)
    return Quote(
        capacity, tuple(pools), most, length_s, findings.refusals, findings.warnings, findings.tried,
        tuple(quotas_of(capacity, clients.ec2, _quotas(order.target, clients, defaults, optional), optional)),
        tuple(optional.missing), tuple(optional.troubles), tuple(prices.sources),
        _unseen(capacity, images),
    )  # fmt: skip


def _unseen(capacity: Capacity, images: Mapping[str, Image]) -> tuple[str, ...]:
    unseen = [each for each in capacity.pools if each.image not in images]
    return tuple(dict.fromkeys(each.image or f"the image of {each.path}" for each in unseen))


def _history(
    capacity: Capacity, platforms: Mapping[str, str], clients: Clients, now_s: float, optional: OptionalCalls
) -> dict[tuple[str | None, str], dict[str, spot_prices.SpotPrices]]:
    if capacity.spot_units <= 0:
        return {}
    wanted = dict.fromkeys((each.instance_type, platforms[each.path]) for each in capacity.pools if each.instance_type)
    return {
        (kind, platform): spot_prices.history(clients.ec2, str(kind), platform, now_s, optional)
        for kind, platform in list(wanted)[: spot_prices.MOST_TYPES]
    }


def _quotas(target: AccountTarget, clients: Clients, defaults: Defaults, optional: OptionalCalls) -> Any | None:
    if not (defaults.quotas_url or is_aws_host(target.endpoints.ec2_url)):
        return None
    url, region = defaults.quotas_url, target.endpoints.region
    return optional.call(quotas.QUOTA, lambda: clients.make("service-quotas", url, region))
