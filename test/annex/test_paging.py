"""AWS shows cancelled requests for two days, 1,000 to a page: a fleet is found on any page."""

from pathlib import Path

from annexd.aws import ClientCache
from test.annex.ads import SPECIFICATION
from test.annex.conftest import TEMPLATE
from test.annex.site import Site
from test.cloud import Cloud

OTHERS = {
    "IamFleetRole": "arn:aws:iam::123456789012:role/fleet",
    "TargetCapacity": 1,
    "Type": "request",
    "LaunchSpecifications": [SPECIFICATION],
}


def test_a_fleet_beyond_the_first_page_is_found_and_ended(tmp_path: Path) -> None:
    with Cloud(speed=0, termination_s=0.05) as cloud:
        site = Site(cloud, cloud.deploy_template(TEMPLATE), tmp_path)
        site.cache = ClientCache(read_timeout=20)  # these pages are large
        ec2 = cloud.client("ec2")
        others = [ec2.request_spot_fleet(SpotFleetRequestConfig=OTHERS)["SpotFleetRequestId"] for _ in range(1001)]
        for first in range(0, len(others), 100):
            ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=others[first : first + 100], TerminateInstances=True)
        cloud.fault("RequestSpotFleet", "reset", times=1, when="after")
        cloud.fault("RequestSpotFleet", "denied", times=1000)
        assert site.order()["Result"] == "Failure"
        cloud.clear_faults()
        site.check_nothing_left()
