"""The goal of -wait."""

import math
from typing import NamedTuple


class Goal(NamedTuple):
    """A number of joined machines, or a part of the requested capacity."""

    machines: int | None = None
    percent: float = 100.0

    def of(self, asked: int | None) -> int | None:
        """Return the number of machines; None while the requested capacity is unknown."""
        if self.machines is not None:
            return self.machines
        return None if asked is None else math.ceil(asked * self.percent / 100)

    def __str__(self) -> str:
        return f"joined={f'{self.percent:g}%' if self.machines is None else self.machines}"


def read_goal(text: str) -> Goal:
    """Parse joined=N or joined=N%.  Raises ValueError with the expected form."""
    name, _, number = text.partition("=")
    digits = number.removesuffix("%")
    if name == "joined" and digits.isascii() and digits.isdigit() and len(digits) <= 9 and int(digits) > 0:
        if digits == number:
            return Goal(machines=int(digits))
        if int(digits) <= 100:
            return Goal(percent=float(digits))
    raise ValueError("joined=N or joined=N%, a number above 0")
