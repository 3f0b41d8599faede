"""A stack has the permissions of its caller or its role; an action without the permission fails and is reported."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud
from test.cloud.orders import allow, of, policy
from test.cloud.stack_orders import OTHER_LOG, Stack, template, there

ALL, ROLE = "*", "arn:aws:iam::123456789012:role/deployer"
SERVICE = {"Service": "cloudformation.amazonaws.com"}


def deny(actions: list[str]) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": actions, "Resource": "*"}


def made_by(cloud: Cloud, *statements: dict[str, Any], name: str = "one") -> Stack:
    """Return a stack whose creator has these permissions."""
    return Stack(cloud, name, of(cloud, cloud.user("maker", policy(*statements)), "cloudformation"))


def test_a_stack_cannot_remove_what_it_may_not_create(enforcing: Cloud) -> None:
    """The second stack's creator may delete the function of that name, but not create one."""
    first = Stack(enforcing)
    assert first.create(template()) == "CREATE_COMPLETE", first.reasons()
    before = there(enforcing)
    second = made_by(enforcing, allow(ALL), deny(["lambda:CreateFunction", "events:PutRule"]), name="second")
    assert second.create(template({"Log": OTHER_LOG})) == "ROLLBACK_COMPLETE"
    assert "AccessDenied" in second.reasons()
    assert there(enforcing) == before


NEEDED = {
    "Rule": ["events:DescribeRule", "events:PutRule", "events:PutTargets", "events:ListTargetsByRule"],
    "Calls": ["lambda:PutFunctionEventInvokeConfig", "lambda:GetFunctionEventInvokeConfig"],
}


@pytest.mark.parametrize(("logical_id", "action"), [(name, each) for name in NEEDED for each in NEEDED[name]])
def test_the_maker_of_a_stack_needs_the_rights_of_the_handlers(enforcing: Cloud, logical_id: str, action: str) -> None:
    stack = made_by(enforcing, allow(ALL), deny([action]))
    assert stack.create(template()) in {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED"}
    assert action in stack.reasons()
    assert "CREATE_FAILED" in stack.events(logical_id)


def test_settings_of_asynchronous_calls_need_the_function_and_its_qualifier(enforcing: Cloud) -> None:
    function = "arn:aws:lambda:us-east-1:123456789012:function:HTCondorAnnexLease"
    setting = ["lambda:PutFunctionEventInvokeConfig"]
    stack = made_by(enforcing, allow(ALL), {"Effect": "Deny", "Action": setting, "NotResource": [function]})
    assert stack.create(template()) == "ROLLBACK_COMPLETE"
    assert f"{function}:$LATEST" in stack.reasons()


def role(cloud: Cloud, trusted: Any, *statements: dict[str, Any]) -> None:
    iam, trust = cloud.client("iam"), {"Effect": "Allow", "Principal": trusted, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName="deployer", AssumeRolePolicyDocument=json.dumps(policy(trust)))
    iam.put_role_policy(RoleName="deployer", PolicyName="own", PolicyDocument=json.dumps(policy(*statements)))


def create(stack: Stack, **more: Any) -> str:
    stack.cloudformation.create_stack(StackName="one", TemplateBody=template(), Capabilities=["CAPABILITY_IAM"], **more)
    return stack.settled()


def test_a_stacks_role_counts_and_not_its_caller(enforcing: Cloud) -> None:
    role(enforcing, SERVICE, allow(ALL), deny(["lambda:DeleteFunction"]))
    stack = made_by(enforcing, allow(["cloudformation:*", "iam:PassRole"]))
    assert create(stack, RoleARN=ROLE) == "CREATE_COMPLETE", stack.reasons()
    assert stack.answered()["RoleARN"] == ROLE
    assert stack.update(template(), MaxLease="3600") == "UPDATE_COMPLETE", "the stack keeps its role"
    assert stack.delete() == "DELETE_FAILED"
    assert "lambda:DeleteFunction" in stack.reasons()


def test_a_stacks_role_must_be_passed_and_trust_cloudformation(enforcing: Cloud) -> None:
    role(enforcing, {"Service": "lambda.amazonaws.com"}, allow(ALL))
    with pytest.raises(ClientError, match="iam:PassRole"):
        create(made_by(enforcing, allow("cloudformation:*")), RoleARN=ROLE)
    with pytest.raises(ClientError, match="is invalid or cannot be assumed"):
        create(Stack(enforcing), RoleARN=ROLE)
