"""Write one of the two tags that move or end a lease, and read the fleets afterwards."""

from dataclasses import dataclass
from typing import Any

from annexd.annex.fleet.inventory import Fleet, fleets_of_annex
from annexd.annex.steps.context import StepContext, translate_aws_errors
from annexd.aws.errors import AWS_ERRORS, is_denied
from annexd.workflow import Refused, Retry


@dataclass(frozen=True)
class AnnexFleets:
    """The data by which the fleets of an annex are found; `ordered_at_s`: when the newest was requested, or 0;
    `leaving`: instances that were asked to leave.
    """

    annex_id: str
    fleet_ids: tuple[str, ...]  # empty: they are searched for
    ordered_at_s: float
    leaving: tuple[str, ...] = ()


def fleets_of(context: StepContext, ec2: Any, annex: AnnexFleets) -> list[Fleet]:
    """Return the fleets of the annex.

    Raises Retry, also as long as EC2 may not show a recent order yet; Refused if there are no fleets.
    """
    fleets = fleets_of_annex(ec2, annex.annex_id, annex.fleet_ids)
    is_whole = bool(fleets) and len(fleets) >= len(annex.fleet_ids)
    if not is_whole and context.now_s() < annex.ordered_at_s + context.settle_s:
        raise Retry(f"AWS does not show all fleets of annex {annex.annex_id} yet", untouched=True)
    if not fleets:
        message = f"AWS shows these keys nothing of annex {annex.annex_id}: it is over, or not in this region"
        raise Refused(message, untouched=True)
    return fleets


def write_tag(ec2: Any, fleet_id: str, key: str, value: str) -> bool:
    """Tag a fleet; return False if these keys lack the permission.  Raises Retry or Refused."""
    with translate_aws_errors(f"CreateTags {fleet_id}"):
        try:
            ec2.create_tags(Resources=[fleet_id], Tags=[{"Key": key, "Value": value}])
        except AWS_ERRORS as error:
            if is_denied(error):
                return False
            raise
    return True
