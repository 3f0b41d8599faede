"""A cloud for each module of this folder in which annexes live: AWS lists ended fleets for two days."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from test.annex.conftest import TEMPLATE
from test.annex.site import Site
from test.cloud import Cloud


@pytest.fixture(scope="module")
def deployed() -> Iterator[tuple[Cloud, str]]:
    with Cloud(speed=0, termination_s=0.05, behaviour={"logs_late_s": 0.0}) as cloud:
        yield cloud, cloud.deploy_template(TEMPLATE)


@pytest.fixture
def site(deployed: tuple[Cloud, str], tmp_path: Path) -> Iterator[Site]:
    site = Site(*deployed, tmp_path)
    site.clean()
    yield site
    site.clean()
