"""Fixtures for the time zone of a test, which TZ sets in the C library and so for all code, and for completion."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from test.tool.completion import TOOLS


@pytest.fixture
def zone() -> Iterator[Callable[[str], None]]:
    """Yield a function that sets the zone, and restore the zone afterwards."""
    before = os.environ.get("TZ")
    yield _set
    _set(before)


@pytest.fixture
def utc(zone: Callable[[str], None]) -> None:
    zone("UTC0")


@pytest.fixture
def tools(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Yield an environment with stand-ins that print a pool's output, and a home with profiles."""
    for name, script in TOOLS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "config.json").touch()
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[default]\n[profile lab]\nregion = us-east-1\n[profile $(touch x)]\n")
    path = f"{tmp_path}:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(tmp_path), "PWNED": str(tmp_path / "pwned")}
    yield environment
    assert not (tmp_path / "pwned").exists()


def _set(name: str | None) -> None:
    if name is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = name
    time.tzset()
