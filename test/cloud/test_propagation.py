"""New roles, instance profiles and buckets become known to other services only after a delay."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud
from test.cloud.orders import ROLE, request, specification, until
from test.cloud.propagation import POWERLESS_ROLE, UNKNOWN_ROLE

NEVER_S = 1e6
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})


@pytest.fixture
def fresh(cloud: Cloud) -> Iterator[Cloud]:
    yield cloud
    cloud.behave(roles_late_s=0.0, profiles_late_s=0.0, buckets_late_s=0.0)


def refusal(cloud: Cloud, **more: Any) -> str:
    with pytest.raises(ClientError) as raised:
        request(cloud.client("ec2"), **more)
    error = raised.value.response["Error"]
    return f"{error['Code']}: {error['Message']}"


def test_a_fresh_role_is_unknown_to_spot_fleet_then_without_rights_and_then_known(fresh: Cloud) -> None:
    fresh.client("iam").create_role(RoleName=ROLE.rpartition("/")[2], AssumeRolePolicyDocument=TRUST)
    made_s = time.monotonic()
    fresh.behave(roles_late_s=NEVER_S)
    assert refusal(fresh) == f"InvalidSpotFleetRequestConfig: {UNKNOWN_ROLE}"

    def is_powerless() -> bool:
        """Send a request after more than half of the delay; on a loaded machine the delay may be over."""
        fresh.behave(roles_late_s=1.9 * (time.monotonic() - made_s))
        try:
            request(fresh.client("ec2"))
        except ClientError as error:
            return str(error.response["Error"]["Message"]) == POWERLESS_ROLE
        return False

    until("it is known, and without rights", is_powerless)
    fresh.behave(roles_late_s=(time.monotonic() - made_s) / 2)
    assert request(fresh.client("ec2")).startswith("sfr-")


def test_a_fresh_instance_profile_is_unknown_to_spot_fleet_and_then_known(fresh: Cloud) -> None:
    fresh.client("iam").create_instance_profile(InstanceProfileName="fresh")
    named = [specification(IamInstanceProfile={"Name": "fresh"})]
    fresh.behave(profiles_late_s=NEVER_S)
    assert refusal(fresh, LaunchSpecifications=named).endswith("Invalid IAM Instance Profile name")
    fresh.behave(profiles_late_s=0.0)
    assert request(fresh.client("ec2"), LaunchSpecifications=named).startswith("sfr-")


def test_a_fresh_bucket_takes_no_object_and_then_does(fresh: Cloud) -> None:
    s3 = fresh.client("s3")
    s3.create_bucket(Bucket="fresh-bucket")
    fresh.behave(buckets_late_s=NEVER_S)
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3.put_object(Bucket="fresh-bucket", Key="key", Body=b"")
    fresh.behave(buckets_late_s=0.0)
    s3.put_object(Bucket="fresh-bucket", Key="key", Body=b"")
