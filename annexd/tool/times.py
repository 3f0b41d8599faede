"""Parse and format times and durations.

A time without a zone is local time.  Daylight saving skips or repeats some local times: these are refused with the
possible times, since either choice would cost some user an hour of instances.
"""

import re
import time
from datetime import datetime
from typing import Final, TypeGuard

from annexd.annex.request.durations import SECONDS

TIME: Final = "a date and time such as 2026-12-01T18:00 (local time), 2026-12-01T18:00+01:00 or 2026-12-01T17:00Z"
# The extended format of ISO 8601, with the space or T of RFC 3339 (5.6), and the form in which this module shows UTC;
# fractions of a second are dropped.
ISO_8601: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d)?)(?:[.,]\d+)?(?: ?(UTC|Z|z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?))?",
    re.ASCII,
)
DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
ZONE_NAME: Final = re.compile(r" ?(?![ap]m$)[a-z][a-z0-9/_+-]+", re.ASCII | re.IGNORECASE)  # CET, Europe/Berlin
LATEST_S: Final = 253402300800  # the year 10000: C's strftime and Python's datetime go no further


def read_time(text: str) -> int:
    """Parse a time in ISO 8601, local without a zone, into seconds since the epoch.

    Raises ValueError with the expected form, also for a time that does not exist or is ambiguous.
    """
    found = ISO_8601.fullmatch(text)
    if not found:
        raise ValueError(_shape(text))
    date, clock, zone = found.groups()
    try:
        given = datetime.fromisoformat(f"{date}T{clock}{_offset(zone)}")
        meant = [given] if zone else _meant(given)
    except (ValueError, OverflowError):
        meant = None
    if meant is None or clock.startswith("24"):  # newer Pythons read it as the next day
        raise ValueError("an existing date, with a time before 24:00")
    return int(_only(meant).timestamp())


def _shape(text: str) -> str:
    if DATE.fullmatch(text):
        return f"a date and time such as {text}T18:00"
    if (found := ISO_8601.match(text)) and ZONE_NAME.fullmatch(text, found.end()):
        return "a time with Z, with an offset such as +01:00, or without a zone (local time): zone names are ambiguous"
    return TIME


def _offset(zone: str | None) -> str:
    return "+00:00" if zone in ("UTC", "Z", "z") else zone or ""


def _meant(given: datetime) -> list[datetime]:
    """Return the times, with offsets, at which local clocks show this: none, one or two."""
    times = sorted({given.replace(fold=fold).timestamp() for fold in (0, 1)})
    return [each.astimezone() for each in map(datetime.fromtimestamp, times) if each == given]


def _only(meant: list[datetime]) -> datetime:
    if not meant:
        raise ValueError("another time, or have an offset (local clocks skip this time when they are set forward)")
    if len(meant) > 1:
        times = " or ".join(each.isoformat() for each in meant)
        raise ValueError(f"{times} (local clocks show this time twice when they are set back)")
    return meant[0]


def is_time(value: object) -> TypeGuard[int]:
    """Return whether this is a time in seconds since the epoch that can be formatted."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < LATEST_S


def shown_time(seconds: int) -> str:
    """Format a time as local time with its zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(seconds))


def shown_utc(seconds: int) -> str:
    """Format a time as UTC: the periods of budgets end by it."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def shown_distance(seconds: float) -> str:
    """Format the distance of a time in the units of -extend: 1d12h from now, 5m ago."""
    return f"{shown_duration(abs(seconds))} {'from now' if seconds >= 0 else 'ago'}"


def shown_duration(seconds: float) -> str:
    """Format a duration: to the minute from an hour on, otherwise to the second."""
    left = round(seconds) if seconds < SECONDS["h"] else round(seconds / 60) * 60
    text = ""
    for unit in "dhms":
        number, left = divmod(left, SECONDS[unit])
        text += f"{number}{unit}" if number else ""
    return text or "0s"
