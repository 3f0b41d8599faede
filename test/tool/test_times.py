"""Test times as people type them: ISO 8601, with a zone, or in local time."""

import re
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexd.annex.request.durations import read_duration
from annexd.tool.times import LATEST_S, read_time, shown_distance, shown_duration, shown_time

SetZone = Callable[[str], None]
BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"
LORD_HOWE = "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"  # summer time is half an hour ahead
APIA = "Pacific/Apia"  # was west of the date line until the end of 2011-12-29, and had no 2011-12-30
CARACAS = "America/Caracas"  # repeated half an hour on 2007-12-09: it changed its standard time, not to summer time
ZONES = [
    "UTC0",
    BERLIN,
    LORD_HOWE,
    APIA,
    CARACAS,
    "Europe/Dublin",
    "America/New_York",
    "Asia/Kathmandu",
    "Africa/Casablanca",
]
NOON_S = 1764586800  # 2025-12-01T11:00:00Z


def read(text: str) -> int | str:
    """Return the time, or the reason for its refusal."""
    try:
        return read_time(text)
    except ValueError as error:
        return f"it must be {error}"


def refusal(text: str) -> str:
    shown = read(text)
    assert isinstance(shown, str), shown
    return shown


@pytest.mark.parametrize(
    "text",
    [
        "2025-12-01T11:00Z",
        "2025-12-01T11:00:00Z",
        "2025-12-01 11:00Z",
        "2025-12-01 11:00 Z",
        "2025-12-01t11:00z",
        "2025-12-01T11:00:00.999Z",
        "2025-12-01T11:00:00,5Z",
        "2025-12-01T12:00+01:00",
        "2025-12-01T12:00+0100",
        "2025-12-01T12:00+01",
        "2025-12-01 06:00:00 -05:00",
        "2025-12-02T00:59+13:59",
        "2025-12-01T11:00-00:00",
        "2025-12-01 11:00:00 UTC",
        "2025-12-01T12:00",
        "2025-12-01 12:00:00",
        "2025-12-01T16:45+05:45",
    ],
)
def test_a_time_is_read_in_the_zone_that_it_says_or_in_that_of_the_clocks_here(zone: SetZone, text: str) -> None:
    zone(BERLIN)
    assert read_time(text) == NOON_S


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2025-12-01", "a date and time such as 2025-12-01T18:00"),
        ("2025-12-01 12:00 CET", "zone names are ambiguous"),
        ("2025-12-01T12:00EST", "zone names are ambiguous"),
        ("2025-12-01T12:00:00 America/New_York", "zone names are ambiguous"),
        ("2025-12-01T12:00:00EST5EDT", "zone names are ambiguous"),
        ("2025-02-29T12:00", "an existing date"),
        ("2025-13-01T12:00", "an existing date"),
        ("0000-01-01T00:00", "an existing date"),
        ("2025-12-01T24:00", "before 24:00"),
        ("2025-12-01T12:60Z", "an existing date"),
        ("2025-12-31T23:59:60Z", "an existing date"),
        *[
            (text, "a date and time such as")
            for text in (
                "",
                "12:00",
                "tomorrow",
                "1764586800",
                "2025-12-01T",
                "2025-12-01T12",
                "2025-12-01T1:00",
                "25-12-01T12:00",
                "20251201T1200",
                "2025-W49-1T12:00",
                "2025-335T12:00",
                "2025/12/01 12:00",
                "01.12.2025 12:00",
                "2025-12-01T12:00 ",
                " 2025-12-01T12:00",
                "2025-12-01T12:00+1",
                "2025-12-01T12:00+24:00",
                "2025-12-01T12:00+01:60",
                "2025-12-01  12:00",
                "2025-12-01T12:00 UTC+1",
                "2025-12-01T12:00\n",
                "２025-12-01T12:00",
                "+2025-12-01T12:00",
                "2025-12-01T12:00ZZ",
                "2025-12-01T12:00-",
                "2025-12-01T12:00 pm",
                "x" * 10000,
                "2025-12-01T12:00:00." + "9" * 5 + "x",
            )
        ],
    ],
)
def test_an_invalid_time_is_refused_with_the_expected_form(text: str, message: str) -> None:
    assert message in refusal(text)


