"""Dollars: read from text and written, never as binary fractions."""

import math
from fractions import Fraction
from typing import Final

LONGEST: Final = 64  # characters of a price; a request may have 30 before and after the point


def price_in(text: object) -> Fraction | None:
    """Read a price; None for what is none."""
    if not isinstance(text, str) or len(text) > LONGEST:
        return None
    plain = text.replace(".", "", 1)
    return Fraction(text) if plain.isascii() and plain.isdigit() else None


def rounded_up(amount: Fraction) -> Fraction:
    """Round up to what `dollars` writes."""
    return Fraction(math.ceil(amount * 10**6), 10**6)


def dollars(amount: Fraction | None) -> str | None:
    """Write an amount with six decimals, rounded up: a most stays a most."""
    if amount is None:
        return None
    millionths = int(rounded_up(amount) * 10**6)
    return f"{millionths // 10**6}.{millionths % 10**6:06}"
