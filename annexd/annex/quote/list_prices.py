"""AWS's list prices: from the Pricing API if these keys may call it, or else from the administrator's table.

GetProducts is called in the regions where the Pricing API has endpoints (botocore's endpoints.json: us-east-1,
eu-central-1, ap-south-1; none with dollars in the partitions of China, GovCloud and the European Sovereign Cloud).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any, Final

from annexd.annex.quote.money import price_in
from annexd.annex.quote.optional_calls import OptionalCalls
from annexd.annex.quote.price_table import PriceTable
from annexd.aws import answers

RIGHT: Final = "pricing:GetProducts"
API_REGIONS: Final = {"eu": "eu-central-1", "ap": "ap-south-1"}  # by the prefix of a region's name; else us-east-1
PARTITIONS: Final = ("cn-", "us-gov-", "us-iso", "eusc-", "eu-iso")  # it has no lists for these
LONGEST_PRODUCT: Final = 200_000
MOST_ASKED: Final = 100  # for one quote; further prices come from the table only
PLAIN: Final = {
    "tenancy": "Shared",
    "capacitystatus": "Used",
    "preInstalledSw": "NA",
    "marketoption": "OnDemand",
}


def api_region(region: str) -> str | None:
    """Return the region whose Pricing API has the prices of a region; None if there is none."""
    if region.startswith(PARTITIONS):
        return None
    return API_REGIONS.get(region.partition("-")[0], "us-east-1")


class ListPrices:
    """Prices in dollars, each queried once; None: unknown.  `sources`: the sources of the prices that were found."""

    def __init__(self, pricing: Any | None, table: PriceTable | None, region: str, optional: OptionalCalls) -> None:
        self._pricing, self._table, self._region, self._optional = pricing, table, region, optional
        self._known: dict[object, Fraction | None] = {}
        self.sources: dict[str, None] = {}

    def on_demand(self, kind: str, system: str) -> Fraction | None:
        """Return the price of an instance for an hour."""
        return self._price(
            (system, kind),
            lambda table: table.on_demand.get((system, kind)),
            "AmazonEC2",
            "Hrs",
            {"instanceType": kind, "operatingSystem": system, "licenseModel": "No License required", **PLAIN},
        )

    def gigabyte_month(self, kind: str) -> Fraction | None:
        return self._price(
            ("volume", kind),
            lambda table: table.gigabyte_months.get(kind),
            "AmazonEC2",
            "GB-Mo",
            {"productFamily": "Storage", "volumeApiName": kind},
        )

    def address_hour(self) -> Fraction | None:
        """Return the price of a public IPv4 address in use for an hour."""
        group = {"group": "VPCPublicIPv4Address"}
        return self._price("address", lambda table: table.address_hour, "AmazonVPC", "Hrs", group)

    def _price(
        self,
        key: object,
        in_table: Callable[[PriceTable], Fraction | None],
        service: str,
        unit: str,
        filters: Mapping[str, str],
    ) -> Fraction | None:
        if key not in self._known:
            found = self._asked(service, unit, filters)
            if found is None and self._table is not None:
                found = in_table(self._table)
                self.sources |= {self._table.source: None} if found is not None else {}
            self._known[key] = found
        return self._known[key]

    def _asked(self, service: str, unit: str, filters: Mapping[str, str]) -> Fraction | None:
        if self._pricing is None or len(self._known) >= MOST_ASKED:
            return None
        prices = self._optional.call(RIGHT, lambda: list(self._prices(service, unit, filters)))
        if not prices:
            return None
        self.sources["AWS's Pricing API, today"] = None
        return max(prices)

    def _prices(self, service: str, unit: str, filters: Mapping[str, str]) -> Iterator[Fraction]:
        for product in _products(self._pricing, service, self._region, filters):
            yield from _prices(product, unit)


def _products(pricing: Any, service: str, region: str, filters: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    wanted = {"regionCode": region, **filters}
    asked = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items()]
    token: dict[str, str] = {}
    for _ in range(5):  # one product is expected
        page = pricing.get_products(ServiceCode=service, Filters=asked, MaxResults=100, **token)
        for text in answers.value(page, "PriceList", list):
            yield _product(text)
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def _product(text: Any) -> Mapping[str, Any]:
    product = json.loads(text) if isinstance(text, str) and len(text) <= LONGEST_PRODUCT else None
    if not isinstance(product, dict):
        raise answers.UnknownShape(what="PriceList has an entry that is not a product")
    return product


def _prices(product: Mapping[str, Any], unit: str) -> Iterator[Fraction]:
    """Yield the On-Demand prices of a product by this unit; a price of zero, which an idle resource may have, is
    skipped.
    """
    terms = (product.get("terms") or {}).get("OnDemand") or {}
    for term in terms.values():
        for each in (term.get("priceDimensions") or {}).values():
            price = price_in((each.get("pricePerUnit") or {}).get("USD"))
            if each.get("unit") == unit and price:
                yield price
