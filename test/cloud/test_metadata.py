"""The metadata service of an instance: version 2, the instance's own data, and notices."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from test.cloud import Cloud
from test.cloud.orders import request, specification

TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"


def ask(url: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=named, method=method)) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def session(url: str, ttl_s: str = "60") -> str:
    status, token = ask(f"{url}latest/api/token", "PUT", **{TTL: ttl_s})
    assert status == 200
    return token


def get(url: str, path: str) -> tuple[int, str]:
    return ask(f"{url}latest/{path}", **{TOKEN: session(url)})


@pytest.fixture
def url(cloud: Cloud) -> str:
    options = {"InstanceMetadataTags": "enabled"}
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "htcondor:annex-id", "Value": "annex-1"}]}]
    spec = specification(MetadataOptions=options, TagSpecifications=tags, UserData="aGVsbG8=")
    ec2 = cloud.client("ec2")
    ec2.create_launch_template(LaunchTemplateName="machines", LaunchTemplateData=spec)
    template = {"LaunchTemplateSpecification": {"LaunchTemplateName": "machines", "Version": "1"}}
    request(ec2, LaunchSpecifications=[], LaunchTemplateConfigs=[template])
    return cloud.metadata_url(cloud.running_instances()[0]["id"])


def test_the_metadata_service_answers_only_with_its_own_token(cloud: Cloud, url: str) -> None:
    request(cloud.client("ec2"))
    other = cloud.metadata_url(cloud.running_instances()[1]["id"])
    page = f"{url}latest/meta-data/instance-id"
    assert ask(page)[0] == 401
    assert ask(page, **{TOKEN: "made up"})[0] == 401
    assert ask(page, **{TOKEN: session(other)})[0] == 401
    assert ask(page, **{TOKEN: session(url)})[0] == 200


@pytest.mark.parametrize("ttl", ["", "0", "21601", "-1", "x"])
def test_a_token_lives_between_a_second_and_six_hours(url: str, ttl: str) -> None:
    assert ask(f"{url}latest/api/token", "PUT", **{TTL: ttl})[0] == 400
    assert ask(f"{url}latest/api/token", "GET")[0] == 405
    assert ask(f"{url}latest/api/token", "PUT", X_Forwarded_For="10.0.0.1", **{TTL: "60"})[0] == 403


def test_an_instance_learns_who_and_where_it_is(cloud: Cloud, url: str) -> None:
    instance_id = cloud.running_instances()[0]["id"]
    assert get(url, "meta-data/instance-id") == (200, instance_id)
    assert get(url, "meta-data/placement/region") == (200, "us-east-1")
    assert get(url, "user-data") == (200, "hello")
    document = json.loads(get(url, "dynamic/instance-identity/document")[1])
    assert (document["instanceId"], document["region"]) == (instance_id, "us-east-1")
    assert get(url, "meta-data/tags/instance/htcondor:annex-id") == (200, "annex-1")
    assert get(url, "meta-data/placement/")[1].splitlines() == ["availability-zone", "region"]
    assert get(url, "meta-data/nothing")[0] == 404


def test_tags_are_hidden_unless_they_are_enabled_and_a_role_is_there_only_with_a_profile(cloud: Cloud) -> None:
    request(cloud.client("ec2"))
    url = cloud.metadata_url(cloud.running_instances()[0]["id"])
    assert get(url, "meta-data/tags/instance/")[0] == 404
    assert get(url, "meta-data/iam/info")[0] == 404


def test_an_instance_that_has_ended_asks_nobody(cloud: Cloud, url: str) -> None:
    cloud.client("ec2").terminate_instances(InstanceIds=[cloud.running_instances()[0]["id"]])
    assert ask(f"{url}latest/api/token", "PUT", **{TTL: "60"})[0] == 404


def test_faults_and_the_audit_know_what_instances_ask(cloud: Cloud, url: str) -> None:
    cloud.fault("PutToken", "error", code="-", status=503)
    assert ask(f"{url}latest/api/token", "PUT", **{TTL: "60"})[0] == 503
    session(url)
    assert [(each["operation"], each.get("status")) for each in cloud.effects("metadata")] == [
        ("PutToken", None),
        ("PutToken", 200),
    ]


def test_a_notice_is_there_once_aws_announces_it_and_404_before(cloud: Cloud, url: str) -> None:
    page, response = "meta-data/spot/instance-action", '{"action": "terminate", "time": "2017-09-18T08:22:00Z"}'
    instance_id = cloud.running_instances()[0]["id"]
    assert get(url, page)[0] == 404
    cloud.announce(instance_id, interruption=response)
    assert (get(url, page), get(url, "meta-data/events/recommendations/rebalance")[0]) == ((200, response), 404)
    cloud.announce(instance_id, interruption=None)
    assert get(url, page)[0] == 404
