"""Repairs of moto's S3, and the few AWS managed policies that roles here attach.

moto judges bucket policies without their conditions, so the usual "TLS only" policy closes a bucket to everybody.  Here
the gate (test.cloud.gate), which enforces IAM, judges them instead.  moto also parses all of AWS's 1,600 managed
policies at each reset.
"""

from __future__ import annotations

import json
from typing import Any

import moto.iam.models
from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket

MANAGED_POLICIES = frozenset(
    {
        "AdministratorAccess",
        "AmazonEC2SpotFleetTaggingRole",
        "AWSLambdaBasicExecutionRole",
        "AmazonS3ReadOnlyAccess",
    }
)


def install() -> None:
    """Patch moto; call it before the first request, because moto reads its managed policies for each new account."""
    FakeBucket.get_permission = _no_opinion
    known = json.loads(moto.iam.models.aws_managed_policies_data)
    some = {name: policy for name, policy in known.items() if name in MANAGED_POLICIES}
    moto.iam.models.aws_managed_policies_data = json.dumps(some)


def _no_opinion(*_: Any) -> PermissionResult:
    return PermissionResult.NEUTRAL
