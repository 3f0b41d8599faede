"""Provide one emulated AWS for the attacked pool."""

from collections.abc import Iterator

import pytest

from test.cloud import Cloud


@pytest.fixture(scope="package")
def cloud() -> Iterator[Cloud]:
    with Cloud() as running:
        yield running
