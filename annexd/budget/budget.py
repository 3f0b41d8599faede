"""A budget as the administrator wrote it, and the periods in which its dollars count: whole days of UTC."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final

DAY_S: Final = 86400
EPOCH: Final = date(1970, 1, 1)


class Period(StrEnum):
    """The length of time for which the dollars of a budget are meant."""

    DAY = "day"
    WEEK = "week"  # from Monday, as ISO 8601 has it
    MONTH = "month"
    ONCE = "once"  # one period without an end


@dataclass(frozen=True)
class Days:
    """Days since 1970: the first, and the one after the last; None: no end."""

    first: int
    end: int | None

    def has(self, day: int) -> bool:
        return self.first <= day and (self.end is None or day < self.end)

    @property
    def begin_s(self) -> int:
        return self.first * DAY_S

    @property
    def end_s(self) -> int | None:
        """Return when it ends, in seconds since the epoch."""
        return None if self.end is None else self.end * DAY_S


def day_of(at_s: float) -> int:
    return int(at_s // DAY_S)


def days_of(period: Period, at_s: float) -> Days:
    """Return the period that contains a time."""
    if period is Period.ONCE:
        return Days(0, None)
    today = datetime.fromtimestamp(at_s, UTC).date()
    if period is Period.DAY:
        return _days(today, today + timedelta(days=1))
    if period is Period.WEEK:
        monday = today - timedelta(days=today.weekday())
        return _days(monday, monday + timedelta(days=7))
    first = today.replace(day=1)
    return _days(first, (first + timedelta(days=31)).replace(day=1))


def _days(first: date, end: date) -> Days:
    return Days((first - EPOCH).days, (end - EPOCH).days)


@dataclass(frozen=True)
class Budget:
    """`cap` micro-dollars a period and at most `rate` micro-dollars an hour at any time; None: not limited.

    `applies`: a ClassAd expression over an ad of the order.
    """

    name: str
    cap: int | None
    period: Period = Period.ONCE
    rate: int | None = None
    applies: str = "true"

    @property
    def key(self) -> str:
        """Return its name in the ledger: HTCondor's knobs ignore case."""
        return self.name.lower()
