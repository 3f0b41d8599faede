"""List prices: AWS's public price file becomes a table, and a price that both AWS and the table lack is unknown."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from annexd.annex.quote.list_prices import ListPrices, api_region
from annexd.annex.quote.money import price_in
from annexd.annex.quote.optional_calls import OptionalCalls
from annexd.annex.quote.price_file import BadPriceFile, merged, region_prices
from annexd.annex.quote.price_table import MOST_BYTES, BadTable, PriceTable
from test.annex.price_excerpt import ADDRESS, INSTANCE, METADATA, REGION, VOLUME, price_file

TOP = Path(__file__).resolve().parents[2]
OTHERS = [  # rows of the same file that must be ignored
    INSTANCE | {"TermType": "Reserved", "PricePerUnit": "9"},
    INSTANCE | {"Tenancy": "Dedicated", "PricePerUnit": "9"},
    INSTANCE | {"CapacityStatus": "UnusedCapacityReservation", "PricePerUnit": "9"},
    INSTANCE | {"Pre Installed S/W": "SQL Std", "PricePerUnit": "9"},
    INSTANCE | {"License Model": "Bring your own license", "PricePerUnit": "9"},
    INSTANCE | {"MarketOption": "CapacityBlock", "PricePerUnit": "0"},
    INSTANCE | {"Region Code": "eu-west-1", "PricePerUnit": "9"},
    INSTANCE | {"Location Type": "AWS Local Zone", "PricePerUnit": "9"},
    INSTANCE | {"Currency": "CNY", "PricePerUnit": "9"},
    INSTANCE | {"PricePerUnit": "no number"},
    VOLUME | {"Unit": "IOPS-Mo", "PricePerUnit": "9"},
]


def test_a_price_file_becomes_a_table_of_what_a_quote_asks_for_and_nothing_else() -> None:
    windows = INSTANCE | {"Operating System": "Windows", "PricePerUnit": "0.5"}
    found = region_prices(io.StringIO(price_file(*OTHERS, INSTANCE, windows, VOLUME, ADDRESS)), REGION)
    assert found == {
        "published": "2026-03-05T20:59:55Z",
        "on_demand": {"Linux": {"m5.large": "0.1230000000"}, "Windows": {"m5.large": "0.5"}},
        "gigabyte_month": {"gp3": "0.0952000000"},
        "public_ipv4_hour": "0.0070000000",
    }


def test_the_highest_of_several_prices_is_taken() -> None:
    rows = [INSTANCE, INSTANCE | {"PricePerUnit": "0.2"}, INSTANCE | {"PricePerUnit": "0.1"}]
    assert region_prices(io.StringIO(price_file(*rows)), REGION)["on_demand"] == {"Linux": {"m5.large": "0.2"}}


@pytest.mark.parametrize("text", ["", "<html></html>\n" * 9, price_file(INSTANCE, metadata=[["a", "b"]] * 5)])
def test_any_file_but_a_price_file_is_refused(text: str) -> None:
    with pytest.raises(BadPriceFile, match="not a price file of AWS"):
        region_prices(io.StringIO(text), REGION)


def generate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOP / "templates" / "generate-prices"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return the table that the program makes from files on disk."""
    later = [row if row[0] != "Publication Date" else [row[0], "2026-04-01T00:00:00Z"] for row in METADATA]
    (tmp_path / "ec2.csv").write_text(price_file(INSTANCE, VOLUME))
    (tmp_path / "vpc.csv").write_text(price_file(ADDRESS, metadata=later))
    done = generate(f"{REGION}={tmp_path / 'ec2.csv'}", f"{REGION}={tmp_path / 'vpc.csv'}")
    assert done.returncode == 0, done.stderr
    (tmp_path / "prices.json").write_text(done.stdout)
    return tmp_path / "prices.json"


