"""An emulated AWS with the lease function deployed by its own template: of a folder of tests, or of one module alone.

A module that imports the fixture `deployed` has a cloud of its own, because it changes what other tests rely on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from test.annex.site import Site
from test.cloud import Cloud

TEMPLATE = Path(__file__).resolve().parents[2] / "templates" / "template-3.json"


@contextmanager
def deployed_cloud() -> Iterator[tuple[Cloud, str]]:
    """Yield it and the function's ARN; its rules fire only when a test says so."""
    with Cloud(speed=0, termination_s=0.05, behaviour={"logs_late_s": 0.0, "update_s": 0.0}) as cloud:
        yield cloud, cloud.deploy_template(TEMPLATE)


@pytest.fixture(scope="module")
def deployed() -> Iterator[tuple[Cloud, str]]:
    with deployed_cloud() as made:
        yield made


@pytest.fixture
def as_new(site: Site) -> Iterator[None]:
    """AWS lists ended fleets for two days: those of earlier tests are forgotten; afterwards AWS behaves as at first."""
    for each in site.cloud.fleets():
        site.cloud.forget_fleet(str(each["id"]))
    site.cloud.clear_audit()
    yield
    site.cloud.behave_as_at_first()
