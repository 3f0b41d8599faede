"""IAM enforcement in every service that annexd calls: keys, signatures, time and policies decide."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud
from test.cloud.orders import allow, fleet_config, of, policy, request, specification

ACCOUNT = "arn:aws:iam::123456789012"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})


@pytest.fixture
def cloud(enforcing: Cloud) -> Cloud:
    return enforcing


CALLS: dict[str, Callable[[Any], Any]] = {
    "ec2": lambda client: client.describe_instances(),
    "events": lambda client: client.list_rules(),
    "lambda": lambda client: client.list_functions(),
    "s3": lambda client: client.list_buckets(),
    "iam": lambda client: client.list_roles(),
    "cloudformation": lambda client: client.describe_stacks(),
}


def code_of(call: Callable[[Any], Any], client: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as refusal:
        call(client)
    answered = refusal.value.response
    return answered["ResponseMetadata"]["HTTPStatusCode"], answered["Error"]["Code"]


@pytest.mark.parametrize(
    ("service", "denied", "unknown", "unsigned", "late"),
    [
        ("ec2", (403, "UnauthorizedOperation"), (401, "AuthFailure"), (401, "AuthFailure"), (400, "RequestExpired")),
        (
            "events",
            (400, "AccessDeniedException"),
            (400, "UnrecognizedClientException"),
            (400, "InvalidSignatureException"),
            (400, "InvalidSignatureException"),
        ),
        (
            "lambda",
            (403, "AccessDeniedException"),
            (403, "UnrecognizedClientException"),
            (403, "InvalidSignatureException"),
            (403, "InvalidSignatureException"),
        ),
        (
            "s3",
            (403, "AccessDenied"),
            (403, "InvalidAccessKeyId"),
            (403, "SignatureDoesNotMatch"),
            (403, "RequestTimeTooSkewed"),
        ),
        (
            "iam",
            (403, "AccessDenied"),
            (403, "InvalidClientTokenId"),
            (403, "SignatureDoesNotMatch"),
            (403, "SignatureDoesNotMatch"),
        ),
        (
            "cloudformation",
            (403, "AccessDenied"),
            (403, "InvalidClientTokenId"),
            (403, "SignatureDoesNotMatch"),
            (403, "SignatureDoesNotMatch"),
        ),
    ],
)
def test_each_service_refuses_in_its_own_words(
    cloud: Cloud, service: str, denied: Any, unknown: Any, unsigned: Any, late: Any
) -> None:
    nobody, alice = cloud.user("nobody"), cloud.user("alice", policy(allow("*")))
    call = CALLS[service]
    call(of(cloud, alice, service))
    assert code_of(call, of(cloud, nobody, service)) == denied
    assert code_of(call, of(cloud, ("AKIANOBODYSKEY000000", "secret"), service)) == unknown
    assert code_of(call, of(cloud, (alice[0], "not hers"), service)) == unsigned
    cloud.set_clock_ahead(1000)
    assert code_of(call, of(cloud, alice, service)) == late


def test_an_inactive_or_deleted_key_is_refused(cloud: Cloud) -> None:
    alice = cloud.user("alice", policy(allow("ec2:DescribeInstances")))
    iam, ec2 = cloud.client("iam"), of(cloud, alice, "ec2")
    ec2.describe_instances()
    iam.update_access_key(UserName="alice", AccessKeyId=alice[0], Status="Inactive")
    assert code_of(CALLS["ec2"], ec2) == (401, "AuthFailure")
    iam.update_access_key(UserName="alice", AccessKeyId=alice[0], Status="Active")
    ec2.describe_instances()
    iam.delete_access_key(UserName="alice", AccessKeyId=alice[0])
    assert code_of(CALLS["ec2"], ec2) == (401, "AuthFailure")


def test_a_permission_is_for_its_resource_only(cloud: Cloud) -> None:
    own = "arn:aws:events:us-east-1:123456789012:rule/annex-*"
    events = of(cloud, cloud.user("alice", policy(allow("events:PutRule", own))), "events")
    events.put_rule(Name="annex-1", ScheduleExpression="rate(5 minutes)")
    with pytest.raises(ClientError, match=r"events:PutRule on resource: .*:rule/other because no identity-based"):
        events.put_rule(Name="other", ScheduleExpression="rate(5 minutes)")


def test_a_caller_of_request_spot_fleet_needs_run_instances_and_both_roles_passed_to_ec2_and_to_spot_fleet(
    cloud: Cloud,
) -> None:
    iam = cloud.client("iam")
    iam.create_role(RoleName="machines", AssumeRolePolicyDocument=TRUST)
    iam.create_instance_profile(InstanceProfileName="machines")
    iam.add_role_to_instance_profile(InstanceProfileName="machines", RoleName="machines")
    config = fleet_config(LaunchSpecifications=[specification(IamInstanceProfile={"Name": "machines"})])
    may = [allow("ec2:RequestSpotFleet")]
    missing = [("ec2:RunInstances", "*", allow("ec2:RunInstances"))]
    for role in ("role/fleet", "role/machines"):
        for service in ("ec2.amazonaws.com", "spotfleet.amazonaws.com"):
            to_service = {"StringEquals": {"iam:PassedToService": service}}
            grant = allow("iam:PassRole", f"{ACCOUNT}:{role}", Condition=to_service)
            missing.append(("iam:PassRole", f"{ACCOUNT}:{role}", grant))
    for number, (action, resource, grant) in enumerate(missing):
        ec2 = of(cloud, cloud.user(f"user-{number}", policy(*may)), "ec2")
        with pytest.raises(ClientError, match=re.escape(f"{action} on resource: {resource}")):
            ec2.request_spot_fleet(SpotFleetRequestConfig=config)
        may.append(grant)
    of(cloud, cloud.user("last", policy(*may)), "ec2").request_spot_fleet(SpotFleetRequestConfig=config)


def test_tags_of_a_fleet_need_create_tags_on_everything_and_those_of_its_instances_for_the_launch(
    cloud: Cloud,
) -> None:
    tags = [{"Key": "htcondor:annex-id", "Value": "annex-1"}]
    config = fleet_config(
        LaunchSpecifications=[specification(TagSpecifications=[{"ResourceType": "instance", "Tags": tags}])],
        TagSpecifications=[{"ResourceType": "spot-fleet-request", "Tags": tags}],
    )
    may = [allow(action) for action in ("ec2:RequestSpotFleet", "ec2:RunInstances", "iam:PassRole")]
    narrow = allow("ec2:CreateTags", "arn:aws:ec2:*:*:spot-fleet-request/*")
    refused = of(cloud, cloud.user("narrow", policy(*may, narrow)), "ec2")
    with pytest.raises(ClientError, match="ec2:CreateTags"):
        refused.request_spot_fleet(SpotFleetRequestConfig=config)
    for number, actions in enumerate((["RequestSpotFleet"], ["RequestSpotFleet", "RunInstances"])):
        grant = allow("ec2:CreateTags", Condition={"StringEquals": {"ec2:CreateAction": actions}})
        ec2 = of(cloud, cloud.user(f"tagger-{number}", policy(*may, grant)), "ec2")
        if number == 0:
            with pytest.raises(ClientError, match="ec2:CreateTags"):
                ec2.request_spot_fleet(SpotFleetRequestConfig=config)
        else:
            ec2.request_spot_fleet(SpotFleetRequestConfig=config)


def test_a_condition_on_an_instances_tags_counts(cloud: Cloud) -> None:
    request(cloud.client("ec2"))
    [instance] = cloud.running_instances()

    def terminate(wanted: str) -> None:
        condition = {"StringLike": {"ec2:ResourceTag/aws:ec2spot:fleet-request-id": wanted}}
        own = policy(allow("ec2:TerminateInstances", Condition=condition))
        key = cloud.user(f"user-of-{wanted.strip('*')}", own)
        of(cloud, key, "ec2").terminate_instances(InstanceIds=[instance["id"]])

    with pytest.raises(ClientError, match="ec2:TerminateInstances"):
        terminate("other-*")
    terminate("sfr-*")


def test_only_users_who_may_list_the_bucket_learn_that_an_object_is_missing(cloud: Cloud) -> None:
    cloud.client("s3").create_bucket(Bucket="bucket")
    read = allow("s3:GetObject", "arn:aws:s3:::bucket/*")
    reader = cloud.user("reader", policy(read))
    lister = cloud.user("lister", policy(read, allow("s3:ListBucket", "arn:aws:s3:::bucket")))

    def get(client: Any) -> Any:
        return client.get_object(Bucket="bucket", Key="missing")

    assert code_of(get, of(cloud, reader, "s3")) == (403, "AccessDenied")
    assert code_of(get, of(cloud, lister, "s3")) == (404, "NoSuchKey")


def test_a_bucket_policy_is_judged_with_its_conditions(cloud: Cloud) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="key", Body=b"content")
    alice = of(cloud, cloud.user("alice", policy(allow("s3:GetObject"))), "s3")
    for condition in ({"Bool": {"aws:SecureTransport": "false"}}, {"StringEquals": {"aws:username": "bob"}}):
        deny = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": "arn:aws:s3:::bucket/*",
            "Condition": condition,
        }
        s3.put_bucket_policy(Bucket="bucket", Policy=json.dumps(policy(deny)))
        assert alice.get_object(Bucket="bucket", Key="key")["Body"].read() == b"content"
    deny["Condition"] = {"StringEquals": {"aws:username": "alice"}}
    s3.put_bucket_policy(Bucket="bucket", Policy=json.dumps(policy(deny)))
    with pytest.raises(ClientError, match="with an explicit deny"):
        alice.get_object(Bucket="bucket", Key="key")


def test_a_session_of_a_role_has_the_roles_permissions_until_it_expires(cloud: Cloud) -> None:
    iam, sts = cloud.client("iam"), cloud.client("sts")
    role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    session = sts.assume_role(RoleArn=role, RoleSessionName="one", DurationSeconds=900)["Credentials"]
    given = (session["AccessKeyId"], 1, session["SecretAccessKey"], session["SessionToken"])
    assert code_of(CALLS["ec2"], cloud.client("ec2", *given)) == (403, "UnauthorizedOperation")
    iam.put_role_policy(RoleName="reader", PolicyName="p", PolicyDocument=json.dumps(policy(allow("ec2:Describe*"))))
    cloud.client("ec2", *given).describe_instances()
    assert code_of(CALLS["ec2"], cloud.client("ec2", *given[:3], "another token"))[0] == 401
    cloud.set_clock_ahead(1000)
    assert code_of(CALLS["ec2"], cloud.client("ec2", *given)) == (400, "RequestExpired")


def test_a_function_runs_with_its_roles_permissions_and_no_more(cloud: Cloud) -> None:
    """The lease function from its template ends an annex with only its role's permissions."""
    from test.cloud.cloud import TOP

    cloud.deploy_template(TOP / "templates" / "template-3.json")
    token = f"annex-1_{int(time.time()) - 1}_0123456789abcdef"
    request(cloud.client("ec2"), ClientToken=token, Type="request")
    cloud.tick()
    assert cloud.running_instances() == []
    [ended] = cloud.effects("function ended")
    assert not ended["errored"], ended["log"]


def test_the_audit_shows_refused_calls(cloud: Cloud) -> None:
    alice = cloud.user("alice")
    code_of(CALLS["s3"], of(cloud, alice, "s3"))
    [call] = cloud.calls("ListBuckets")
    assert (call["access_key_id"], call["status"]) == (alice[0], 403)
    assert "s3:ListAllMyBuckets" in call["error"]


def test_without_enforcement_any_key_does_everything(one_cloud: Cloud) -> None:
    of(one_cloud, ("AKIAANYBODY000000000", "any"), "ec2").describe_instances()
