"""Test that both templates deploy lease.py itself, called by one rule, with exactly the rights that it uses."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from annexd.annex.lease.heartbeat import STALE_S, newest_receipt
from annexd.annex.lease.identifiers import leased_token
from annexd.annex.lease.lambda_runtime import END_OF_SUPPORT, RUNTIME
from test.cloud import Cloud
from test.cloud.orders import ROLE, ec2_fleet_config, request
from test.cloud.orders import template as launch_template
from test.lease.loading import CODE, TOP, load_function, packages_of

TEMPLATES = ("template-3.json", "annex.json")
CONFIG = TOP / "templates" / "config.json"
CFN_LINT = str(Path(sys.executable).with_name("cfn-lint"))
STACK, NAME = "HTCondorAnnex", "HTCondorAnnexLease"
MAX_TEMPLATE = 51_200  # bytes in a CreateStack or UpdateStack call
TICK_S = 300
# The right that an operation of a different name needs.  Source: AWS, service authorization reference.
RIGHTS = {"s3:ListObjectsV2": "s3:ListBucket", "s3:DeleteObjects": "s3:DeleteObject"}


def template(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((TOP / "templates" / name).read_text(encoding="utf-8"))
    return found


def properties(resource: str, name: str = "template-3.json") -> dict[str, Any]:
    found: dict[str, Any] = template(name)["Resources"][resource]["Properties"]
    return found


def statements(name: str) -> list[dict[str, Any]]:
    [policy] = properties("LeaseRole", name)["Policies"]
    found: list[dict[str, Any]] = policy["PolicyDocument"]["Statement"]
    return found


def test_the_committed_templates_are_the_generated_ones_byte_for_byte() -> None:
    path = str(TOP / "templates" / "generate-template")
    loader = importlib.machinery.SourceFileLoader("generate_template", path)
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    generator = importlib.util.module_from_spec(spec)
    loader.exec_module(generator)
    assert (TOP / "templates" / "template-3.json").read_text(encoding="utf-8") == generator.template()
    assert (TOP / "templates" / "annex.json").read_text(encoding="utf-8") == generator.annex_template()


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_clean_under_cfn_lint_and_small_enough_to_upload(name: str) -> None:
    path = TOP / "templates" / name
    lint = subprocess.run([CFN_LINT, str(path)], capture_output=True, text=True, check=False)
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, "", "")
    assert path.stat().st_size < MAX_TEMPLATE


def test_lease_py_needs_nothing_but_the_standard_library_and_boto3() -> None:
    assert packages_of(CODE) == {"boto3", "botocore"}


@dataclass(frozen=True)
class Deployed:
    """The enforcer of one of the templates, in an account that enforces IAM."""

    name: str
    cloud: Cloud
    arn: str
    bucket: str


@pytest.fixture(scope="module")
def enforcing() -> Iterator[Cloud]:
    with Cloud(speed=0, enforce_iam=True, behaviour={"logs_late_s": 0.0}) as cloud:
        yield cloud


@pytest.fixture(scope="module", params=TEMPLATES)
def deployed(request: pytest.FixtureRequest, enforcing: Cloud) -> Deployed:
    enforcing.reset()
    arn = enforcing.deploy_template(TOP / "templates" / request.param, STACK)
    [stack] = enforcing.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    return Deployed(request.param, enforcing, arn, outputs.get("BucketName", ""))


@dataclass(frozen=True)
class Tick:
    """A tick of the rule, with a living annex and one that is over."""

    receipt: Any
    calls: list[dict[str, Any]]
    objects: list[str]
    living: int
    templates: list[str]


def _ec2_fleet(ec2: Any, annex_id: str, end_s: int) -> None:
    """Create an annex's fleet, with the launch template that is named after its token."""
    token, tags = leased_token(annex_id, end_s), {"htcondor:annex-id": annex_id}
    own = [{"ResourceType": "fleet", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]
    made_of = launch_template(ec2, token, tags)
    ec2.create_fleet(**ec2_fleet_config(made_of, 2, ClientToken=token, TagSpecifications=own))


@pytest.fixture(scope="module")
def tick(deployed: Deployed) -> Tick:
    cloud, ec2, s3 = deployed.cloud, deployed.cloud.client("ec2"), deployed.cloud.client("s3")
    now_s = int(time.time())
    over = request(ec2, 1, ClientToken=leased_token("annex-over", now_s - 60), Type="request")
    ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[over], TerminateInstances=True)
    request(ec2, 2, ClientToken=leased_token("annex-living", now_s + 3600), Type="request")
    for annex_id, ends_in_s in (("annex-over2", -60), ("annex-living2", 3600)):
        _ec2_fleet(ec2, annex_id, now_s + ends_in_s)
    for annex_id in ("annex-over", "annex-living") if deployed.bucket else ():
        s3.put_object(Bucket=deployed.bucket, Key=f"annex/{annex_id}.tar.gz", Body=b"token")
    cloud.clear_audit()
    assert cloud.tick(NAME) == 1
    receipt = newest_receipt(cloud.client("logs"), deployed.arn, time.time())
    found = s3.list_objects_v2(Bucket=deployed.bucket).get("Contents", []) if deployed.bucket else []
    shown = ec2.describe_launch_templates()["LaunchTemplates"]
    templates = [each["LaunchTemplateName"].partition("_")[0] for each in shown]
    calls = [each for each in cloud.audit() if str(each.get("access_key_id")).startswith("ASIA")]
    return Tick(receipt, calls, [each["Key"] for each in found], len(cloud.running_instances()), templates)


