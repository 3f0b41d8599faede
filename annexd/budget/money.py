"""Micro-dollars: whole numbers, so that a sum of reservations is exact and a cap is never exceeded by a rounding."""

import math
from fractions import Fraction
from typing import Final

MICRO: Final = 10**6  # micro-dollars of a dollar
HOUR_S: Final = 3600


def rounded_up(dollars: Fraction) -> int:
    """Return micro-dollars: what may be spent is never less than it is said to be."""
    return math.ceil(dollars * MICRO)


def rounded_down(dollars: Fraction) -> int:
    """Return micro-dollars: a cap is never more than it is said to be."""
    return math.floor(dollars * MICRO)


def for_time(rate: int, seconds: int) -> int:
    """Return what `rate` micro-dollars an hour come to, rounded up."""
    return -(-rate * max(0, seconds) // HOUR_S)


def dollars(amount: int) -> str:
    """Write it exactly, with two to six decimals."""
    whole, parts = divmod(abs(amount), MICRO)
    decimals = f"{parts:06}".rstrip("0").ljust(2, "0")
    return f"{'-' if amount < 0 else ''}${whole}.{decimals}"


def decimal(amount: int) -> str:
    """Write it with six decimals, for JSON."""
    whole, parts = divmod(abs(amount), MICRO)
    return f"{'-' if amount < 0 else ''}{whole}.{parts:06}"
