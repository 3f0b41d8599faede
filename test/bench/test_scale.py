"""A short form of `make bench ARGS=scale`: counts of calls, which are the same on every machine."""

import math
from collections import Counter
from collections.abc import Iterator

import pytest

from annexd.aws.answers import PAGE
from test.bench.scale import Scale, rates
from test.cloud import Cloud
from test.system.site import Site

ANNEXES, MACHINES_EACH = 40, 10
QUESTIONS, LOOKS = 5, 2
CONFIG = "ANNEXD_RECONCILE_INTERVAL = 5"


@pytest.fixture(scope="module")
def scale() -> Iterator[Scale]:
    with Cloud(speed=0) as cloud, Site(cloud, CONFIG) as site:
        scale = Scale(site, ANNEXES, MACHINES_EACH)
        scale.wait_until_seen()
        yield scale


def pages(operation: str, rows: int) -> int:
    [size] = PAGE[operation].values()
    return math.ceil(rows / size)


def test_questions_of_users_cost_no_call_to_aws_and_a_look_costs_pages_not_annexes(scale: Scale) -> None:
    def work() -> None:
        for _ in range(QUESTIONS):
            scale.command_s("-status")
            scale.command_s("-status", scale.annexes[0])
            scale.command_s("-wait", scale.annexes[0])
        scale.site.wait(lambda: len(scale.site.cloud.calls("DescribeFleets")) >= LOOKS, "looks at AWS")

    use = scale.use_of(work)
    found = Counter(operation for _, operation, _ in use.calls)
    assert found.pop("DescribeSpotPriceHistory", 0) <= 1, "for the costs of all annexes"
    seen = found["DescribeFleets"]  # one page per poll
    assert set(found) == {"DescribeFleets", "DescribeSpotFleetRequests", "DescribeInstances"}
    for operation, method, rows in (
        ("DescribeSpotFleetRequests", "describe_spot_fleet_requests", ANNEXES),
        ("DescribeInstances", "describe_instances", ANNEXES * MACHINES_EACH),
    ):
        assert found[operation] <= (seen + 1) * pages(method, rows), found
    assert all(rate.of_burst < 0.5 for rate in rates(use)), rates(use)


def test_status_counts_the_machines_of_each_annex(scale: Scale) -> None:
    annexes = scale.status()
    assert {annex["AnnexID"] for annex in annexes} == set(scale.annexes)
    assert {(annex["Joined"], annex["Claimed"]) for annex in annexes} == {(MACHINES_EACH, MACHINES_EACH // 2)}