def test_the_deployed_code_is_lease_py_byte_for_byte(deployed: Deployed) -> None:
    assert deployed.cloud.code(deployed.arn)["index.py"].encode() == CODE.read_bytes()


def test_the_rule_causes_a_heartbeat_with_all_rights_and_the_stacks_max_lease(deployed: Deployed, tick: Tick) -> None:
    assert tick.receipt is not None
    assert (tick.receipt.function, tick.receipt.is_complete, tick.receipt.lacking) == (deployed.arn, True, ())
    assert tick.receipt.max_lease_s == template(deployed.name)["Parameters"]["MaxLease"]["Default"]
    assert tick.living == 4


@pytest.mark.parametrize("right", ["instances", "all"])
def test_an_ec2_fleet_ends_whatever_deleting_it_with_its_instances_asks_for(deployed: Deployed, right: str) -> None:
    """The role may terminate instances of fleets, and no others."""
    cloud = deployed.cloud
    cloud.behave(delete_right=right)
    _ec2_fleet(cloud.client("ec2"), f"annex-{right}", int(time.time()) - 60)
    cloud.tick(NAME)
    receipt = newest_receipt(cloud.client("logs"), deployed.arn, time.time())
    cloud.behave(delete_right="instances")
    assert cloud.meter()["annexes"][f"annex-{right}"]["live"] == 0
    assert receipt is not None
    assert receipt.lacking == ()


def test_launch_templates_of_annexes_that_are_over_are_removed_and_others_stay(tick: Tick) -> None:
    assert tick.templates == ["annex-living2"]


def test_objects_of_annexes_that_are_over_are_removed_where_there_is_a_bucket(deployed: Deployed, tick: Tick) -> None:
    assert tick.objects == (["annex/annex-living.tar.gz"] if deployed.bucket else [])


def test_the_role_has_the_rights_that_the_function_uses_and_no_others(deployed: Deployed, tick: Tick) -> None:
    made = {f"{call['service']}:{call['operation']}" for call in tick.calls}
    used = {RIGHTS.get(each, each) for each in made}
    allowed = {action for statement in statements(deployed.name) for action in statement["Action"]}
    # DryRuns make every call that ends or stamps a living annex.
    assert {action for action in allowed if not action.startswith("logs:")} == used


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_right_is_wider_than_aws_lets_it_be(name: str) -> None:
    # One statement each, since the conditions of one statement are combined by AND.
    tags = {"aws:ec2spot:fleet-request-id": "sfr-*", "aws:ec2:fleet-id": "fleet-*"}
    granted = [(action, each) for each in statements(name) for action in each["Action"]]
    wide = {action for action, each in granted if each["Resource"] == "*"}
    # The first four support no resource; for the others see templates/parts.py.
    assert wide == {
        "ec2:DescribeSpotFleetRequests", "ec2:DescribeFleets", "ec2:DescribeInstances", "ec2:DescribeLaunchTemplates",
        "ec2:CancelSpotFleetRequests", "ec2:DeleteFleets",
    }  # fmt: skip
    assert not any("*" in action for action, _ in granted)
    of_fleets = [{"StringLike": {f"ec2:ResourceTag/{tag}": prefix}} for tag, prefix in tags.items()]
    stamps = {
        "ForAllValues:StringEquals": {"aws:TagKeys": list(load_function().STAMPS)},
        "Null": {"aws:TagKeys": "false"},
    }
    for right in ("ec2:TerminateInstances", "ec2:ModifyInstanceAttribute"):
        assert [each["Condition"] for action, each in granted if action == right] == of_fleets
    assert [each["Condition"] for action, each in granted if action == "ec2:CreateTags"] == [
        each | stamps for each in of_fleets
    ]
    [templates] = [each for action, each in granted if action == "ec2:DeleteLaunchTemplate"]
    assert templates["Condition"] == {"StringLike": {"ec2:ResourceTag/htcondor:annex-id": "*"}}


