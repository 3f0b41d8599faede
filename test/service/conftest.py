"""A cloud for each module of this folder that has annexes, since AWS lists ended fleets for two days."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from test.annex.clouds import deployed
from test.annex.site import Site
from test.cloud import Cloud

__all__ = ["deployed"]


@pytest.fixture
def site(deployed: tuple[Cloud, str], tmp_path: Path) -> Iterator[Site]:
    site = Site(*deployed, tmp_path)
    site.clean()
    yield site
    site.clean()
