"""New objects that are not known everywhere yet: IAM's roles and profiles to EC2, a bucket within S3.

The messages are AWS's own.  For the fleet role: github.com/hashicorp/terraform-provider-aws/pull/14265 (`is invalid`;
AWS Batch user guide, Troubleshooting, has it for a role that does not exist) and pull/14358 (`does not have
permission`), CERTAIN; that the second follows the first is LIKELY.  For the profile:
github.com/aws/aws-sdk-js-v3/issues/5253, CERTAIN for RunInstances, SUSPECTED for RequestSpotFleet
(annexd/aws/not_yet.py).  For the bucket: github.com/hashicorp/terraform-provider-aws/issues/372, CERTAIN.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from moto.s3.models import s3_backends

from test.cloud import principals
from test.cloud.behaviour import Behaviour
from test.cloud.errors import Answer, error_answer
from test.cloud.request import Request
from test.cloud.views import ACCOUNT

CONFIG = "InvalidSpotFleetRequestConfig"
UNKNOWN_ROLE = "Parameter: SpotFleetRequestConfig.IamFleetRole is invalid"
POWERLESS_ROLE = "The provided SpotFleetRequestConfig.IamFleetRole does not have permission to call DescribeSubnet."
UNKNOWN_PROFILE = "Value ({0}) for parameter iamInstanceProfile.{1} is invalid. Invalid IAM Instance Profile {1}"
BUCKET_CALLS = frozenset({"PutObject", "DeleteObject"})


def refusal(request: Request, behaviour: Behaviour) -> Answer | None:
    """Return AWS's error for a call that needs an object that AWS does not know yet; None for any other call."""
    if request.operation == "RequestSpotFleet":
        code, message = _fault_of_fleet(request.parameters()["SpotFleetRequestConfig"], behaviour)
        return error_answer("ec2", 400, code, message) if code else None
    if request.service == "s3" and request.operation in BUCKET_CALLS and behaviour.buckets_late_s:
        bucket = s3_backends[ACCOUNT]["aws"].buckets.get(request.parameters()["Bucket"])
        if bucket is not None and _age_s(bucket.creation_date) < behaviour.buckets_late_s:
            return error_answer("s3", 404, "NoSuchBucket", "The specified bucket does not exist")
    return None


def _fault_of_fleet(config: Mapping[str, Any], behaviour: Behaviour) -> tuple[str, str]:
    role_s = _age_of(principals.iam().roles.values(), config.get("IamFleetRole"))
    if role_s < behaviour.roles_late_s:
        return CONFIG, UNKNOWN_ROLE if role_s < behaviour.roles_late_s / 2 else POWERLESS_ROLE
    for specification in config.get("LaunchSpecifications") or []:
        for kind, name in (specification.get("IamInstanceProfile") or {}).items():
            if _age_of(principals.iam().instance_profiles.values(), name) < behaviour.profiles_late_s:
                return "InvalidParameterValue", UNKNOWN_PROFILE.format(name, kind.lower())
    return "", ""


def _age_of(known: Iterable[Any], wanted: object) -> float:
    """Return the age of the object with this name or ARN; infinite if it does not exist, as in tests."""
    made = next((each.create_date for each in known if wanted in (each.name, each.arn)), None)
    return float("inf") if made is None else _age_s(made)


def _age_s(made: datetime) -> float:
    """Return an age in seconds; moto's times are UTC, some with a time zone and some without."""
    return (datetime.now(UTC) - made.replace(tzinfo=UTC)).total_seconds()
