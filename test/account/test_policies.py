"""Test the three policies: everything works with them, and nothing more is allowed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from annexd.account.configuration import ConfigurationFile
from annexd.account.policies import (
    DAEMON,
    DOCUMENTS,
    DOCUMENTS_OF,
    ROLES,
    SETUP,
    USER,
    policies,
    policy,
)
from annexd.account.template import FUNCTION
from annexd.annex.lease.identifiers import leased_token
from annexd.annex.reconcile import Report, reconcile
from annexd.annex.reply import ReplyAd
from annexd.annex.request.order import FleetOrder
from annexd.tool.errors import ANNEXES_LIVE, CLOUD_FAILED, OK
from annexd.tool.options import MAX_STACK_NAME
from test.account.kit import STACK, TOP, Account, annex_of, contents, stack_is, wait_for
from test.account.planted import volumes_key
from test.annex.ads import SPECIFICATION
from test.annex.joining import defaults
from test.annex.site import Site
from test.cloud import Cloud
from test.cloud.orders import create_fleet
from test.cloud.policies import Need, judge

LONGEST_MANAGED_POLICY = 6144  # characters, without white space
# Allowed on *: each concerns several resources at once, all of one account.
# For RunInstances and CreateTags, see annexd/account/policies.py.
GROUPED = {
    "ec2:RequestSpotFleet",
    "ec2:CreateFleet",
    "ec2:RunInstances",
    "ec2:CreateTags",
    "servicequotas:GetServiceQuota",
    "servicequotas:GetAWSDefaultServiceQuota",
}
KNOWN = json.loads((resources.files("cfnlint.data") / "AdditionalSpecs" / "Policies.json").read_text())
TRIED = {  # by a DryRun, for which a refusal is a result, too
    SETUP: {"ec2:RequestSpotFleet", "ec2:CreateFleet", "ec2:CreateLaunchTemplate"},
    DAEMON: set(),
    USER: set(),
}
SPECIFICATION_OF_OWN = {"ImageId": "ami-12345678", "InstanceType": "m5.large"}
PUBLISHED = [  # an image that AWS publishes, with a root volume under the name "root"
    {
        "ImageId": "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
        "InstanceType": "m5.large",
        "BlockDeviceMappings": [{"DeviceName": "root", "Ebs": {"VolumeSize": 30}}],
    }
]
AGENT = "cloudformation.amazonaws.com"
RIGHTS = {role: [each for name in names for each in DOCUMENTS[name]] for role, names in DOCUMENTS_OF.items()}
NEEDS_NO_RIGHT = {"sts:GetCallerIdentity"}


@dataclass(frozen=True)
class Lived:
    """The calls during the life of one account, from setup to teardown, and the exit statuses."""

    judged: list[tuple[str, str, str, dict[str, Any]]]
    audit: list[dict[str, Any]]
    keys: dict[str, tuple[str, str]]
    statuses: list[int]


@pytest.fixture(scope="module")
def enforcing() -> Iterator[Cloud]:
    with Cloud(
        speed=0, enforce_iam=True, behaviour={"logs_late_s": 0.0, "known_quotas": "changed", "console_late_s": 0.0}
    ) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def lived(enforcing: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """Set up, update, roll back, check, order, undo, reconcile, tear down, each with the policy of its role."""
    cloud = enforcing
    keys = {role: cloud.user(role, *policies(role, STACK)) for role in ROLES}
    account = as_user(Account(cloud, tmp_path_factory.mktemp("life")), keys[SETUP])
    statuses = [account.run("-setup").status]
    outdate(account)
    cloud.fault("UpdateFunctionConfiguration", "denied")  # the update fails,
    cloud.fault("PutRetentionPolicy", "denied", skip=1)  # and its rollback too
    account.run("-setup")
    statuses += [account.run("-setup").status, account.run("-check-setup").status]
    look_into_troubles(account)
    for role in (DAEMON, USER):
        site = site_of(account, keys[role])
        quote(site)
        replies = [order(site), order(site, LaunchSpecifications=PUBLISHED), *orders_by_ec2_fleet(site)]
        assert account.run("-teardown").status == ANNEXES_LIVE
        end_them(site, replies)
    leave_things_in_the_bucket(account)
    statuses.append(account.run("-teardown").status)
    return Lived(cloud.judged(), cloud.audit(), keys, statuses)


def as_user(account: Account, key: tuple[str, str]) -> Account:
    account.environment = {"AWS_ACCESS_KEY_ID": key[0], "AWS_SECRET_ACCESS_KEY": key[1]}
    return account


def look_into_troubles(account: Account) -> None:
    """Make -setup list the networks, and -check-setup inspect the volumes' key and decode a denial."""
    assert "VPC vpc-0123 not found" in account.run("-setup", "-vpc", "vpc-0123").err
    volumes_key(account)
    account.cloud.behave(forbidden=["ec2:CreateFleet"], control_policy_words="encoded")
    checks = [fault.partition(": ")[0] for fault in account.run("-check-setup").faults()]
    assert checks == ["volumes' key", "right to order"]
    account.cloud.behave(forbidden=[])


