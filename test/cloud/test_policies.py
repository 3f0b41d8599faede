"""The policy language, statement by statement, as IAM documents it."""

from __future__ import annotations

from typing import Any

import pytest

from test.cloud.policies import Need, UnknownPolicyError, judge

ALICE = "arn:aws:iam::123456789012:user/alice"
OBJECT = "arn:aws:s3:::bucket/annex/one.tar.gz"
READ = Need("s3:GetObject", OBJECT)


def statement(
    effect: str = "Allow", action: Any = "s3:GetObject", resource: Any = OBJECT, **more: Any
) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def allows(*statements: dict[str, Any], need: Need = READ, context: dict[str, str] | None = None) -> bool:
    known = {key: [value] for key, value in (context or {}).items()}
    return judge([{"Statement": list(statements)}], need, known, ALICE).allowed


@pytest.mark.parametrize(
    "each",
    [
        statement(),
        statement(action="s3:*"),
        statement(action="S3:getOBJECT"),
        statement(action=["ec2:RunInstances", "s3:Get*"]),
        statement(resource="arn:aws:s3:::bucket/annex/*.tar.gz"),
        statement(resource=["arn:aws:s3:::other", "arn:aws:s3:::bucket/annex/???.tar.gz"]),
        {"Effect": "Allow", "NotAction": "iam:*", "NotResource": "arn:aws:s3:::other/*"},
        statement(Principal="*"),
        statement(Principal={"AWS": ALICE}),
        statement(Principal={"AWS": "arn:aws:iam::123456789012:root"}),
    ],
)
def test_a_covered_action_is_allowed(each: dict[str, Any]) -> None:
    assert allows(each)


@pytest.mark.parametrize(
    "each",
    [
        statement(action="s3:PutObject"),
        statement(resource="arn:aws:s3:::bucket"),
        statement(resource="arn:aws:s3:::bucket/Annex/*"),
        {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"},
        statement(Principal={"AWS": "arn:aws:iam::123456789012:user/bob"}),
        statement(Principal={"Service": "ec2.amazonaws.com"}),
        statement(Condition={"StringEquals": {"aws:username": "alice"}}),
        statement(resource="arn:aws:s3:::bucket/${aws:username}/*"),
    ],
)
def test_an_uncovered_action_is_denied(each: dict[str, Any]) -> None:
    assert not allows(each)


def test_a_deny_wins_wherever_it_stands() -> None:
    deny = statement("Deny", "*", "*")
    assert not allows(statement(), deny)
    assert not allows(deny, statement())


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}, True),
        ({"StringEquals": {"iam:PassedToService": ["lambda.amazonaws.com", "ec2.amazonaws.com"]}}, True),
        ({"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}, False),
        ({"StringNotEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}, True),
        ({"StringLike": {"iam:PassedToService": "ec2.*"}}, True),
        ({"StringEqualsIfExists": {"aws:missing": "x"}}, True),
        ({"StringNotEquals": {"aws:missing": "x"}}, True),
        ({"Null": {"aws:missing": "true"}}, True),
        ({"Null": {"iam:PassedToService": "true"}}, False),
        ({"ArnLike": {"aws:principalarn": "arn:aws:iam::*:user/alice"}}, True),
        ({"Bool": {"aws:SecureTransport": "false"}}, False),
        ({"ForAllValues:StringEquals": {"aws:tagkeys": ["a", "b"]}}, True),
        ({"ForAllValues:StringEquals": {"aws:tagkeys": ["b"]}}, False),
        (
            {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}, "Bool": {"aws:SecureTransport": "false"}},
            False,
        ),
    ],
)
def test_a_condition_holds_as_iam_says(condition: dict[str, Any], holds: bool) -> None:
    context = {
        "iam:passedtoservice": "ec2.amazonaws.com",
        "aws:principalarn": ALICE,
        "aws:securetransport": "true",
        "aws:tagkeys": "a",
    }
    assert allows(statement(Condition=condition), context=context) is holds


def test_a_policy_variable_is_filled_in() -> None:
    own = statement(resource="arn:aws:s3:::bucket/${aws:username}/*")
    need = Need("s3:GetObject", "arn:aws:s3:::bucket/alice/file")
    assert allows(own, need=need, context={"aws:username": "alice"})
    assert not allows(own, need=need, context={"aws:username": "bob"})


def test_an_operator_that_is_not_known_is_an_error_and_no_permission() -> None:
    with pytest.raises(UnknownPolicyError, match="DateGreaterThan"):
        allows(statement(Condition={"DateGreaterThan": {"aws:CurrentTime": "2026-01-01"}}))
