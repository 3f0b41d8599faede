"""The Pricing API's GetProducts, for the list prices that a test has set.

CERTAIN: GetProducts returns products as JSON texts that match all filters (API reference); AWS's pages "Read the
service price list file" name the members.  The endpoints have a region, but their products are those of all regions
(regionCode).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from test.cloud.errors import Answer, error_answer
from test.cloud.prices import Market
from test.cloud.request import Request

TYPE = "application/x-amz-json-1.1"
MOST = 100  # CERTAIN: API reference, MaxResults
REGIONS = ("us-east-1", "us-west-2", "eu-central-1")


def answer(request: Request, market: Market) -> Answer:
    if request.operation != "GetProducts":
        return error_answer("pricing", 400, "UnknownOperationException", request.operation)
    asked = request.json()
    found = [each for each in _products(market) if _matches(each, asked)]
    begin = int(asked.get("NextToken") or 0)
    end = begin + min(MOST, int(asked.get("MaxResults") or MOST))
    response: dict[str, Any] = {"FormatVersion": "aws_v1", "PriceList": [json.dumps(each) for each in found[begin:end]]}
    if end < len(found):
        response["NextToken"] = str(end)
    return Answer(200, json.dumps(response).encode(), {"Content-Type": TYPE})


def _matches(product: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    if product["serviceCode"] != asked["ServiceCode"]:
        return False
    attributes = {**product["product"]["attributes"], "productFamily": product["product"].get("productFamily")}
    return all(attributes.get(each["Field"]) == each["Value"] for each in asked.get("Filters") or [])


def _products(market: Market) -> Iterator[dict[str, Any]]:
    """Yield all products, including those that a reader must skip: dedicated tenancy and idle addresses."""
    for region in REGIONS:
        for kind, price in market.on_demand.items():
            for tenancy, dollars in (("Shared", price), ("Dedicated", 2 * price)):
                attributes = _instance(kind, tenancy)
                yield _product("AmazonEC2", region, "Compute Instance", attributes, "Hrs", dollars)
        if market.gb_month:
            for volume in ("gp2", "gp3"):
                yield _product("AmazonEC2", region, "Storage", {"volumeApiName": volume}, "GB-Mo", market.gb_month)
        if market.address_hour:
            for use, dollars in (("InUseAddress", market.address_hour), ("IdleAddress", market.address_hour)):
                attributes = {"group": "VPCPublicIPv4Address", "usagetype": f"USE1-PublicIPv4:{use}"}
                yield _product("AmazonVPC", region, None, attributes, "Hrs", dollars)


def _instance(kind: str, tenancy: str) -> dict[str, str]:
    return {
        "instanceType": kind,
        "operatingSystem": "Linux",
        "licenseModel": "No License required",
        "tenancy": tenancy,
        "capacitystatus": "Used",
        "preInstalledSw": "NA",
        "marketoption": "OnDemand",
    }


def _product(
    service: str, region: str, family: str | None, attributes: Mapping[str, str], unit: str, dollars: float
) -> dict[str, Any]:
    sku = f"{abs(hash((service, region, tuple(attributes.items())))):X}"[:16]
    dimension = {"unit": unit, "pricePerUnit": {"USD": f"{dollars:.10f}"}, "rateCode": f"{sku}.T.R"}
    product: dict[str, Any] = {"sku": sku, "attributes": {**attributes, "regionCode": region}}
    if family is not None:
        product["productFamily"] = family
    terms = {"OnDemand": {f"{sku}.T": {"sku": sku, "priceDimensions": {f"{sku}.T.R": dimension}}}}
    return {"product": product, "serviceCode": service, "terms": terms}
