"""A journal on a real disk, and a world to act on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from annexd.workflow import Journal
from test.workflow.world import World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "command_state"


@pytest.fixture
def journal(path: Path, world: World) -> Iterator[Journal]:
    journal = Journal(path, now_s=world.clock)
    yield journal
    journal.close()
