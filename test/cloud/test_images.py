"""Systems Manager parameters that refer to images: the permission to read them, and fleets that do not accept them."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud
from test.cloud.orders import allow, fleet_config, of, policy, specification

PUBLISHED = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}"


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
def test_amazon_linux_is_published_for_each_architecture(cloud: Cloud, architecture: str) -> None:
    found = cloud.client("ssm").get_parameter(Name=PUBLISHED.format(architecture))["Parameter"]["Value"]
    [image] = cloud.client("ec2").describe_images(ImageIds=[found])["Images"]
    assert (image["Architecture"], image["RootDeviceName"]) == (architecture, "/dev/xvda")


def test_a_fleet_takes_no_parameter_in_place_of_an_image(cloud: Cloud) -> None:
    launch = specification(ImageId=f"resolve:ssm:{PUBLISHED.format('x86_64')}")
    with pytest.raises(ClientError, match="you must specify the AMI ID"):
        cloud.client("ec2").request_spot_fleet(SpotFleetRequestConfig=fleet_config(LaunchSpecifications=[launch]))


def test_a_published_parameter_needs_a_right_on_a_resource_without_an_account(enforcing: Cloud) -> None:
    own, published = ("arn:aws:ssm:*:123456789012:parameter/*", "arn:aws:ssm:*::parameter/aws/service/*")
    name = PUBLISHED.format("x86_64")
    for resource, may in ((own, False), (published, True)):
        ssm = of(enforcing, enforcing.user(f"user-{may}", policy(allow("ssm:GetParameter", resource))), "ssm")
        if may:
            assert ssm.get_parameter(Name=name)["Parameter"]["Value"].startswith("ami-")
            continue
        with pytest.raises(ClientError) as refusal:
            ssm.get_parameter(Name=name)
        assert refusal.value.response["Error"]["Code"] == "AccessDeniedException"
