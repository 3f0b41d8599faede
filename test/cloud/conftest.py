from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from test.cloud import Cloud
from test.cloud.booting import Pool, booting


@pytest.fixture(scope="package")
def one_cloud() -> Iterator[Cloud]:
    with Cloud(speed=0) as cloud:
        yield cloud


@pytest.fixture(scope="package")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the machines that boot."""
    return tmp_path_factory.mktemp("machines")


@pytest.fixture(scope="package")
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    pool.close()


@pytest.fixture(scope="package")
def one_enforcing_cloud(machines: Path, pool: Pool) -> Iterator[Cloud]:
    with Cloud(speed=0, enforce_iam=True, boot=booting(pool, machines)) as cloud:
        yield cloud


@pytest.fixture
def enforcing(one_enforcing_cloud: Cloud) -> Cloud:
    """Reset the cloud for every test; IAM is enforced, and instances of BOOTS boot for real."""
    one_enforcing_cloud.reset()
    return one_enforcing_cloud


@pytest.fixture
def cloud(one_cloud: Cloud) -> Cloud:
    """Reset the cloud for every test."""
    one_cloud.reset()
    return one_cloud