def outdate(account: Account) -> None:
    """Update the stack to an older template, in which all resources differ."""
    template = json.loads((TOP / "templates" / "annex.json").read_text())
    made = {name: resource["Properties"] for name, resource in template["Resources"].items()}
    made["LeaseLog"]["RetentionInDays"] = 30
    made["LeaseFunction"]["Timeout"] = 60
    made["LeaseRole"]["Policies"][0]["PolicyName"] = "Older"
    made["FleetRole"]["ManagedPolicyArns"] = []
    made["LeaseCalls"]["MaximumRetryAttempts"] = 2
    made["LeaseRule"]["Targets"][0].pop("RetryPolicy")
    made["Bucket"]["LifecycleConfiguration"]["Rules"][0]["ExpirationInDays"] = 40
    made["BucketPolicy"]["PolicyDocument"]["Statement"][0]["Action"] = "s3:GetObject"
    made["InstancePolicy"]["PolicyDocument"]["Statement"].pop()
    account.client("cloudformation").update_stack(
        StackName=STACK, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"]
    )
    wait_for(lambda: stack_is(account, "UPDATE_COMPLETE"), "the stack is an older one")


def site_of(account: Account, key: tuple[str, str]) -> Site:
    """Return an annexd with these keys and the configuration that -setup wrote."""
    knobs = ConfigurationFile(str(account.file)).settings()
    site = Site(account.cloud, knobs["ANNEX_DEFAULT_LEASE_FUNCTION_ARN"], account.folder / key[0])
    site.home.mkdir()
    site.keys = {"/home/alice/public": key[0].encode(), "/home/alice/secret": key[1].encode()}
    site.defaults = replace(
        defaults(s3_url=account.cloud.url, s3_bucket=knobs["ANNEX_DEFAULT_S3_BUCKET"]),
        instance_profile_arn=knobs["ANNEX_DEFAULT_INSTANCE_PROFILE_ARN"],
        security_group_id=knobs["ANNEX_DEFAULT_SECURITY_GROUP_ID"],
        fleet_role_arn=knobs["ANNEX_DEFAULT_FLEET_ROLE_ARN"],
    )
    return site


def order(site: Site, **changes: Any) -> ReplyAd:
    reply = site.order(IamFleetRole=None, **changes)
    assert reply["Result"] == "Success", reply
    return reply


def quote(site: Site) -> None:
    """Quote an order in a subnet, with an instance type that has no quota entry in the account."""
    subnet = site.cloud.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    specification = {"ImageId": "ami-03cf127a", "InstanceType": "g4dn.xlarge", "SubnetId": subnet}
    reply = site.quote(IamFleetRole=None, SpotPrice=None, LaunchSpecifications=[specification])
    assert reply["Result"] == "Success", reply
    assert json.loads(str(reply["Quote"]))["Rights"]["MissingForQuote"] == []


def orders_by_ec2_fleet(site: Site) -> list[ReplyAd]:
    """Place two orders by EC2 Fleet, after one that fails and is undone, and return the two replies.

    One order has two versions of a launch template, the other a launch template of its user.
    """
    ec2 = site.cloud.client("ec2")
    known = {each["LaunchTemplateName"] for each in ec2.describe_launch_templates()["LaunchTemplates"]}
    if "own" not in known:
        ec2.create_launch_template(LaunchTemplateName="own", LaunchTemplateData=SPECIFICATION_OF_OWN)
    by_own = [{"LaunchTemplateSpecification": {"LaunchTemplateName": "own", "Version": "1"}}]
    two = [SPECIFICATION, {**SPECIFICATION, "ImageId": "ami-87654321", "InstanceType": "c5.large"}]
    site.cloud.fault("CreateFleet", "error", code="MaxFleetCountExceeded")
    assert site.order(IamFleetRole=None, FleetAPI="EC2Fleet")["Result"] == "Failure"
    return [
        order(site, FleetAPI="EC2Fleet", LaunchSpecifications=two),
        order(site, FleetAPI="EC2Fleet", LaunchSpecifications=None, LaunchTemplateConfigs=by_own),
    ]


