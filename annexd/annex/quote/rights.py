"""AWS's verdict on an order before it is sent: a DryRun of the same request with the same keys.

A refusal is proof.  Success is not: whether the DryRun of RequestSpotFleet looks at iam:PassRole, ec2:RunInstances and
ec2:CreateTags is not known (test/cloud/evidence.toml, dry-run-depth).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from annexd.annex.request.fleet_api import SPOT_FLEET
from annexd.annex.request.order import FleetOrder
from annexd.aws import errors
from annexd.aws.errors import AWS_ERRORS
from annexd.workflow import Refused

UNTRIED: Final = (  # rights of an order and of its end that cannot be tested without using them
    "s3:PutObject",
    "s3:DeleteObject",
    "ec2:CancelSpotFleetRequests",
    "ec2:TerminateInstances",
)
SPOT, TEMPLATE, FLEET = "RequestSpotFleet", "CreateLaunchTemplate", "CreateFleet"
NOT_PROVED: Final = ("iam:PassRole", "ec2:RunInstances", "ec2:CreateTags")


@dataclass(frozen=True)
class DryRun:
    """`refusal`: AWS's refusal, or empty; `trouble`: why there was no response, or empty."""

    refusal: str = ""
    trouble: str = ""


def dry_run(ec2: Any, order: FleetOrder) -> DryRun:
    """Try a DryRun.  Raises Refused if the endpoint treats a DryRun as an order: the lease is in the request anyway."""
    if order.api == SPOT_FLEET:
        return _tried(lambda: ec2.request_spot_fleet(DryRun=True, SpotFleetRequestConfig=order.config), SPOT)
    name, data = order.client_token, dict(order.versions[0].data)
    template = _tried(
        lambda: ec2.create_launch_template(DryRun=True, LaunchTemplateName=name, LaunchTemplateData=data), TEMPLATE
    )
    if template != DryRun():
        return template
    return _tried(lambda: ec2.create_fleet(DryRun=True, **order.config), FLEET)


def _tried(call: Callable[[], object], operation: str) -> DryRun:
    """Try one operation.  A missing launch template is not a refusal, since only an order creates it."""
    try:
        call()
    except AWS_ERRORS as error:
        message = errors.describe(error, f"{operation} (DryRun)")
        if errors.is_dry_run_yes(error):
            return DryRun()
        is_unknown = errors.is_transient(error) or (operation == FLEET and errors.is_not_found(error))
        return DryRun(trouble=message) if is_unknown else DryRun(refusal=message)
    except Exception as error:
        if errors.is_shape_error(error):
            return DryRun(trouble=errors.describe_shape(error, f"{operation} (DryRun)"))
        raise
    message = (
        "the endpoint does not know DryRun, and may have ordered what was only asked: look at condor_annex -status"
    )
    raise Refused(message)
