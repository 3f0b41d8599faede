"""One emulated AWS for all system tests, and a site for each module, which resets the cloud when it ends."""

from collections.abc import Iterator

import pytest

from test.cloud import Cloud
from test.system.site import Site


@pytest.fixture(scope="package")
def cloud() -> Iterator[Cloud]:
    with Cloud(speed=0, termination_s=0.5, behaviour={"logs_late_s": 0.0}) as cloud:  # rules fire on request only
        yield cloud


@pytest.fixture(scope="module")
def shared_site(cloud: Cloud, request: pytest.FixtureRequest) -> Iterator[Site]:
    """Run a site with the CONFIG of the module, if it has one."""
    with Site(cloud, getattr(request.module, "CONFIG", "")) as site:
        yield site


@pytest.fixture
def site(shared_site: Site) -> Site:
    """Return the module's site, without faults left by the test before."""
    shared_site.cloud.clear_faults()
    return shared_site
