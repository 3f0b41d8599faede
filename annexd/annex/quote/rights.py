"""What AWS says of an order before it is one: DryRun of the very request, with the very keys.

A no is proof.  A yes is none: whether the DryRun of RequestSpotFleet looks at iam:PassRole, ec2:RunInstances and
ec2:CreateTags is not known (test/cloud/evidence.toml, dry-run-depth).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from annexd.aws import errors
from annexd.aws.errors import AWS_ERRORS
from annexd.workflow import Refused

UNTRIED: Final = (  # rights of an order and of its end that nobody can ask for without using them
    "s3:PutObject",
    "s3:DeleteObject",
    "ec2:CancelSpotFleetRequests",
    "ec2:TerminateInstances",
)
NOT_PROVED: Final = ("iam:PassRole", "ec2:RunInstances", "ec2:CreateTags")


@dataclass(frozen=True)
class DryRun:
    """`refusal`: AWS's no, or empty; `trouble`: why there was no answer, or empty."""

    refusal: str = ""
    trouble: str = ""


def dry_run(ec2: Any, config: Mapping[str, Any]) -> DryRun:
    """Ask.  Raises Refused where the endpoint takes a DryRun for an order: its lease is in the request all the same."""
    try:
        ec2.request_spot_fleet(DryRun=True, SpotFleetRequestConfig=config)
    except AWS_ERRORS as error:
        words = errors.describe(error, "RequestSpotFleet (DryRun)")
        if errors.is_dry_run_yes(error):
            return DryRun()
        return DryRun(trouble=words) if errors.is_transient(error) else DryRun(refusal=words)
    except Exception as error:
        if errors.is_shape_error(error):
            return DryRun(trouble=errors.describe_shape(error, "RequestSpotFleet (DryRun)"))
        raise
    words = "the endpoint does not know DryRun, and may have ordered what was only asked: look at condor_annex -status"
    raise Refused(words)
