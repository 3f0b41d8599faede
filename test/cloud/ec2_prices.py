"""DescribeSpotPriceHistory, of the prices that a test has set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult

from test.cloud.ec2_base import Acting
from test.cloud.paging import page
from test.cloud.prices import ANY_ZONE, Change
from test.cloud.records import Record

PRODUCT = "Linux/UNIX"


class PriceCalls(Acting):
    """A part of ActingEC2."""

    def describe_spot_price_history(self) -> ActionResult:
        """Return the changes within a period, the newest first, and the last one before it, which holds at its start.

        Without times, return the present prices.  CERTAIN: botocore's EC2 model.
        """
        asked, as_of_s = self._parameters(), self._as_of_s("DescribeSpotPriceHistory")
        rows = sorted(self._rows(asked, as_of_s), key=lambda each: each["Timestamp"], reverse=True)
        records = (Record(number, each) for number, each in enumerate(rows, 1))
        found, token = page(records, asked.get("MaxResults"), asked.get("NextToken"))
        return ActionResult({"SpotPriceHistory": [each.view for each in found], "NextToken": token or ""})

    def _rows(self, asked: Mapping[str, Any], as_of_s: float) -> Iterator[dict[str, Any]]:
        since_s = float(asked.get("StartTime") or as_of_s)
        until_s = min(float(asked.get("EndTime") or as_of_s), as_of_s)
        kinds, products = asked.get("InstanceTypes"), asked.get("ProductDescriptions") or [PRODUCT]
        for (kind, named), changes in self._fleets.market.spot.items():
            zone = f"{self.region}a" if named == ANY_ZONE else named
            if (kinds and kind not in kinds) or asked.get("AvailabilityZone", zone) != zone or PRODUCT not in products:
                continue
            before = [each for each in changes if each.at_s <= since_s][-1:]
            for each in before + [each for each in changes if since_s < each.at_s <= until_s]:
                yield _view(kind, zone, each)


def _view(kind: str, zone: str, change: Change) -> dict[str, Any]:
    return {
        "AvailabilityZone": zone,
        "InstanceType": kind,
        "ProductDescription": PRODUCT,
        "SpotPrice": f"{change.price:.6f}",
        "Timestamp": datetime.fromtimestamp(change.at_s, UTC).replace(tzinfo=None),
    }
