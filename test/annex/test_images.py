"""Images that a request names by a Systems Manager parameter, and root volumes: annexd looks both up first."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from annexd.annex.fleet.images import MOST, resolved
from annexd.annex.request.order import FleetOrder
from annexd.aws import ClientCache, Credentials, Endpoints, SecretKey
from annexd.workflow import Retry
from test.annex.site import BYSTANDER, Site
from test.aws.endpoint import drips, endpoint
from test.replies import accepted

PUBLISHED = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
SECRET = "correct horse battery staple"


def specification(image: str, size_gib: int | None = None, **more: Any) -> dict[str, Any]:
    volume = {"BlockDeviceMappings": [{"DeviceName": "root", "Ebs": {"VolumeSize": size_gib}}]} if size_gib else {}
    return {"ImageId": image, "InstanceType": "m5.large", **volume, **more}


def order(site: Site, *specifications: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return dict(site.order(LaunchSpecifications=list(specifications), **changes))


def sent(site: Site) -> list[dict[str, Any]]:
    """Return the launch specifications of the only fleet."""
    [fleet] = site.live_fleets()
    return list(fleet["config"]["LaunchSpecifications"])


def published(site: Site) -> str:
    return str(site.cloud.client("ssm", BYSTANDER).get_parameter(Name=PUBLISHED)["Parameter"]["Value"])


def journaled(site: Site) -> FleetOrder:
    journal = site.journal()
    try:
        [state] = site.engine(journal).accepted()[1]
        found = state.order_as(FleetOrder)
        assert found is not None
        return found
    finally:
        journal.close()


@pytest.fixture
def parameter(site: Site) -> Iterator[Any]:
    """Yield a function that creates a parameter in the account; delete all these parameters afterwards."""
    ssm, made = site.cloud.client("ssm", BYSTANDER), []

    def make(name: str, value: str, kind: str = "String") -> str:
        ssm.put_parameter(Name=name, Value=value, Type=kind)
        made.append(name)
        return f"resolve:ssm:{name}"

    yield make
    for name in made:
        ssm.delete_parameter(Name=name)


def test_the_image_of_a_parameter_is_what_is_ordered_journaled_and_reported(site: Site) -> None:
    reply = order(site, specification(f"resolve:ssm:{PUBLISHED}"), specification("ami-0123456789abcdef0"))
    accepted(reply)
    images = [published(site), "ami-0123456789abcdef0"]
    assert [each["ImageId"] for each in sent(site)] == images
    assert [each["ImageId"] for each in journaled(site).config["LaunchSpecifications"]] == images
    assert f"the image is {images[0]}, the present value of {PUBLISHED}" in reply["Warning"]


def test_an_order_without_a_parameter_or_a_root_volume_asks_neither(site: Site) -> None:
    accepted(order(site, specification("ami-0123456789abcdef0")))
    assert {"GetParameter", "DescribeImages"} & set(site.operations()) == set()


def test_the_same_command_id_gets_the_image_of_its_first_order(site: Site, parameter: Any) -> None:
    """The parameter may name another image by then, but the ad is the same, and so is the reply."""
    image = parameter("/ours", "ami-0123456789abcdef0")
    same = {"CommandID": "alice-1", "EndOfLease": int(site.now_s()) + 3600}
    first = order(site, specification(image), **same)
    accepted(first)
    site.cloud.client("ssm", BYSTANDER).put_parameter(
        Name="/ours", Value="ami-0fedcba9876543210", Type="String", Overwrite=True
    )
    assert order(site, specification(image), **same)["BulkRequestID"] == first["BulkRequestID"]
    assert [each["ImageId"] for each in sent(site)] == ["ami-0123456789abcdef0"]


def test_a_version_of_a_parameter_may_be_named(site: Site, parameter: Any) -> None:
    image = parameter("/ours", "ami-0123456789abcdef0")
    site.cloud.client("ssm", BYSTANDER).put_parameter(
        Name="/ours", Value="ami-0fedcba9876543210", Type="String", Overwrite=True
    )
    accepted(order(site, specification(f"{image}:1")))
    assert [each["ImageId"] for each in sent(site)] == ["ami-0123456789abcdef0"]


def test_a_parameter_that_is_not_there_is_refused_before_anything_is_made(site: Site) -> None:
    reply = order(site, specification("resolve:ssm:/no/such"), CommandID="alice-1")
    assert reply["Result"] == "InvalidRequest"
    assert "ImageId: there is no parameter /no/such in us-east-1" in reply["ErrorString"]
    assert site.live_fleets() == []
    accepted(order(site, specification("ami-0123456789abcdef0"), CommandID="alice-1"))


@pytest.mark.parametrize("kind", ["String", "SecureString"])
def test_a_parameter_value_that_is_not_an_image_is_never_shown(site: Site, parameter: Any, kind: str) -> None:
    reply = order(site, specification(parameter("/secret", SECRET, kind)))
    assert reply["Result"] == "InvalidRequest"
    assert "the parameter /secret has a value that is not an image ID" in reply["ErrorString"]
    assert SECRET not in str(reply)


def test_keys_without_the_right_are_reported_with_its_name(site: Site) -> None:
    site.cloud.fault("GetParameter", "denied")
    reply = order(site, specification(f"resolve:ssm:{PUBLISHED}"))
    assert reply["Result"] == "Failure"
    assert "was denied to these credentials" in reply["ErrorString"]
    assert "templates/policies grants ssm:GetParameter" in reply["ErrorString"]


def test_a_look_that_has_no_answer_orders_nothing_and_says_so(site: Site) -> None:
    site.cloud.fault("GetParameter", "internal")
    reply = order(site, specification(f"resolve:ssm:{PUBLISHED}"), CommandID="alice-1")
    assert reply["Result"] == "Failure"
    assert "nothing was ordered: order again" in reply["ErrorString"]
    assert site.live_fleets() == []
    accepted(order(site, specification(f"resolve:ssm:{PUBLISHED}"), CommandID="alice-1"))


def test_a_root_volume_has_the_name_that_its_image_gives_it(site: Site) -> None:
    """Another name would add a second volume to a root volume of the image's size."""
    images = {each["RootDeviceName"]: each for each in site.cloud.client("ec2", BYSTANDER).describe_images()["Images"]}
    assert {"/dev/xvda", "/dev/sda1"} <= images.keys()
    accepted(order(site, *(specification(images[name]["ImageId"], 60) for name in ("/dev/xvda", "/dev/sda1"))))
    assert [each["BlockDeviceMappings"][0]["DeviceName"] for each in sent(site)] == ["/dev/xvda", "/dev/sda1"]
    assert [each["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] for each in sent(site)] == [60, 60]


def test_a_root_volume_of_an_image_by_a_parameter_too(site: Site) -> None:
    accepted(order(site, specification(f"resolve:ssm:{PUBLISHED}", 60)))
    [only] = sent(site)
    assert (only["ImageId"], only["BlockDeviceMappings"][0]["DeviceName"]) == (published(site), "/dev/xvda")


def test_a_root_volume_that_is_too_small_and_an_image_that_is_not_there_are_refused(site: Site) -> None:
    reply = order(site, specification(f"resolve:ssm:{PUBLISHED}", 1), specification("ami-0123456789abcdef0", 60))
    assert reply["Result"] == "InvalidRequest"
    assert f"VolumeSize is 1, and the root volume of {published(site)} has" in reply["ErrorString"]
    assert "ImageId: this account sees no image ami-0123456789abcdef0 in us-east-1" in reply["ErrorString"]
    assert site.live_fleets() == []


def test_a_request_is_looked_up_for_a_bounded_number_of_images(site: Site) -> None:
    reply = order(site, *(specification(f"resolve:ssm:/image/{number}") for number in range(11)))
    assert reply["Result"] == "InvalidRequest"
    assert "at most 10 images can be looked up" in reply["ErrorString"]
    assert "GetParameter" not in site.operations()


def test_an_endpoint_that_never_ends_its_answers_costs_one_bounded_wait_for_all_images() -> None:
    gone = threading.Event()
    with endpoint(drips(b"HTTP/1.1 200 OK\r\nX-Header: ", 0.05, gone)) as url:
        keys = Credentials("AKIAALICE", SecretKey("alice's"))
        clients = ClientCache().clients(keys, Endpoints("us-east-1", url, url, ssm_url=url))
        _ = clients.ssm  # so the service model is read first
        ad = {"LaunchSpecifications": [specification(f"resolve:ssm:/image/{number}") for number in range(MOST)]}
        began_s = time.monotonic()
        with pytest.raises(Retry, match="nothing was ordered: order again"):
            resolved(ad, lambda: clients, look_s=1.0)
        gone.set()
        assert time.monotonic() - began_s < 30


@pytest.mark.parametrize("image", ["ssm:/ours", "resolve:ssm:", "resolve:ssm:/a b", "resolve:secretsmanager:x"])
def test_another_spelling_is_refused_with_the_right_one(site: Site, image: str) -> None:
    reply = order(site, specification(image))
    assert "LaunchSpecifications[0].ImageId must be resolve:ssm:PARAMETER" in reply["ErrorString"]
