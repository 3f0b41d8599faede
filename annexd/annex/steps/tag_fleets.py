"""Write one of the two tags that move or end a lease, and see what the fleets say then."""

from collections.abc import Mapping
from typing import Any

from annexd.annex.fleet.inventory import Fleet, fleets_of_annex
from annexd.annex.steps.context import StepContext, translate_aws_errors
from annexd.aws.errors import AWS_ERRORS, is_denied
from annexd.workflow import Json, Refused, Retry


def fleets_of(world: StepContext, ec2: Any, intent: Mapping[str, Any]) -> list[Fleet]:
    """Return the fleets of the annex of an intent {annex_id, fleet_id, ordered_at_s}.

    Raises Retry, also as long as EC2 may not show yet what was ordered a short while ago; Refused if there are none.
    """
    fleets = fleets_of_annex(ec2, intent["annex_id"], intent["fleet_id"])
    if not fleets and world.now_s() < intent["ordered_at_s"] + world.settle_s:
        raise Retry(f"AWS does not show the fleet of annex {intent['annex_id']} yet", untouched=True)
    if not fleets:
        words = f"AWS shows these keys nothing of annex {intent['annex_id']}: it is over, or not in this region"
        raise Refused(words, untouched=True)
    return fleets


def write_tag(ec2: Any, fleet_id: str, key: str, value: str) -> bool:
    """Tag a fleet; False when these keys may not.  Raises Retry or Refused."""
    with translate_aws_errors(f"CreateTags {fleet_id}"):
        try:
            ec2.create_tags(Resources=[fleet_id], Tags=[{"Key": key, "Value": value}])
        except AWS_ERRORS as error:
            if is_denied(error):
                return False
            raise
    return True


def wait_for_lost(world: StepContext, asked_at_s: float) -> None:
    """Raise Retry as long as an earlier call whose answer was lost may still take effect, and undo what comes next.

    `asked_at_s`: when it was made; 0 if there was none.
    """
    wait_s = asked_at_s + world.settle_s - world.now_s()
    if wait_s > 0:
        words = f"an answer of AWS was lost before: what was asked for then may still come for {wait_s:.0f} s"
        raise Retry(words, untouched=True)


def identity_of(order: Json) -> Json:
    """Return how a workflow's intent names its annex: {annex_id, fleet_id}."""
    return {"annex_id": order["annex_id"], "fleet_id": order["spot_fleet_request_id"]}
