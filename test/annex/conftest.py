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
    with Cloud(speed=0, termination_s=0.05, behaviour={"logs_late_s": 0.0}) as cloud:
        arn = cloud.deploy_template(TEMPLATE)
        _have_read_the_models(cloud, arn)
        yield cloud, arn


def _have_read_the_models(cloud: Cloud, arn: str) -> None:
    """The first call of a service takes longer than these tests' annexd waits for an answer."""
    cloud.client("lambda").get_function(FunctionName=arn)
    cloud.client("events").list_rules()
    cloud.client("logs").describe_log_groups()
    cloud.client("ec2").describe_spot_fleet_requests()
    cloud.client("s3").list_buckets()
    cloud.client("iam").list_roles()


@pytest.fixture
def site(deployed: tuple[Cloud, str], tmp_path: Path) -> Iterator[Site]:
    site = Site(*deployed, tmp_path)
    site.clean()
    yield site
    site.clean()
