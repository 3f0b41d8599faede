"""Refusals that AWS's messages leave ambiguous, and the next step."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from annexd.aws import errors
from test.aws.refusals import answer
from test.cloud import Cloud
from test.cloud.orders import request
from test.cloud.organization import POLICY

USER = "User: arn:aws:iam::123456789012:user/alice is not authorized to perform: ec2:RequestSpotFleet"
ENCODED = "Encoded authorization failure message: " + "aZ09-_" * 200


def described(message: str, code: str = "UnauthorizedOperation", operation: str = "RequestSpotFleet") -> str:
    return errors.describe(answer(code, 403, message), operation)


@pytest.mark.parametrize(
    ("reason", "policy"),
    [
        ("with an explicit deny in a service control policy", "(service control policy)"),
        (f"with an explicit deny in a service control policy: {POLICY}", f"(service control policy {POLICY})"),
        ("because no service control policy allows the ec2:RequestSpotFleet action", "(service control policy)"),
        ("with an explicit deny in a resource control policy", "(resource control policy)"),
    ],
)
def test_an_organizations_policy_is_named_with_who_can_change_it(reason: str, policy: str) -> None:
    wording = described(f"You are not authorized to perform this operation. {USER} {reason}. {ENCODED}")
    assert f"the organization of this account forbids it {policy}" in wording
    assert "CT.EC2.PV.6" in wording
    assert "to exempt this account" in wording
    assert "aZ09" not in wording
    assert "CT.EC2.PV.6" not in described(f"{USER} {reason}", operation="GetFunction")


@pytest.mark.parametrize(
    "reason",
    [
        "because no identity-based policy allows the ec2:RequestSpotFleet action",
        "with an explicit deny in an identity-based policy",
        "with an explicit deny in a permissions boundary",
    ],
)
def test_a_policy_of_the_account_itself_is_not_taken_for_the_organizations(reason: str) -> None:
    assert "organization" not in described(f"{USER} {reason}. {ENCODED}")


def test_a_denial_without_details_comes_with_how_to_decode_it() -> None:
    wording = described(f"You are not authorized to perform this operation. {ENCODED}")
    assert "condor_annex -check-setup" in wording
    assert "decode-authorization-message" in wording


def test_a_missing_default_vpc_is_reported_with_both_remedies() -> None:
    wording = described("No default VPC for this user", "VPCIdNotSpecified")
    assert "name a SubnetId in the file" in wording
    assert "-setup -vpc" in wording


@pytest.mark.parametrize("form", ["named", "arn", "encoded"])
def test_each_form_of_the_emulated_aws_is_understood(form: str) -> None:
    chosen = {"forbidden": ["ec2:RequestSpotFleet"], "control_policy_words": form}
    with Cloud(speed=0, behaviour=chosen) as cloud, pytest.raises(ClientError) as refused:
        request(cloud.client("ec2"))
    wording = errors.describe(refused.value, "RequestSpotFleet")
    assert ("decode-authorization-message" if form == "encoded" else "CT.EC2.PV.6") in wording
