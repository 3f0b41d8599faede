"""One emulated AWS for all system tests, and a site for each module; each site of a pool leaves the cloud as new."""

from collections.abc import Iterator

import pytest

from test.cloud import Cloud
from test.system.site import Site


@pytest.fixture(scope="package")
def cloud() -> Iterator[Cloud]:
    with Cloud(speed=0, termination_s=0.5, behaviour={"logs_late_s": 0.0}) as cloud:  # rules fire when a test says so
        yield cloud


@pytest.fixture(scope="module")
def shared_site(cloud: Cloud, request: pytest.FixtureRequest) -> Iterator[Site]:
    """With the CONFIG of the module, where it has one."""
    with Site(cloud, getattr(request.module, "CONFIG", "")) as site:
        yield site


@pytest.fixture
def site(shared_site: Site) -> Site:
    """The module's, with no faults left over from the test before."""
    shared_site.cloud.clear_faults()
    return shared_site