@pytest.mark.parametrize(
    ("where", "text", "first", "second"),
    [
        (BERLIN, "2026-10-25T02:30", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"),
        (BERLIN, "2026-10-25T02:00", "2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"),
        (LORD_HOWE, "2026-04-05T01:45", "2026-04-05T01:45:00+11:00", "2026-04-05T01:45:00+10:30"),
        (CARACAS, "2007-12-09T02:45", "2007-12-09T02:45:00-04:00", "2007-12-09T02:45:00-04:30"),
    ],
)
def test_a_time_that_the_clocks_show_twice_is_refused_with_the_two_that_it_may_be(
    zone: SetZone, where: str, text: str, first: str, second: str
) -> None:
    zone(where)
    assert f"{first} or {second} (local clocks show this time twice" in refusal(text)
    assert read_time(first) < read_time(second)


@pytest.mark.parametrize(
    ("where", "text"),
    [
        (BERLIN, "2026-03-29T02:00"),
        (BERLIN, "2026-03-29T02:59:59"),
        (LORD_HOWE, "2026-10-04T02:15"),
        (APIA, "2011-12-30T12:00"),
    ],
)
def test_a_time_that_the_clocks_skip_is_refused(zone: SetZone, where: str, text: str) -> None:
    zone(where)
    assert "local clocks skip this time" in refusal(text)


@pytest.mark.parametrize(
    ("where", "text", "utc"),
    [
        (BERLIN, "2026-03-29T01:59:59", "2026-03-29T00:59:59Z"),
        (BERLIN, "2026-03-29T03:00", "2026-03-29T01:00Z"),
        (BERLIN, "2026-10-25T01:59:59", "2026-10-24T23:59:59Z"),
        (BERLIN, "2026-10-25T03:00", "2026-10-25T02:00Z"),
        (LORD_HOWE, "2026-10-04T02:30", "2026-10-03T15:30Z"),
    ],
)
def test_the_times_beside_a_change_of_the_clocks_are_read(zone: SetZone, where: str, text: str, utc: str) -> None:
    zone(where)
    assert read_time(text) == read_time(utc)


@pytest.mark.parametrize("name", ZONES)
def test_a_local_time_is_the_one_that_the_zone_has_or_refused_if_it_has_two(zone: SetZone, name: str) -> None:
    zone(name)

    @given(st.integers(946684800, 2240524800))  # 2000 to 2040
    def check(seconds: int) -> None:
        shown = read(datetime.fromtimestamp(seconds).isoformat())
        two = re.findall(r"\d{4}-\S+", shown) if isinstance(shown, str) else []
        assert shown == seconds or (len(two) == 2 and seconds in map(read_time, two)), shown

    check()


@pytest.mark.parametrize("name", [name for name in ZONES if "," not in name and name != "UTC0"])
def test_times_are_read_as_zoneinfo_reads_them(zone: SetZone, name: str) -> None:
    """zoneinfo is an independent implementation."""
    zone(name)
    rules = ZoneInfo(name)

    @given(st.datetimes(datetime(2005, 1, 1), datetime(2037, 1, 1)))
    def check(date: datetime) -> None:
        meant = {date.replace(microsecond=0, fold=fold, tzinfo=rules).timestamp() for fold in (0, 1)}
        shown = read(date.isoformat(timespec="seconds"))
        assert meant == {shown} or (len(meant) == 2 and "(local clocks" in str(shown)), shown

    check()


@given(text=st.text(max_size=30) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.,+Z -]{0,16}", fullmatch=True))
def test_any_text_is_a_time_or_refused_with_a_message(text: str) -> None:
    shown = read(text)
    assert isinstance(shown, int) or shown.startswith(("it must be a date", "it must be a time", "it must be an"))


@given(seconds=st.integers(1, LATEST_S - 1))
def test_every_time_that_is_shown_can_be_typed_where_clocks_show_utc(seconds: int) -> None:
    assert read_time(shown_time(seconds).replace("+00", "UTC")) == seconds


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (0.4, "0s"),
        (59, "59s"),
        (60, "1m"),
        (3599, "59m59s"),
        (3600, "1h"),
        (43198, "12h"),
        (90061, "1d1h1m"),
        (31 * 86400, "31d"),
        (3599.7, "1h"),
    ],
)
def test_a_duration_is_shown_in_the_units_that_can_be_typed(seconds: float, shown: str) -> None:
    assert shown_duration(seconds) == shown
    assert (shown_distance(seconds + 0.0), shown_distance(-3600)) == (f"{shown} from now", "1h ago")


@given(seconds=st.integers(1, 10**9))
def test_a_shown_duration_is_the_typed_one_to_the_minute(seconds: int) -> None:
    assert abs(read_duration(shown_duration(seconds)) - seconds) <= (0 if seconds < 3600 else 30)
