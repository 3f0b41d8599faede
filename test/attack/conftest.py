"""One emulated AWS for the pool that is attacked."""

from collections.abc import Iterator

import pytest

from test.cloud import Cloud


@pytest.fixture(scope="package")
def cloud() -> Iterator[Cloud]:
    with Cloud() as running:
        yield running