@pytest.mark.parametrize("name", TEMPLATES)
def test_only_the_one_rule_may_call_the_function(name: str) -> None:
    permission = properties("LeasePermission", name)
    assert permission["Principal"] == "events.amazonaws.com"
    source = permission["SourceArn"]["Fn::Sub"]
    assert source == f"arn:${{AWS::Partition}}:events:${{AWS::Region}}:${{AWS::AccountId}}:rule/{NAME}"
    assert properties("LeaseRule", name)["Name"] == NAME


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_run_is_over_before_the_next_tick_and_no_call_waits_for_longer_or_comes_twice(name: str) -> None:
    rule, calls = properties("LeaseRule", name), properties("LeaseCalls", name)
    assert rule["ScheduleExpression"] == f"rate({TICK_S // 60} minutes)"
    assert properties("LeaseFunction", name)["Timeout"] < TICK_S
    [target] = rule["Targets"]
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": TICK_S, "MaximumRetryAttempts": 0}
    assert (calls["MaximumRetryAttempts"], calls["MaximumEventAgeInSeconds"]) == (0, TICK_S)
    assert calls["Qualifier"] == "$LATEST"


@pytest.mark.parametrize("name", TEMPLATES)
def test_three_missed_ticks_make_a_heartbeat_stale(name: str) -> None:
    assert properties("LeaseRule", name)["ScheduleExpression"] == f"rate({STALE_S / 3 / 60:.0f} minutes)"


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_rule_is_created_last_so_that_its_first_call_succeeds(name: str) -> None:
    assert set(template(name)["Resources"]["LeaseRule"]["DependsOn"]) == {"LeasePermission", "LeaseCalls"}


def test_both_templates_deploy_the_same_enforcer() -> None:
    alone, ours = (template(name)["Resources"] for name in TEMPLATES)
    for name in ("LeaseLog", "LeaseCalls", "LeasePermission", "LeaseRule"):
        assert alone[name] == ours[name]
    only_with_a_bucket = {"ANNEX_BUCKET": {"Ref": "Bucket"}}
    function = alone["LeaseFunction"]["Properties"]
    function["Environment"]["Variables"] |= only_with_a_bucket
    assert function == ours["LeaseFunction"]["Properties"]


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_runtime_is_the_one_whose_end_of_support_is_known(name: str) -> None:
    assert properties("LeaseFunction", name)["Runtime"] == RUNTIME
    assert RUNTIME in END_OF_SUPPORT


def test_the_example_request_lacks_nothing_but_what_setup_made() -> None:
    """A role, profile, group or key in it would belong to another account, and its dates would be ignored."""
    config = json.loads(CONFIG.read_text(encoding="utf-8"))
    own = {"IamFleetRole", "ValidFrom", "ValidUntil", "IamInstanceProfile", "SecurityGroups", "KeyName", "SubnetId"}
    assert not own & set(config).union(*config["LaunchSpecifications"])
    config["IamFleetRole"] = ROLE
    shape = botocore.session.get_session().get_service_model("ec2").shape_for("SpotFleetRequestConfigData")
    report = ParamValidator().validate(config, shape)
    assert not report.has_errors(), report.generate_report()


def test_the_example_request_is_taken_by_the_cloud(enforcing: Cloud) -> None:
    config = json.loads(CONFIG.read_text(encoding="utf-8"))
    config |= {"IamFleetRole": ROLE, "ClientToken": leased_token("annex-example", int(time.time()) + 3600)}
    ec2 = enforcing.client("ec2")
    fleet = ec2.request_spot_fleet(SpotFleetRequestConfig=config)["SpotFleetRequestId"]
    [response] = ec2.describe_spot_fleet_requests(SpotFleetRequestIds=[fleet])["SpotFleetRequestConfigs"]
    assert response["SpotFleetRequestState"] in {"active", "submitted"}