def end_them(site: Site, replies: list[ReplyAd]) -> None:
    """Use and end the annexes of `replies`, together with some special ones.

    One order fails and is undone, two fleets start nothing, and one is overdue.  annexd reconciles, extends a lease,
    and ends all annexes; one of them lost its fleet, but not its instances.
    """
    site.cloud.fault("RequestSpotFleet", "error", code="MaxSpotFleetRequestCountExceeded")
    assert site.order(IamFleetRole=None)["Result"] == "Failure"
    site.cloud.behave(fleet_trouble="role")
    replies = [*replies, order(site)]
    troubled = ec2_fleet(site, "annex-troubled", ends_in_s=3600)
    site.cloud.behave(fleet_trouble="")
    overdue = ec2_fleet(site, "annex-overdue", ends_in_s=-7200)
    lost = next(each for each in site.cloud.running_instances() if each["fleet"] == replies[0]["BulkRequestID"])
    site.cloud.turn_off(lost["id"], "condor-annex-ec2: this machine cannot be configured: no profile")
    report = look_at_all(site)
    assert len(report.annexes) == len(replies) + 2
    for fleet_id in (str(replies[-1]["BulkRequestID"]), troubled):
        assert "iamFleetRoleInvalid" in report.troubles[fleet_id].text
    assert "no profile" in report.troubles[str(lost["fleet"])].text
    assert [message.partition(" ")[0] for message in report.ended] == [overdue]
    site.cloud.client("ec2").delete_fleets(FleetIds=[troubled], TerminateInstances=True)
    first, second, *others = (str(reply["AnnexID"]) for reply in replies)
    changed = site.change(second, LeaseExtension=600)
    assert changed["Result"] == "Success", changed
    site.cloud.client("ec2").cancel_spot_fleet_requests(
        SpotFleetRequestIds=[replies[0]["BulkRequestID"]], TerminateInstances=False
    )
    site.cloud.behave(second_cancel="no-effect")  # annexd has to end the first one's instances itself
    for annex_id in (first, second, *others):
        cancelled = site.cancel(annex_id)
        assert cancelled["Result"] == "Success", cancelled
    site.cloud.behave(second_cancel="acted-upon")


def ec2_fleet(site: Site, annex_id: str, ends_in_s: float) -> str:
    """Order an annex by EC2 Fleet."""
    token, ec2 = leased_token(annex_id, int(time.time() + ends_in_s)), site.cloud.client("ec2")
    own = [{"ResourceType": "fleet", "Tags": [{"Key": "htcondor:annex-id", "Value": annex_id}]}]
    return create_fleet(ec2, ClientToken=token, TagSpecifications=own)


def look_at_all(site: Site) -> Report:
    """Return the report of a reconciliation by annexd with these keys."""
    journal = site.journal()
    try:
        engine = site.engine(journal)
        [known] = [order for state in engine.accepted()[1] if (order := state.order_as(FleetOrder))][:1]
    finally:
        journal.close()
    report: Report = reconcile(site.step_context(), known.target, frozenset)
    assert report.faults == ()
    return report


def leave_things_in_the_bucket(account: Account) -> None:
    s3, bucket = account.client("s3"), account.physical_ids()["Bucket"]
    s3.put_object(Bucket=bucket, Key="annex/annex-1.tar.gz", Body=b"one")
    s3.create_multipart_upload(Bucket=bucket, Key="annex/annex-2.tar.gz")


def test_everything_works_with_them(lived: Lived) -> None:
    assert lived.statuses == [OK] * len(lived.statuses)


def test_the_shipped_files_are_the_generated_ones() -> None:
    check = [sys.executable, str(TOP / "templates" / "generate-policies"), "--check"]
    assert subprocess.run(check, check=False).returncode == 0


@pytest.mark.parametrize("role", ROLES)
def test_a_call_that_the_code_makes_is_in_the_table_and_no_other(lived: Lived, role: str) -> None:
    key = lived.keys[role][0]
    mine = [each for each in lived.audit if each.get("access_key_id") == key]
    made = {f"{each['service']}:{each['operation']}" for each in mine if AGENT not in each["agent"]}
    assert made - NEEDS_NO_RIGHT - TRIED[role] == {call for right in RIGHTS[role] for call in right.calls}


