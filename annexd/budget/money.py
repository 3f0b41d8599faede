"""Micro-dollars: whole numbers, so that sums of reservations are exact and no rounding exceeds a cap."""

import math
from fractions import Fraction
from typing import Final

MICRO: Final = 10**6  # micro-dollars of a dollar
HOUR_S: Final = 3600


def rounded_up(dollars: Fraction) -> int:
    """Return micro-dollars, rounded up: a possible cost is never understated."""
    return math.ceil(dollars * MICRO)


def rounded_down(dollars: Fraction) -> int:
    """Return micro-dollars, rounded down: a cap is never overstated."""
    return math.floor(dollars * MICRO)


def for_time(rate: int, seconds: int) -> int:
    """Return the cost at `rate` micro-dollars an hour, rounded up."""
    return -(-rate * max(0, seconds) // HOUR_S)


def dollars(amount: int) -> str:
    """Format the amount exactly, with two to six decimals."""
    whole, parts = divmod(abs(amount), MICRO)
    decimals = f"{parts:06}".rstrip("0").ljust(2, "0")
    return f"{'-' if amount < 0 else ''}${whole}.{decimals}"


def decimal(amount: int) -> str:
    """Format the amount with six decimals, for JSON."""
    whole, parts = divmod(abs(amount), MICRO)
    return f"{'-' if amount < 0 else ''}{whole}.{parts:06}"
