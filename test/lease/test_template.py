"""The template deploys lease.py itself, with the rights that it uses and no others."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from annexd.annex.lambda_runtime import END_OF_SUPPORT, RUNTIME
from test.cloud import Cloud
from test.cloud.keys import FUNCTION_KEY
from test.lease.annexes import CODE, TEMPLATE, TOP, Annex
from test.lease.loading import packages_of

ANNEX_TEMPLATE = TOP / "templates" / "annex.json"
CONFIG = TOP / "templates" / "config.json"
CFN_LINT = str(Path(sys.executable).with_name("cfn-lint"))
STACK = "HTCondorAnnex"
MAX_TEMPLATE = 51_200  # bytes in a CreateStack call
TICK_S = 300


def resources(template: Path = TEMPLATE) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(template.read_text(encoding="utf-8"))["Resources"]
    return found


def statements(template: Path = TEMPLATE) -> list[dict[str, Any]]:
    [policy] = resources(template)["LeaseRole"]["Properties"]["Policies"]
    found: list[dict[str, Any]] = policy["PolicyDocument"]["Statement"]
    return found


def test_the_committed_template_is_the_generated_one_byte_for_byte() -> None:
    path = str(TOP / "templates" / "generate-template")
    loader = importlib.machinery.SourceFileLoader("generate_template", path)
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    generator = importlib.util.module_from_spec(spec)
    loader.exec_module(generator)
    assert TEMPLATE.read_text(encoding="utf-8") == generator.template()
    assert ANNEX_TEMPLATE.read_text(encoding="utf-8") == generator.annex_template()


def test_the_template_is_clean_under_cfn_lint_and_small_enough_to_upload() -> None:
    lint = subprocess.run([CFN_LINT, str(TEMPLATE)], capture_output=True, text=True, check=False)
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, "", "")
    assert TEMPLATE.stat().st_size < MAX_TEMPLATE


def test_the_deployed_code_is_lease_py_byte_for_byte(cloud: Cloud, function_arn: str) -> None:
    assert cloud.code(function_arn)["index.py"].encode() == CODE.read_bytes()


def test_lease_py_needs_nothing_but_the_standard_library_and_boto3() -> None:
    assert packages_of(CODE) == {"boto3", "botocore"}


@pytest.fixture(params=["template-3.json", "annex.json"])
def deployed(request: pytest.FixtureRequest, cloud: Cloud, function_arn: str) -> tuple[Annex, list[dict[str, Any]]]:
    """An annex under the function of one of the templates, and what that function may do.

    Only annexes of annex.json's bucket have a configuration object.
    """
    if request.param == "template-3.json":
        return Annex(cloud, function_arn), statements()
    annex = Annex(cloud, cloud.deploy_template(ANNEX_TEMPLATE, STACK))
    [stack] = cloud.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    [bucket] = [output["OutputValue"] for output in stack["Outputs"] if output["OutputKey"] == "BucketName"]
    annex.config = {"ConfigBucket": bucket, "ConfigKey": f"annex/{annex.annex_id}.tar.gz"}
    cloud.client("s3").put_object(Bucket=bucket, Key=annex.config["ConfigKey"], Body=b"token")
    return annex, statements(ANNEX_TEMPLATE)


def test_the_role_has_the_rights_that_the_function_uses_and_no_others(
    deployed: tuple[Annex, list[dict[str, Any]]], cloud: Cloud
) -> None:
    annex, its_statements = deployed
    first, second = annex.arm().request(2), annex.request(2)
    cloud.client("ec2").cancel_spot_fleet_requests(SpotFleetRequestIds=[first], TerminateInstances=False)
    cloud.fault("CancelSpotFleetRequests", "partial", 9, matching=first, code="fleetRequestNotInCancellableState")
    cloud.clear_audit()
    cloud.tick(annex.annex_id)
    calls = [each for each in cloud.audit() if each.get("access_key_id") == FUNCTION_KEY]
    assert not annex.is_leased()
    assert annex.alive(first, second) == []
    used = {f"{call['service']}:{call['operation']}" for call in calls}
    allowed = {action for statement in its_statements for action in statement["Action"]}
    assert {action for action in allowed if not action.startswith("logs:")} == used


def test_no_right_is_wider_than_aws_lets_it_be() -> None:
    wide = {action for statement in statements() if statement["Resource"] == "*" for action in statement["Action"]}
    assert wide == {"ec2:DescribeSpotFleetRequests", "ec2:DescribeInstances"}  # they know no resource
    assert not any("*" in action for statement in statements() for action in statement["Action"])
    [terminate] = [each for each in statements() if "ec2:TerminateInstances" in each["Action"]]
    assert terminate["Condition"] == {"StringLike": {"ec2:ResourceTag/aws:ec2spot:fleet-request-id": "sfr-*"}}


def test_only_rules_of_the_same_account_and_region_may_call_the_function() -> None:
    permission = resources()["LeasePermission"]["Properties"]
    assert permission["Principal"] == "events.amazonaws.com"
    source = permission["SourceArn"]["Fn::Sub"]
    assert source == "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/*"


def test_a_run_is_over_before_the_next_tick_of_its_rule() -> None:
    function = resources()["LeaseFunction"]["Properties"]
    assert function["Timeout"] < TICK_S


def test_the_runtime_is_the_one_whose_end_of_support_is_known() -> None:
    assert resources()["LeaseFunction"]["Properties"]["Runtime"] == RUNTIME
    assert RUNTIME in END_OF_SUPPORT


ROLE = "arn:aws:iam::123456789012:role/fleet"


def test_the_example_request_lacks_nothing_but_what_setup_made() -> None:
    """A role, profile, group or key in it would be somebody else's, and its dates would be ignored."""
    config = json.loads(CONFIG.read_text(encoding="utf-8"))
    own = {"IamFleetRole", "ValidFrom", "ValidUntil", "IamInstanceProfile", "SecurityGroups", "KeyName", "SubnetId"}
    assert not own & set(config).union(*config["LaunchSpecifications"])
    config["IamFleetRole"] = ROLE
    shape = botocore.session.get_session().get_service_model("ec2").shape_for("SpotFleetRequestConfigData")
    report = ParamValidator().validate(config, shape)
    assert not report.has_errors(), report.generate_report()


def test_the_example_request_is_taken_by_the_cloud(annex: Annex) -> None:
    config = json.loads(CONFIG.read_text(encoding="utf-8"))
    config |= {"IamFleetRole": ROLE, "ClientToken": f"{annex.annex_id}_0123456789abcdef"}
    fleet = annex.cloud.client("ec2").request_spot_fleet(SpotFleetRequestConfig=config)["SpotFleetRequestId"]
    assert annex.state(fleet) in {"active", "submitted"}
