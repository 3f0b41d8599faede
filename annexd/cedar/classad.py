"""ClassAds as values."""

from dataclasses import dataclass

Scalar = bool | int | float | str | None  # None is UNDEFINED
Value = Scalar | list["Value"] | dict[str, "Value"]


@dataclass(frozen=True)
class AdLimits:
    """Bounds on one ad: attributes at the top, values in all, and levels of lists and ads in each other."""

    attributes: int = 1000
    values: int = 200_000
    depth: int = 20
