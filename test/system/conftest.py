"""One emulated AWS for all system tests; each site of a pool leaves it as new."""

from collections.abc import Iterator

import pytest

from test.cloud import Cloud


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    with Cloud(speed=0, termination_s=0.5, behaviour={"logs_late_s": 0.0}) as cloud:  # rules fire when a test says so
        yield cloud
