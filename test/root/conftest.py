"""One emulated AWS for the tests of a pool started by root."""

from collections.abc import Iterator

import pytest

from test.cloud import Cloud


@pytest.fixture(scope="package")
def cloud() -> Iterator[Cloud]:
    with Cloud(speed=0, termination_s=0.5) as cloud:
        yield cloud
