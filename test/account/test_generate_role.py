"""Test templates/generate-role: a role that may read one object, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from test.account.kit import TOP, Account

CFN_LINT = str(Path(sys.executable).with_name("cfn-lint"))
SCRIPT = str(TOP / "templates" / "generate-role")


def generate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_the_role_may_read_just_that_object_its_tags_and_its_own_permissions(account: Account) -> None:
    made = generate("my-bucket", "pools/one.tar.gz")
    assert (made.returncode, made.stderr) == (0, "")
    cloudformation = account.client("cloudformation")
    cloudformation.create_stack(StackName="Role", TemplateBody=made.stdout, Capabilities=["CAPABILITY_IAM"])
    waiter = cloudformation.get_waiter("stack_create_complete")
    waiter.wait(StackName="Role", WaiterConfig={"Delay": 0.1, "MaxAttempts": 300})
    ids, iam = account.physical_ids("Role"), account.client("iam")
    role = iam.get_role(RoleName=ids["InstanceRole"])["Role"]["Arn"]
    policy = iam.get_role_policy(RoleName=ids["InstanceRole"], PolicyName="ReadConfiguration")["PolicyDocument"]
    assert [(each["Action"], each["Resource"]) for each in policy["Statement"]] == [
        (["s3:GetObject"], "arn:aws:s3:::my-bucket/pools/one.tar.gz"),
        (["ec2:DescribeTags"], "*"),
        (["iam:ListRolePolicies", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies"], role),
    ]


def test_the_template_is_clean_under_cfn_lint(tmp_path: Path) -> None:
    file = tmp_path / "role.json"
    file.write_text(generate("my-bucket", "one").stdout)
    lint = subprocess.run([CFN_LINT, str(file)], capture_output=True, text=True, check=False)
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "usage"),
        (("bucket",), "usage"),
        (("My_Bucket", "file"), "BUCKET must be the name of an S3 bucket"),
        (("a..b", "file"), "BUCKET must be"),
        (("bucket", "*"), "a policy takes *, ? and $ as patterns"),
        (("bucket", "${AWS::AccountId}"), "a policy takes"),
        (("bucket", "/etc/passwd"), "must not begin with a slash"),
        (("bucket", "a\nb"), "must be printable"),
        (("bucket", "x" * 1025), "1 to 1024 bytes"),
    ],
)
def test_options_that_would_make_another_role_are_refused(arguments: tuple[str, ...], message: str) -> None:
    made = generate(*arguments)
    assert (made.returncode, made.stdout) == (2, "")
    assert message in made.stderr


def test_the_arguments_are_in_the_template_as_strings_only() -> None:
    made = json.loads(generate("my-bucket", 'a"b\\c').stdout)
    statement = made["Resources"]["InstancePolicy"]["Properties"]["PolicyDocument"]["Statement"][0]
    assert statement["Resource"] == {"Fn::Sub": 'arn:${AWS::Partition}:s3:::my-bucket/a"b\\c'}
