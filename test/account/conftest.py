from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from annexd.account import enforcer, fresh, stack
from test.account.kit import Account
from test.cloud import Cloud


@pytest.fixture(scope="package", autouse=True)
def _patience() -> Iterator[None]:
    """Shorten all waits: no order is in progress unless a test starts one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enforcer, "CLOSING_S", 0.0)
        patch.setattr(enforcer, "PAUSE_S", 0.1)
        patch.setattr(fresh, "FRESH_S", 0.0)
        patch.setattr(enforcer, "HEARTBEAT_S", 60.0)
        patch.setattr(stack, "LONGEST_PAUSE_S", stack.FIRST_PAUSE_S)
        yield


@pytest.fixture(scope="package")
def one_cloud() -> Iterator[Cloud]:
    with Cloud(speed=0, behaviour={"logs_late_s": 0.0}) as cloud:
        yield cloud


@pytest.fixture
def account(one_cloud: Cloud, tmp_path: Path) -> Account:
    """Return an empty account."""
    one_cloud.reset()
    return Account(one_cloud, tmp_path)
