"""AWS shows cancelled requests for two days, so annexd reads page after page and finds a fleet on any of them."""

from pathlib import Path

from annexd.aws import ClientCache, answers
from test.annex.ads import SPECIFICATION
from test.annex.clouds import deployed_cloud
from test.annex.site import Site

PAGE = answers.PAGE["describe_spot_fleet_requests"]["MaxResults"]
OTHERS = {
    "IamFleetRole": "arn:aws:iam::123456789012:role/fleet",
    "TargetCapacity": 1,
    "Type": "request",
    "LaunchSpecifications": [SPECIFICATION],
}


def test_a_fleet_beyond_the_first_page_is_found_and_ended(tmp_path: Path) -> None:
    with deployed_cloud() as (cloud, arn):
        site = Site(cloud, arn, tmp_path)
        site.cache = ClientCache(read_timeout=20)  # these pages are large
        ec2 = cloud.client("ec2")
        others = [ec2.request_spot_fleet(SpotFleetRequestConfig=OTHERS)["SpotFleetRequestId"] for _ in range(PAGE + 1)]
        for first in range(0, len(others), 100):
            ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=others[first : first + 100], TerminateInstances=True)
        site.beat()
        cloud.fault("RequestSpotFleet", "reset", times=1, when="after")
        cloud.fault("RequestSpotFleet", "denied", times=1000)
        assert site.order()["Result"] == "Failure"
        cloud.clear_faults()
        site.check_nothing_left()
