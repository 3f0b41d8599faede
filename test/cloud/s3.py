"""S3 as far as moto's needs repair; and of AWS's managed policies the few that roles here attach.

moto judges bucket policies without their conditions, so that the usual "TLS only" closes a bucket to everybody;
here that is the gate's business (test.cloud.gate), where IAM is enforced.  And it parses all of AWS's 1,600
managed policies at each reset.
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
    """Before the first request: moto reads its managed policies when it makes an account."""
    FakeBucket.get_permission = _no_opinion
    known = json.loads(moto.iam.models.aws_managed_policies_data)
    some = {name: policy for name, policy in known.items() if name in MANAGED_POLICIES}
    moto.iam.models.aws_managed_policies_data = json.dumps(some)


def _no_opinion(*_: Any) -> PermissionResult:
    return PermissionResult.NEUTRAL
