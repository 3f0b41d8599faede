from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from test.cloud import Cloud
from test.instance.account import Account
from test.instance.machine import Machine


@pytest.fixture(scope="package")
def one_cloud() -> Iterator[Cloud]:
    with Cloud(speed=0, enforce_iam=True) as cloud:
        yield cloud


@pytest.fixture
def cloud(one_cloud: Cloud) -> Cloud:
    """Reset the cloud, which enforces IAM, for every test."""
    one_cloud.reset()
    return one_cloud


@pytest.fixture
def account(cloud: Cloud) -> Account:
    return Account(cloud)


@pytest.fixture
def machine(cloud: Cloud, tmp_path: Path) -> Iterator[Callable[[str], Machine]]:
    """Return the machine of an instance ID, always the same one for the same ID."""
    made: dict[str, Machine] = {}

    def machine_of(instance_id: str) -> Machine:
        if instance_id not in made:
            folder = tmp_path / instance_id
            folder.mkdir()
            made[instance_id] = Machine(folder, cloud, instance_id)
        return made[instance_id]

    yield machine_of
    for each in made.values():
        each.stop()
