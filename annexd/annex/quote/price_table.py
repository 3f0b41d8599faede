"""List prices of a region: On-Demand instances, volumes and public addresses, as templates/generate-prices writes them.

No price ships with annexd: an administrator makes the table from AWS's public price files and names it by
ANNEX_PRICE_TABLE.  A price that it lacks is unknown.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Self

from annexd.annex.quote.money import price_in

FORMAT: Final = 1
MOST_BYTES: Final = 32 * 2**20


class BadTable(Exception):
    """Says what is wrong with the file."""


@dataclass(frozen=True)
class PriceTable:
    """Dollars; `on_demand` by (operating system, instance type) and hour, `gigabyte_months` by type of volume."""

    source: str  # its origin and date
    on_demand: Mapping[tuple[str, str], Fraction] = field(default_factory=dict)
    gigabyte_months: Mapping[str, Fraction] = field(default_factory=dict)
    address_hour: Fraction | None = None

    @classmethod
    def read(cls, path: str, region: str) -> Self:
        """Return the prices of a region.  Raises BadTable."""
        try:
            with Path(path).open("rb") as opened:
                content = opened.read(MOST_BYTES + 1)
            if len(content) > MOST_BYTES:
                raise BadTable(f"{path} is larger than {MOST_BYTES} bytes")
            regions = _regions(json.loads(content))
            return cls._of_region(path, region, regions[region])
        except OSError as error:
            raise BadTable(f"{path} cannot be read: {error.strerror}") from error
        except KeyError as error:
            raise BadTable(f"{path} has no prices of {region}: templates/generate-prices adds them") from error
        except (ValueError, AttributeError, TypeError, RecursionError) as error:
            raise BadTable(f"{path} is not a table made by templates/generate-prices") from error

    @classmethod
    def _of_region(cls, path: str, region: str, entry: Mapping[str, Any]) -> Self:
        systems = entry.get("on_demand") or {}
        prices = {(system, kind): text for system, kinds in systems.items() for kind, text in kinds.items()}
        return cls(
            f"{path} ({region}, published {str(entry.get('published'))[:10]})",
            {key: price for key, text in prices.items() if (price := price_in(text)) is not None},
            {
                kind: price
                for kind, text in (entry.get("gigabyte_month") or {}).items()
                if (price := price_in(text)) is not None
            },
            price_in(entry.get("public_ipv4_hour")),
        )


def _regions(table: Any) -> Mapping[str, Any]:
    if table.get("format") != FORMAT or table.get("currency") != "USD":
        raise ValueError("another format")
    regions: Mapping[str, Any] = table["regions"]
    return regions
