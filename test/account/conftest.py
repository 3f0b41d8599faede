from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from test.account.kit import Account
from test.cloud import Cloud


@pytest.fixture(scope="package")
def one_cloud() -> Iterator[Cloud]:
    with Cloud(speed=0) as cloud:
        yield cloud


@pytest.fixture
def account(one_cloud: Cloud, tmp_path: Path) -> Account:
    """An account in which nothing is yet."""
    one_cloud.reset()
    return Account(one_cloud, tmp_path)