@pytest.mark.parametrize("role", ROLES)
def test_without_any_one_of_its_actions_something_fails(lived: Lived, role: str) -> None:
    document = whole(role)
    needed = [(Need(action, on), context) for who, action, on, context in lived.judged if who.endswith(f"/{role}")]
    needed = [(need, context) for need, context in needed if judge([document], need, context).allowed]
    idle = [
        f"{action} on {statement['Resource']}"
        for i, statement in enumerate(document["Statement"])
        for action in statement["Action"]
        if all(judge([without(document, i, action)], need, context).allowed for need, context in needed)
    ]
    assert idle == []


def whole(role: str, stack: str = STACK) -> dict[str, Any]:
    """Return the statements of all policies of one role."""
    documents = policies(role, stack)
    return documents[0] | {"Statement": [each for document in documents for each in document["Statement"]]}


def without(document: dict[str, Any], i: int, action: str) -> dict[str, Any]:
    """Return the policy without one action of one statement."""
    statements = [dict(statement) for statement in document["Statement"]]
    statements[i]["Action"] = [each for each in statements[i]["Action"] if each != action]
    return document | {"Statement": statements}


@pytest.mark.parametrize("role", ROLES)
def test_an_action_is_one_of_aws_and_granted_on_no_more_than_aws_lets_it_be(role: str) -> None:
    for right in RIGHTS[role]:
        service, _, name = right.action.partition(":")
        known = KNOWN[service]["Actions"].get(name.lower())
        assert known is not None, right.action
        if right.resource == "*":
            assert not known.get("Resources") or right.action in GROUPED, right.action
        else:
            assert known.get("Resources"), right.action
        assert "*" not in right.action


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov", "aws-eusc"])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_policy_is_small_enough_for_aws_in_every_partition_with_the_longest_stack_name(
    name: str, partition: str
) -> None:
    text = json.dumps(policy(name, "S" * MAX_STACK_NAME, partition))
    assert len(re.sub(r"\s", "", text)) <= LONGEST_MANAGED_POLICY


@pytest.mark.parametrize("role", [DAEMON, USER])
@pytest.mark.parametrize("service", ["ec2.amazonaws.com", "ec2.amazonaws.com.cn", "spotfleet.amazonaws.com"])
def test_users_who_order_may_pass_the_roles_to_every_service_that_aws_may_check(role: str, service: str) -> None:
    for kind in ("FleetRole", "InstanceRole"):
        role_arn = f"arn:aws:iam::123456789012:role/{STACK}-{kind}-x"
        need = Need("iam:PassRole", role_arn, {"iam:passedtoservice": [service]})
        assert judge(policies(role, STACK), need, {}).allowed


def denied(call: Any, **parameters: Any) -> bool:
    try:
        call(**parameters)
    except ClientError as error:
        return error.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
    return False


@dataclass
class Limited:
    """An account after its setup, and clients limited by a policy."""

    account: Account
    keys: dict[str, tuple[str, str]]

    def client(self, role: str, service: str) -> Any:
        public, secret = self.keys[role]
        return self.account.cloud.client(service, access_key_id=public, secret_access_key=secret)


