"""The emulated Pricing API returns the list prices that a test has set, and other products besides."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud

LINUX: dict[str, Any] = {"instanceType": "m5.large", "regionCode": "us-east-1", "operatingSystem": "Linux"}


def products(cloud: Cloud, service: str = "AmazonEC2", size: int = 100, **filters: Any) -> list[dict[str, Any]]:
    asked = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in filters.items()]
    pages = cloud.client("pricing").get_paginator("get_products")
    response = pages.paginate(ServiceCode=service, Filters=asked, PaginationConfig={"PageSize": size})
    return [json.loads(each) for page in response for each in page["PriceList"]]


def prices(product: dict[str, Any]) -> list[tuple[str, str]]:
    terms = product["terms"]["OnDemand"].values()
    dimensions = [each for term in terms for each in term["priceDimensions"].values()]
    return [(each["unit"], each["pricePerUnit"]["USD"]) for each in dimensions]


@pytest.fixture
def listed(cloud: Cloud) -> Cloud:
    cloud.set_prices(on_demand={"m5.large": 0.096}, gb_month=0.08, address_hour=0.005)
    return cloud


def test_products_are_json_texts_that_all_filters_match_in_pages(listed: Cloud) -> None:
    [shared] = products(listed, **LINUX, tenancy="Shared")
    assert prices(shared) == [("Hrs", "0.0960000000")]
    assert len(products(listed, **LINUX)) == 2, "also that of dedicated hardware"
    assert len(products(listed, size=1, regionCode="us-east-1")) == len(products(listed, regionCode="us-east-1")) > 3


def test_volumes_and_addresses_have_prices_of_their_own(listed: Cloud) -> None:
    [volume] = products(listed, productFamily="Storage", volumeApiName="gp3", regionCode="us-west-2")
    assert prices(volume) == [("GB-Mo", "0.0800000000")]
    found = products(listed, "AmazonVPC", group="VPCPublicIPv4Address", regionCode="us-east-1")
    assert [prices(each) for each in found] == [[("Hrs", "0.0050000000")]] * 2


def test_a_product_without_a_price_is_ignored(cloud: Cloud) -> None:
    assert products(cloud, instanceType="u-6tb1.metal") == []


def test_another_call_is_unknown(cloud: Cloud) -> None:
    with pytest.raises(ClientError, match="UnknownOperationException"):
        cloud.client("pricing").describe_services()
