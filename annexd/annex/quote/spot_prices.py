"""Past prices of Spot capacity: DescribeSpotPriceHistory, the price at each moment of 90 days, by type and zone.

A price holds until the next one of its pool, so each counts for as long as it held.  The first row of a pool may be
from before the requested time, and "holds at its beginning" (botocore's EC2 model, DescribeSpotPriceHistory).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Final

from annexd.annex.quote.money import price_in
from annexd.annex.quote.optional_calls import OptionalCalls
from annexd.aws import answers

RIGHT: Final = "ec2:DescribeSpotPriceHistory"
DAYS: Final = 90  # AWS keeps no more
DAY_S: Final = 86400
MOST_ZONES: Final = 100  # of a region, with its Local Zones
MOST_TYPES: Final = 30  # each is some pages


@dataclass(frozen=True)
class SpotPrices:
    """Dollars of an instance and hour."""

    now: Fraction
    median: Fraction
    percentile_90: Fraction
    days: int  # that are known


def history(ec2: Any, kind: str, platform: str, now_s: float, optional: OptionalCalls) -> dict[str, SpotPrices]:
    """Return the past prices of an instance type, by zone; empty if AWS shows none."""
    return optional.call(RIGHT, lambda: _by_zone(ec2, kind, platform, now_s)) or {}


def _by_zone(ec2: Any, kind: str, platform: str, now_s: float) -> dict[str, SpotPrices]:
    zones: dict[str, list[tuple[float, Fraction]]] = {}
    for (_, zone), at_s, price in _rows(ec2, [kind], platform, now_s - DAYS * DAY_S, now_s):
        zones.setdefault(zone, []).append((at_s, price))
        if len(zones) > MOST_ZONES:
            raise answers.UnknownShape(what=f"there are Spot prices of more than {MOST_ZONES} zones")
    return {zone: _prices(sorted(each), now_s) for zone, each in sorted(zones.items())}


def changes(
    ec2: Any, kinds: Sequence[str], platform: str, since_s: float, until_s: float, optional: OptionalCalls
) -> dict[tuple[str, str], list[tuple[float, Fraction]]]:
    """Return the prices and the times since when they hold, by type and zone; empty if AWS shows none."""
    found: dict[tuple[str, str], list[tuple[float, Fraction]]] = {}
    rows = optional.call(RIGHT, lambda: list(_rows(ec2, kinds, platform, since_s, until_s))) or ()
    for pool, at_s, price in rows:
        found.setdefault(pool, []).append((at_s, price))
    return {pool: sorted(each) for pool, each in found.items()}


def _rows(
    ec2: Any, kinds: Sequence[str], platform: str, since_s: float, until_s: float
) -> Iterator[tuple[tuple[str, str], float, Fraction]]:
    """Yield type and zone, the time since when a price holds, and the price."""
    asked: dict[str, Any] = {
        "InstanceTypes": kinds,
        "ProductDescriptions": [platform],
        "StartTime": datetime.fromtimestamp(since_s, UTC),
        "EndTime": datetime.fromtimestamp(until_s, UTC),
    }
    for row in answers.listed(ec2, "describe_spot_price_history", "SpotPriceHistory", **asked):
        yield _row(row, kinds)


def _row(row: Mapping[str, Any], kinds: Sequence[str]) -> tuple[tuple[str, str], float, Fraction]:
    """Parse a row.  Raises UnknownShape unless it is a price of one of these types."""
    price, moment = price_in(answers.text(row, "SpotPrice")), answers.value(row, "Timestamp", datetime)
    if price is None or row.get("InstanceType") not in kinds:
        raise answers.UnknownShape(what="a Spot price is not of the requested type and zone")
    pool = answers.text(row, "InstanceType"), answers.text(row, "AvailabilityZone")
    return pool, moment.timestamp(), price


def _prices(changes: Sequence[tuple[float, Fraction]], now_s: float) -> SpotPrices:
    begin_s = max(now_s - DAYS * DAY_S, changes[0][0])
    ends_s = [at_s for at_s, _ in changes[1:]] + [now_s]
    held = [(price, max(0.0, end_s - max(at_s, begin_s))) for (at_s, price), end_s in zip(changes, ends_s, strict=True)]
    days = max(0, round((now_s - begin_s) / DAY_S))
    return SpotPrices(changes[-1][1], _percentile(held, 0.5), _percentile(held, 0.9), days)


def _percentile(held: Sequence[tuple[Fraction, float]], part: float) -> Fraction:
    """Return the price that was not exceeded during this part of the time."""
    whole_s, passed_s = sum(seconds for _, seconds in held), 0.0
    for price, seconds in sorted(held):
        passed_s += seconds
        if passed_s >= part * whole_s:
            return price
    return max(price for price, _ in held)
