"""An emulated AWS for all tests in this folder, with the lease function deployed from its own template."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from test.annex.clouds import deployed_cloud
from test.annex.joining import BUCKET, defaults
from test.annex.priced import DAY_S, LISTS
from test.annex.site import BYSTANDER, Site
from test.cloud import Cloud


@pytest.fixture(scope="package")
def deployed() -> Iterator[tuple[Cloud, str]]:
    with deployed_cloud() as (cloud, arn):
        _have_read_the_models(cloud, arn)
        yield cloud, arn


def _have_read_the_models(cloud: Cloud, arn: str) -> None:
    """Call each service once: the first call takes longer than annexd waits with HANG_TIMEOUT_S."""
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
    site.cloud.clear_faults()


@pytest.fixture
def priced(site: Site) -> Iterator[Site]:
    """Yield a site whose cloud has prices for instances, volumes and addresses."""
    site.cloud.set_prices(spot={f"m5.large us-east-1{zone}": [] for zone in "ab"})
    site.cloud.set_prices(spot={"m5.large": [[-30 * DAY_S, 0.03]], "c5.xlarge": [[-30 * DAY_S, 0.06]]}, **LISTS)
    yield site
    site.cloud.set_quotas(L_34B43A08=256.0)
    site.cloud.set_prices(spot={"m5.large": [[-1, 0.01]], "c5.xlarge": [[-1, 0.01]]})


@pytest.fixture
def joined(site: Site) -> Iterator[Site]:
    """Yield a site with a bucket, whose annexes join a pool."""
    s3 = site.cloud.client("s3", BYSTANDER)
    s3.create_bucket(Bucket=BUCKET)
    site.defaults = defaults(s3_url=site.cloud.url)
    yield site
    site.cloud.clear_faults()
    for each in s3.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        s3.delete_object(Bucket=BUCKET, Key=each["Key"])
    s3.delete_bucket(Bucket=BUCKET)
