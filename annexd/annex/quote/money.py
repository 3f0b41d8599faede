"""Parse and format dollars, never as binary fractions."""

import math
from fractions import Fraction
from typing import Final

LONGEST: Final = 64  # characters of a price; a request may have 30 before and after the point


def price_in(text: object) -> Fraction | None:
    """Parse a price; return None for any other text."""
    if not isinstance(text, str) or len(text) > LONGEST:
        return None
    plain = text.replace(".", "", 1)
    return Fraction(text) if plain.isascii() and plain.isdigit() else None


def rounded_up(amount: Fraction) -> Fraction:
    """Round up to the precision of `dollars`."""
    return Fraction(math.ceil(amount * 10**6), 10**6)


def dollars(amount: Fraction | None) -> str | None:
    """Format an amount with six decimals, rounded up: an upper bound stays one."""
    if amount is None:
        return None
    millionths = int(rounded_up(amount) * 10**6)
    return f"{millionths // 10**6}.{millionths % 10**6:06}"
