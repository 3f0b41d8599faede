"""The time zone that a test is in, as TZ says it to the C library and so to all that runs."""

import os
import time
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def zone() -> Iterator[Callable[[str], None]]:
    """A function that sets the zone."""
    before = os.environ.get("TZ")
    yield _set
    _set(before)


@pytest.fixture
def utc(zone: Callable[[str], None]) -> None:
    zone("UTC0")


def _set(name: str | None) -> None:
    if name is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = name
    time.tzset()