def test_the_program_makes_the_table_that_a_quote_reads_with_the_older_date(table: Path) -> None:
    read = PriceTable.read(str(table), REGION)
    assert read.on_demand == {("Linux", "m5.large"): Fraction("0.123")}
    assert read.gigabyte_months == {"gp3": Fraction("0.0952")}
    assert read.address_hour == Fraction("0.007")
    assert read.source == f"{table} ({REGION}, published 2026-03-05)"


def test_the_program_says_where_aws_publishes_and_what_it_cannot_read(tmp_path: Path) -> None:
    assert generate("--urls", REGION).stdout.splitlines() == [
        f"https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/{offer}/current/{REGION}/index.csv"
        for offer in ("AmazonEC2", "AmazonVPC")
    ]
    assert generate().returncode == 2
    assert generate(f"{REGION}={tmp_path / 'none'}").returncode == 1
    (tmp_path / "other").write_text("one,two\n" * 9)
    assert "not a price file of AWS" in generate(f"{REGION}={tmp_path / 'other'}").stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "is not a table"),
        ("[]", "is not a table"),
        ("not JSON", "is not a table"),
        ('{"format": 1, "currency": "CNY", "regions": {}}', "is not a table"),
        (json.dumps(merged({"us-east-1": []})), f"has no prices of {REGION}"),
        (json.dumps({"format": 1, "currency": "USD", "regions": {REGION: 7}}), "is not a table"),
        ("[" * 100_000, "is not a table"),
        (" " * (MOST_BYTES + 1), "is larger than"),
    ],
)
def test_a_table_that_cannot_be_used_is_said(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "prices.json").write_text(content)
    with pytest.raises(BadTable, match=message):
        PriceTable.read(str(tmp_path / "prices.json"), REGION)


def test_a_price_that_no_list_has_is_unknown_and_never_nothing(table: Path) -> None:
    prices = ListPrices(None, PriceTable.read(str(table), REGION), REGION, OptionalCalls())
    assert prices.on_demand("c5.large", "Linux") is None
    assert prices.on_demand("m5.large", "Windows") is None
    assert prices.gigabyte_month("io2") is None
    assert ListPrices(None, None, REGION, OptionalCalls()).address_hour() is None


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("0.05", Fraction(1, 20)),
        (".05", Fraction(1, 20)),
        ("7", Fraction(7)),
        ("", None),
        (".", None),
        ("-1", None),
        ("1e9", None),
        ("1e999999999", None),
        ("nan", None),
        ("0.1.2", None),
        ("1/3", None),
        ("٣", None),
        ("9" * 65, None),
        (0.05, None),
        (None, None),
    ],
)
def test_a_price_is_digits_with_at_most_one_point(text: Any, price: Fraction | None) -> None:
    assert price_in(text) == price


class Pricing:
    """A pricing endpoint that returns anything as a page."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def get_products(self, **_: Any) -> Any:
        return self._answer


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"PriceList": "text"},
        {"PriceList": [7]},
        {"PriceList": ["not JSON"]},
        {"PriceList": ["[]"]},
        {"PriceList": ['{"terms": 7}']},
        {"PriceList": ['{"terms": {"OnDemand": {"a": {"priceDimensions": {"b": 7}}}}}']},
        {"PriceList": ["x" * 300_000]},
    ],
)
def test_an_answer_that_aws_never_gives_makes_a_price_unknown(answer: Any) -> None:
    optional = OptionalCalls()
    assert ListPrices(Pricing(answer), None, REGION, optional).on_demand("m5.large", "Linux") is None
    assert optional.troubles


def test_the_pricing_api_is_asked_where_it_is_and_of_no_partition_that_it_does_not_have() -> None:
    asked = {"us-west-2": "us-east-1", "eu-north-1": "eu-central-1", "ap-northeast-1": "ap-south-1"}
    assert {region: api_region(region) for region in asked} == asked
    assert [api_region(each) for each in ("cn-north-1", "us-gov-west-1", "eusc-de-east-1")] == [None] * 3
