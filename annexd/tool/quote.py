"""-quote: the machines and the cost of an order, as text or as annexd's JSON."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from annexd.tool import costs
from annexd.tool import show as say
from annexd.tool.errors import COMMUNICATION, ToolError
from annexd.tool.times import is_time, shown_time, shown_utc

STRANGE: Final = "annexd's answer contains no quote that condor_annex can read: are both of the same version?"
AT: Final = {"Now": "today's Spot price", "Median": "the median of 90 days", "Percentile90": "their 90th percentile"}
OF_A_ZONE: Final = {"Now": "now", "Median": "median", "Percentile90": "90th percentile"}
Quote = Mapping[str, Any]


def show(ad: Mapping[str, Any], *, as_json: bool, option_names: Mapping[str, str]) -> None:
    """Print the quote.  Raises ToolError, with these option names, if it is missing or the order would be refused."""
    if "Quote" not in ad:
        say.check(ad, option_names)
    quote = quote_in(ad)
    if as_json:
        print(json.dumps(quote, indent=2), flush=True)
    else:
        try:
            print(text(quote), flush=True)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ToolError(COMMUNICATION, STRANGE) from error
    say.check(ad, option_names)


def quote_in(ad: Mapping[str, Any]) -> Quote:
    """Return the quote in annexd's reply.  Raises ToolError."""
    try:
        quote = json.loads(str(ad.get("Quote")))
    except ValueError as error:
        raise ToolError(COMMUNICATION, STRANGE) from error
    if not isinstance(quote, dict):
        raise ToolError(COMMUNICATION, STRANGE)
    return quote


def text(quote: Quote) -> str:
    """Format the quote for people; most of it comes from AWS, and the output may be a terminal."""
    return "\n".join(say.printable(line) for line in _lines(quote))


def _lines(quote: Quote) -> Iterator[str]:
    yield from _capacity(quote)
    yield from _most(quote)
    yield from _expected(quote)
    for each in quote["Budgets"]:
        yield _budget(each)
    yield from _some("Not in it", quote["NotIncluded"])
    yield f"Prices: {'; '.join(quote['PriceSources']) or 'of no list'}"
    for each in quote["Quotas"]:
        left = f"{_number(each['Left'])} left of {_number(each['Value'])}"
        yield f"Quota: {each['Name']} ({each['Code']}): {left}, at most {_number(each['Needed'])} needed"
    yield from _rights(quote["Rights"])
    yield from _some("Unclear", quote["Troubles"])
    yield from _some("Note", quote["Warnings"])
    yield f"Refused: {'; '.join(quote['Refusals'])}" if quote["Refusals"] else "The order would not be refused."


def _capacity(quote: Quote) -> Iterator[str]:
    end_s = quote["EndOfLease"]
    until = f" until {shown_time(end_s)}" if is_time(end_s) else ""
    parts = {"Spot": quote["SpotUnits"], "On-Demand": quote["OnDemandUnits"]}
    asked = " and ".join(f"{units} units of {market}" for market, units in parts.items() if units)
    yield f"{asked}{until}: at most {quote['MostInstances']} instances"
    for pool in quote["Pools"]:
        kind, zones = pool["InstanceType"] or "a type that is not named", ", ".join(pool["Zones"] or ["any zone"])
        number = max(pool["MostSpotInstances"], pool["MostOnDemandInstances"])
        yield f"  {kind} in {zones}: up to {number}; {_bound(pool, quote)}"
        for zone, prices in pool["SpotPrices"].items():
            bounds_text = ", ".join(f"{_dollars(prices[name], 4)} {word}" for name, word in OF_A_ZONE.items())
            yield f"    {zone}: {bounds_text} ({prices['Days']} days)"


def _bound(pool: Quote, quote: Quote) -> str:
    if not quote["SpotUnits"]:
        return f"On-Demand {_dollars(pool['OnDemandPrice'], 4)} an hour"
    price = _dollars(pool["PriceBound"], 4)
    if pool["PriceBoundIsSent"]:
        return f"Spot for at most {price} a unit and hour, which is sent"
    return f"Spot without a bound that is sent: AWS's own is the On-Demand price, {price} a unit and hour"


def _most(quote: Quote) -> Iterator[str]:
    most, hours = quote["Most"], quote["BilledSeconds"] / 3600
    parts = ", ".join(f"{name.lower()} {_dollars(most[name])}" for name in ("Instances", "Volumes", "Addresses"))
    yield f"At most: {_dollars(most['Total'])} in {hours:.2f} hours ({parts})"
    yield from _some("Unknown", most["Unknown"])
    if quote["SpotUnits"] and not all(pool["PriceBoundIsSent"] for pool in quote["Pools"]):
        yield "  AWS keeps a bound that is sent: by SpotPrice in the file, by -max-price, or when you confirm the order"


def _expected(quote: Quote) -> Iterator[str]:
    for name, bound in AT.items():
        lowest, highest = (_dollars(quote["Instances"][name][each]) for each in ("Lowest", "Highest"))
        yield f"Instances at {bound}: {lowest if lowest == highest else f'{lowest} to {highest}'}"


def _budget(budget: Quote) -> str:
    end_s, parts = budget["PeriodEnd"], []
    if budget["Dollars"] is not None:
        until = f" until {shown_utc(end_s)}" if is_time(end_s) else ""
        parts.append(f"{costs.exact(budget['Need'])} is reserved of {costs.exact(budget['Left'])} left{until}")
    if budget["Rate"] is not None:
        parts.append(f"{costs.exact(budget['NeedRate'])} an hour of {costs.exact(budget['RateLeft'])} left")
    return f"Budget {budget['Name']}: {'; '.join(parts)}"


def _rights(rights: Quote) -> Iterator[str]:
    denied, trouble = rights["Denied"], rights["DryRunFault"]
    if not denied:
        yield f"Rights: AWS's DryRun {f'failed: {trouble}' if trouble else 'says yes'}"
    yield f"  not proved by a DryRun: {', '.join(rights['NotProved'])}; not tried: {', '.join(rights['NotTried'])}"
    if rights["MissingForQuote"]:
        yield f"  not given, so that the quote says less: {', '.join(rights['MissingForQuote'])}"


def _some(name: str, items: list[str]) -> Iterator[str]:
    for each in items:
        yield f"{name}: {each}"


def _dollars(amount: str | None, decimals: int = 2) -> str:
    """Return dollars rounded up, as annexd does: an upper bound stays one."""
    if amount is None:
        return "unknown"
    unit = 10 ** (6 - decimals)
    millionths = round(float(amount) * 10**6)
    return f"${-(-millionths // unit) / 10**decimals:.{decimals}f}"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:g}"
