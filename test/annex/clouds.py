"""An emulated AWS with the lease function deployed from its own template, for a folder of tests or a single module.

A module that changes what other tests rely on imports the fixture `deployed`, and so has a cloud of its own.
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
    """Run the cloud, and yield it with the function's ARN; its rules fire only when a test says so."""
    with Cloud(speed=0, termination_s=0.05, behaviour={"logs_late_s": 0.0, "update_s": 0.0}) as cloud:
        yield cloud, cloud.deploy_template(TEMPLATE)


@pytest.fixture(scope="module")
def deployed() -> Iterator[tuple[Cloud, str]]:
    with deployed_cloud() as made:
        yield made


@pytest.fixture
def as_new(site: Site) -> Iterator[None]:
    """Forget the fleets of earlier tests, which AWS lists for two days; reset the cloud's behaviour afterwards."""
    for each in site.cloud.fleets():
        site.cloud.forget_fleet(str(each["id"]))
    site.cloud.clear_audit()
    yield
    site.cloud.behave_as_at_first()
