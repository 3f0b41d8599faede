"""A journal on a real disk, and a store to act on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from annexd.workflow import Journal
from test.workflow.store import Store


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "command_state"


@pytest.fixture
def journal(path: Path, store: Store) -> Iterator[Journal]:
    journal = Journal(path, now_s=store.clock)
    yield journal
    journal.close()
