"""The sources of list prices of an account's region: AWS's Pricing API, and the administrator's table."""

from typing import Any

from annexd.annex.quote import list_prices
from annexd.annex.quote.list_prices import ListPrices, api_region
from annexd.annex.quote.optional_calls import OptionalCalls
from annexd.annex.quote.price_table import BadTable, PriceTable
from annexd.annex.request.account_target import AccountTarget
from annexd.annex.request.defaults import Defaults
from annexd.aws import Clients, is_aws_host


def list_prices_of(target: AccountTarget, clients: Clients, defaults: Defaults, optional: OptionalCalls) -> ListPrices:
    """Return the list prices of a region, which are queried when they are needed."""
    region = target.endpoints.region
    pricing = _pricing(target, clients, defaults, optional)
    return ListPrices(pricing, _table(defaults, region, optional), region, optional)


def _table(defaults: Defaults, region: str, optional: OptionalCalls) -> PriceTable | None:
    if not defaults.price_table:
        return None
    try:
        return PriceTable.read(defaults.price_table, region)
    except BadTable as error:
        optional.note(f"ANNEX_PRICE_TABLE: {error}")
        return None


def _pricing(target: AccountTarget, clients: Clients, defaults: Defaults, optional: OptionalCalls) -> Any | None:
    """Return a client of the Pricing API; None where this region, or these endpoints, have none."""
    region = api_region(target.endpoints.region)
    if region is None or not (defaults.pricing_url or is_aws_host(target.endpoints.ec2_url)):
        return None
    return optional.call(list_prices.RIGHT, lambda: clients.make("pricing", defaults.pricing_url, region))
