"""Collect all faults of a request, so that a user can fix them together, named as in the ad."""

import json
from collections.abc import Sequence
from typing import Final

LONGEST_VALUE: Final = 60  # characters of a wrong value that are shown
MOST_SHOWN: Final = 25  # a hostile ad could hold a million
LARGEST_SHOWN: Final = 2**63


class InvalidRequest(Exception):
    """The request cannot be carried out as it is; `faults` says why, one sentence each."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__(joined(self.faults))


def joined(faults: Sequence[str]) -> str:
    """Join the faults into one line."""
    more = len(faults) - MOST_SHOWN
    return "; ".join((*faults[:MOST_SHOWN], f"and {more} more faults") if more > 0 else faults)


def shown(value: object) -> str:
    """Format a wrong value as short JSON."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() if abs(value) >= LARGEST_SHOWN:
            return "a number of more than 64 bits"
        case int() | float():
            return repr(value)
        case str():
            text = json.dumps(value)
            return text if len(text) <= LONGEST_VALUE else f'{text[:LONGEST_VALUE]}..."'
        case list() | tuple():
            return "an array"
        case dict():
            return "an object"
    return f"a {type(value).__name__}"
