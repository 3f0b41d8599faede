"""An excerpt in the format of AWS's public price file, with invented prices."""

from __future__ import annotations

import csv
import io

REGION = "eu-central-1"
METADATA = [
    ["FormatVersion", "v1.0"],
    ["Disclaimer", "made for a test: these are nobody's prices"],
    ["Publication Date", "2026-03-05T20:59:55Z"],
    ["Version", "20260305205955"],
    ["OfferCode", "AmazonEC2"],
]
INSTANCE = {
    "SKU": "A", "TermType": "OnDemand", "Unit": "Hrs", "PricePerUnit": "0.1230000000", "Currency": "USD",
    "Product Family": "Compute Instance", "Location Type": "AWS Region", "Instance Type": "m5.large",
    "Tenancy": "Shared", "Operating System": "Linux", "License Model": "No License required",
    "Pre Installed S/W": "NA", "CapacityStatus": "Used", "MarketOption": "OnDemand", "Volume API Name": "",
    "usageType": "EUC1-BoxUsage:m5.large", "Region Code": REGION,
}  # fmt: skip
VOLUME = INSTANCE | {
    "Product Family": "Storage", "Unit": "GB-Mo", "PricePerUnit": "0.0952000000", "Volume API Name": "gp3",
    "Instance Type": "", "Tenancy": "", "CapacityStatus": "", "usageType": "EUC1-EBS:VolumeUsage.gp3",
}  # fmt: skip
ADDRESS = INSTANCE | {
    "Product Family": "", "PricePerUnit": "0.0070000000", "Instance Type": "", "Tenancy": "",
    "usageType": "EUC1-PublicIPv4:InUseAddress",
}  # fmt: skip


def price_file(*rows: dict[str, str], metadata: list[list[str]] = METADATA) -> str:
    """Return an excerpt in AWS's format, with the columns in another order than the documented one."""
    text = io.StringIO()
    names = sorted(INSTANCE)
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(
        [*metadata, names, *([row[name] for name in names] for row in rows)]
    )
    return text.getvalue()