@pytest.fixture(scope="module")
def limited(lived: Lived, enforcing: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Limited:
    account = as_user(Account(enforcing, tmp_path_factory.mktemp("limited")), lived.keys[SETUP])
    account.set_up()
    return Limited(account, lived.keys)


def test_the_setup_policy_allows_roles_only_through_the_stack(limited: Limited) -> None:
    iam, functions = limited.client(SETUP, "iam"), limited.client(SETUP, "lambda")
    ids = limited.account.physical_ids()
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    assert denied(iam.create_role, RoleName=f"{STACK}-mine", AssumeRolePolicyDocument=trust)
    assert denied(iam.put_role_policy, RoleName=ids["LeaseRole"], PolicyName="x", PolicyDocument=trust)
    assert denied(functions.update_function_code, FunctionName=FUNCTION, ZipFile=b"")
    assert denied(functions.delete_function, FunctionName=FUNCTION)
    assert denied(limited.client(SETUP, "events").disable_rule, Name=FUNCTION)
    assert denied(limited.client(SETUP, "s3").delete_bucket, Bucket=ids["Bucket"])


def test_the_setup_policy_covers_no_other_stack_or_bucket(limited: Limited) -> None:
    body = (TOP / "templates" / "annex.json").read_text()
    cloudformation = limited.client(SETUP, "cloudformation")
    create = cloudformation.create_stack
    assert denied(create, StackName="Shop", TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
    assert denied(cloudformation.delete_stack, StackName="HTCondorAnnexOfOthers")
    assert denied(limited.client(SETUP, "s3").list_object_versions, Bucket="payroll")


def test_a_stack_cannot_give_its_roles_the_administrators_rights(limited: Limited) -> None:
    template = json.loads((TOP / "templates" / "annex.json").read_text())
    administrator = ["arn:aws:iam::aws:policy/AdministratorAccess"]
    template["Resources"]["FleetRole"]["Properties"]["ManagedPolicyArns"] = administrator
    limited.client(SETUP, "cloudformation").update_stack(
        StackName=STACK, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"]
    )
    wait_for(lambda: stack_is(limited.account, "UPDATE_ROLLBACK_COMPLETE"), "the stack is as it was")


@pytest.mark.parametrize("role", [DAEMON, USER])
def test_users_who_order_can_neither_read_tokens_nor_disarm_anything(limited: Limited, role: str) -> None:
    ids = limited.account.physical_ids()
    s3, events, functions, logs = (limited.client(role, service) for service in ("s3", "events", "lambda", "logs"))
    assert denied(s3.get_object, Bucket=ids["Bucket"], Key="annex/annex-1.tar.gz")
    assert denied(s3.list_objects_v2, Bucket=ids["Bucket"])
    assert denied(s3.put_object, Bucket=ids["Bucket"], Key="elsewhere", Body=b"")
    assert denied(events.put_rule, Name="nightly", ScheduleExpression="rate(1 day)")
    assert denied(events.disable_rule, Name=FUNCTION)
    assert denied(events.remove_targets, Rule=FUNCTION, Ids=[FUNCTION])
    assert denied(functions.delete_function, FunctionName=FUNCTION)
    assert denied(functions.update_function_configuration, FunctionName=FUNCTION, Description="")
    forged = [{"timestamp": 1795857924000, "message": "{}"}]
    assert denied(logs.put_log_events, logGroupName=f"/aws/lambda/{FUNCTION}", logStreamName="one", logEvents=forged)
    assert denied(logs.filter_log_events, logGroupName="/aws/lambda/payroll")


@pytest.mark.parametrize("role", [DAEMON, USER])
def test_users_who_order_can_move_and_end_a_lease_but_write_no_other_tag_and_remove_none(
    limited: Limited, role: str
) -> None:
    fleet, ec2 = annex_of(limited.account), limited.client(role, "ec2")
    end, cancelled = "htcondor:annex-lease-end", "htcondor:annex-cancelled"
    assert not denied(ec2.create_tags, Resources=[fleet], Tags=[{"Key": end, "Value": "2026-11-28T09:10:47Z"}])
    assert not denied(ec2.create_tags, Resources=[fleet], Tags=[{"Key": cancelled, "Value": "2026-11-28T09:10:47Z"}])
    assert denied(ec2.create_tags, Resources=[fleet], Tags=[{"Key": "htcondor:annex-owner", "Value": "mallory"}])
    assert denied(ec2.create_tags, Resources=[fleet], Tags=[{"Key": end, "Value": ""}, {"Key": "Name", "Value": ""}])
    assert denied(ec2.delete_tags, Resources=[fleet], Tags=[{"Key": cancelled}])


def test_users_who_order_cannot_cancel_fleets_of_others(limited: Limited) -> None:
    config = {"TargetCapacity": 1, "IamFleetRole": "arn:aws:iam::123456789012:role/x", "LaunchSpecifications": []}
    specification = {"ImageId": "ami-12345678", "InstanceType": "m5.large"}
    admin = limited.account.client("ec2")
    fleet = admin.request_spot_fleet(SpotFleetRequestConfig=config | {"LaunchSpecifications": [specification]})
    cancel = limited.client(USER, "ec2").cancel_spot_fleet_requests
    assert denied(cancel, SpotFleetRequestIds=[fleet["SpotFleetRequestId"]], TerminateInstances=True)


def test_a_right_that_is_missing_is_named_and_nothing_is_left(enforcing: Cloud, tmp_path: Path) -> None:
    document = whole(SETUP, "Another")
    i = next(i for i, each in enumerate(document["Statement"]) if "iam:CreateRole" in each["Action"])
    key = enforcing.user("almost", without(document, i, "iam:CreateRole"))
    account = as_user(Account(enforcing, tmp_path), key)
    before = contents(enforcing) | {"instances": []}  # instances of the other tests end meanwhile
    elsewhere = "-region", "eu-west-1"  # a region without an enforcer
    said = account.run("-setup", "-stack-name", "Another", *elsewhere)
    assert said.status == CLOUD_FAILED
    assert "is not authorized to perform: iam:CreateRole" in said.err
    assert account.run("-teardown", "-stack-name", "Another", *elsewhere).status == OK
    assert contents(enforcing) | {"instances": []} == before
