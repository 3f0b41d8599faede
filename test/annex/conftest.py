"""One emulated AWS for all tests of this folder, with the lease function deployed by its own template."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from test.annex.site import Site
from test.cloud import Cloud

TEMPLATE = Path(__file__).resolve().parents[2] / "templates" / "template-3.json"


@pytest.fixture(scope="session")
def deployed() -> Iterator[tuple[Cloud, str]]:
    """Its rules fire only when a test says so."""
    with Cloud(speed=0, termination_s=0.05) as cloud:
        yield cloud, cloud.deploy_template(TEMPLATE)


@pytest.fixture
def site(deployed: tuple[Cloud, str], tmp_path: Path) -> Iterator[Site]:
    site = Site(*deployed, tmp_path)
    site.clean()
    yield site
    site.clean()
