"""Parse durations as people write them, on a command line or in the configuration."""

from typing import Final

SECONDS: Final = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
DURATION: Final = "a number of seconds, or a duration such as 90s, 30m, 1h30m, 1.5h, 2d, 1w"


def read_duration(text: str) -> int:
    """Parse a number of seconds, or numbers with units, larger units first.  Raises ValueError."""
    if text.isascii() and text.isdigit():
        return positive(text, DURATION)
    total_s, number, units = 0.0, "", list(SECONDS)
    for letter in text:
        if letter in units and _is_number(number):
            total_s += float(number) * SECONDS[letter]
            units, number = units[units.index(letter) + 1 :], ""
        else:
            number += letter
    if number or not 1 <= total_s < 10**18:
        raise ValueError(DURATION)
    return round(total_s)


def _is_number(text: str) -> bool:
    """Return whether these are digits, with an optional decimal fraction."""
    whole, dot, rest = text.partition(".")
    return text.isascii() and whole.isdigit() and (rest.isdigit() if dot else True) and len(text) <= 18


def positive(text: str, expected: str) -> int:
    """Parse a number above 0.  Raises ValueError with `expected` as its message."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text) > 0):
        raise ValueError(expected)
    return int(text)
