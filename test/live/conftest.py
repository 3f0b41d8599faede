from __future__ import annotations

from collections.abc import Iterator

import pytest

from test.cloud import Cloud
from test.live.kit import SPEED


@pytest.fixture(scope="module")
def one_cloud() -> Iterator[Cloud]:
    with Cloud(speed=SPEED, termination_s=0.5, enforce_iam=True) as cloud:
        yield cloud


@pytest.fixture
def cloud(one_cloud: Cloud) -> Cloud:
    """Provide an empty account."""
    one_cloud.reset()
    return one_cloud
