from __future__ import annotations

from collections.abc import Iterator

import pytest

from test.cloud import Cloud


@pytest.fixture(scope="session")
def one_cloud() -> Iterator[Cloud]:
    with Cloud(speed=0) as cloud:
        yield cloud


@pytest.fixture
def cloud(one_cloud: Cloud) -> Cloud:
    """As new for every test."""
    one_cloud.reset()
    return one_cloud
