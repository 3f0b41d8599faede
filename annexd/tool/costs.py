"""Annexd's estimates of an annex's cost, for tables: always marked as estimates by the heading and a note."""

from collections.abc import Mapping
from typing import Any, Final

HEADING: Final = "Est$"
NOTE: Final = f"{HEADING}: estimated by annexd, of instances alone; >= where a price is unknown"
UNKNOWN: Final = "unknown"


def shown(annex: Mapping[str, Any]) -> str:
    """Return the cell of an annex, or of a sum of annexes."""
    dollars, unpriced = annex.get("EstimatedCost"), annex.get("UnpricedInstances") or annex.get("Unknown")
    if not isinstance(dollars, int | float):
        return UNKNOWN if unpriced else "-"
    return f"{'>=' if unpriced else ''}{dollars:.2f}"


def is_any(annexes: list[Mapping[str, Any]]) -> bool:
    """Return whether one of them has an estimate, or is shown as unknown."""
    return any(shown(annex) != "-" for annex in annexes)


def exact(dollars: object) -> str:
    """Format annexd's text of dollars without trailing zeros, but with at least two decimals."""
    if not isinstance(dollars, str):
        return "-"
    whole, _, decimals = dollars.removeprefix("-").partition(".")
    return f"{'-' if dollars.startswith('-') else ''}${whole}.{decimals.rstrip('0').ljust(2, '0')}"
