"""Test templates/annex.json: generated, small, valid, and closed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from annexd.account.template import body, function_code
from test.account.kit import TOP

TEMPLATE = TOP / "templates" / "annex.json"
CFN_LINT = str(Path(sys.executable).with_name("cfn-lint"))
MAX_TEMPLATE = 51_200  # bytes in a CreateStack call
ROOM = 1_024  # for fixes of the function


def properties(resource: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(TEMPLATE.read_text())["Resources"][resource]["Properties"]
    return found


def grants(statements: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(action, json.dumps(each["Resource"])) for each in statements for action in each["Action"]}


def test_both_templates_are_what_the_code_makes() -> None:
    check = [sys.executable, str(TOP / "templates" / "generate-template"), "--check"]
    assert subprocess.run(check, capture_output=True, text=True, check=False).stderr == ""


def test_the_template_is_clean_under_cfn_lint_and_small_enough_to_upload() -> None:
    lint = subprocess.run([CFN_LINT, str(TEMPLATE)], capture_output=True, text=True, check=False)
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, "", "")
    assert len(body().encode()) < MAX_TEMPLATE - ROOM


def test_the_function_in_it_is_lease_py() -> None:
    assert function_code() == (TOP / "lambda" / "lease.py").read_text()


def test_the_lease_role_may_list_and_delete_the_objects_of_annexes_and_no_others() -> None:
    alone = json.loads((TOP / "templates" / "template-3.json").read_text())["Resources"]["LeaseRole"]["Properties"]
    [ours], [manuals] = properties("LeaseRole")["Policies"], alone["Policies"]
    statements, others = ours["PolicyDocument"]["Statement"], manuals["PolicyDocument"]["Statement"]
    assert [each for each in statements if each not in others] == [
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": {"Fn::GetAtt": ["Bucket", "Arn"]},
            "Condition": {"StringLike": {"s3:prefix": "annex/*"}},
        },
        {"Effect": "Allow", "Action": ["s3:DeleteObject"], "Resource": {"Fn::Sub": "${Bucket.Arn}/annex/*"}},
    ]
    assert [each for each in others if each not in statements] == []


def test_an_instance_may_read_annexes_objects_and_tags_and_nothing_of_iam() -> None:
    assert grants(properties("InstancePolicy")["PolicyDocument"]["Statement"]) == {
        ("s3:GetObject", '{"Fn::Sub": "${Bucket.Arn}/annex/*.tar.gz"}'),
        ("ec2:DescribeTags", '"*"'),
    }
    assert "Policies" not in properties("InstanceRole")


def test_there_is_no_inbound_traffic_and_no_public_access() -> None:
    assert "SecurityGroupIngress" not in properties("SecurityGroup")
    assert set(properties("Bucket")["PublicAccessBlockConfiguration"].values()) == {True}
    [refusal] = properties("BucketPolicy")["PolicyDocument"]["Statement"]
    assert (refusal["Effect"], refusal["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_only_the_enforcer_has_fixed_names_so_that_there_is_one_in_a_region_and_other_stacks_never_meet() -> None:
    named = {"RoleName", "FunctionName", "BucketName", "GroupName", "InstanceProfileName", "LogGroupName", "Name"}
    resources = json.loads(TEMPLATE.read_text())["Resources"]
    fixed = {
        f"{name}.{key}": value
        for name, resource in resources.items()
        for key, value in resource["Properties"].items()
        if key in named and isinstance(value, str)
    }
    assert fixed == {
        "LeaseFunction.FunctionName": "HTCondorAnnexLease",
        "LeaseRule.Name": "HTCondorAnnexLease",
        "LeaseLog.LogGroupName": "/aws/lambda/HTCondorAnnexLease",
    }


def test_no_annex_may_live_longer_than_the_object_with_its_end() -> None:
    [expiry] = properties("Bucket")["LifecycleConfiguration"]["Rules"]
    longest_s = json.loads(TEMPLATE.read_text())["Parameters"]["MaxLease"]["MaxValue"]
    assert longest_s + 86_400 <= expiry["ExpirationInDays"] * 86_400
