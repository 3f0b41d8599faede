"""Convert AWS's public price files into a table of prices, for templates/generate-prices.

https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/reading-service-price-list-file-for-services.html: "The
first five rows of the CSV file contain the metadata for the price list file. The sixth row has the column names".  A
row is a product with one of its prices.  If a product has several prices where one is expected, the highest is taken.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import islice
from typing import Any, Final

from annexd.annex.quote.money import price_in
from annexd.annex.quote.price_table import FORMAT

URL: Final = "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/{offer}/current/{region}/index.csv"
OFFERS: Final = ("AmazonEC2", "AmazonVPC")  # instances and volumes; public IPv4 addresses
METADATA_ROWS: Final = 5
SYSTEMS: Final = ("Linux", "RHEL", "SUSE", "Windows")
ADDRESS: Final = "PublicIPv4:InUseAddress"  # the end of its usage type; before it the region's short name
Row = Mapping[str, str]
Prices = dict[str, Any]


class BadPriceFile(Exception):
    """Says what is wrong with the file."""


def region_prices(lines: Iterable[str], region: str) -> Prices:
    """Return the prices in a price file of one region, in the form of the table.  Raises BadPriceFile."""
    rows = csv.reader(lines)
    metadata = {row[0]: row[1] for row in islice(rows, METADATA_ROWS) if len(row) > 1}
    names = next(rows, [])
    if "OfferCode" not in metadata or "PricePerUnit" not in names:
        raise BadPriceFile("it is not a price file of AWS (five rows of metadata, then the names of columns)")
    prices: Prices = {"published": metadata.get("Publication Date", "")}
    for row in rows:
        _add(prices, dict(zip(names, row, strict=False)), region)
    return prices


def _add(prices: Prices, row: Row, region: str) -> None:
    price = price_in(row.get("PricePerUnit"))
    on_demand = row.get("TermType") == "OnDemand" and row.get("Currency") == "USD" and row.get("Region Code") == region
    if price is None or not on_demand or row.get("Location Type") != "AWS Region":
        return
    if _is_instance(row):
        _put(prices.setdefault("on_demand", {}).setdefault(row["Operating System"], {}), row["Instance Type"], row)
    elif row.get("Product Family") == "Storage" and row.get("Volume API Name") and row.get("Unit") == "GB-Mo":
        _put(prices.setdefault("gigabyte_month", {}), row["Volume API Name"], row)
    elif _column(row, "usageType").endswith(ADDRESS) and row.get("Unit") == "Hrs" and price > 0:
        _put(prices, "public_ipv4_hour", row)


def _is_instance(row: Row) -> bool:
    """Return whether it is an instance, shared and used, without extra software or an own licence."""
    return (
        row.get("Product Family") in ("Compute Instance", "Compute Instance (bare metal)")
        and row.get("Unit") == "Hrs"
        and row.get("Tenancy") == "Shared"
        and row.get("CapacityStatus") == "Used"
        and row.get("Pre Installed S/W") == "NA"
        and row.get("License Model") in ("No License required", "")
        and row.get("MarketOption", "OnDemand") in ("OnDemand", "")
        and row.get("Operating System") in SYSTEMS
        and bool(row.get("Instance Type"))
    )


def _column(row: Row, name: str) -> str:
    """Return a column's value; AWS writes some names in more than one case."""
    return next((value for written, value in row.items() if written.lower().replace(" ", "") == name.lower()), "")


def _put(prices: Prices, name: str, row: Row) -> None:
    """Store the highest price where a name has several: an upper bound stays one."""
    known = price_in(prices.get(name))
    if known is None or Fraction(row["PricePerUnit"]) > known:
        prices[name] = row["PricePerUnit"]


def merged(regions: Mapping[str, Iterable[Prices]]) -> Prices:
    """Return the table; the oldest of a region's files gives its date."""
    return {"format": FORMAT, "currency": "USD", "regions": {name: _one(each) for name, each in regions.items()}}


def _one(files: Iterable[Prices]) -> Prices:
    whole: Prices = {}
    for prices in files:
        dates = [each for each in (whole.get("published"), prices.get("published")) if each]
        whole = {**whole, **prices, "published": min(dates, default="")}
    return whole


def urls(region: str) -> Iterator[str]:
    """Yield the URLs at which AWS publishes the files of a region."""
    yield from (URL.format(offer=offer, region=region) for offer in OFFERS)
