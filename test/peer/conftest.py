from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from test.histories.catalog import HistoryRunner
from test.peer.account import Account


@pytest.fixture(scope="package")
def runner() -> Iterator[HistoryRunner]:
    with HistoryRunner() as runner:
        yield runner


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with Account(tmp_path) as account:
        yield account
