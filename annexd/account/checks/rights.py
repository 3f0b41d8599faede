"""Check with AWS's DryRun whether these credentials may order an annex and end it.

A refusal is proof.  Success is not: whether Spot Fleet's DryRun checks iam:PassRole and ec2:RunInstances is unknown.
Credentials for -setup need not order, so for them a refusal is a fault only if it concerns every principal: an
organization's policy applies to the whole account.  Keys that may not see the stack are for orders, and for them a
refusal is a fault.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from annexd.account import configuration
from annexd.account.checks.finding import Finding
from annexd.account.checks.view import View
from annexd.account.errors import AccountError
from annexd.annex.fleet.inventory import take_inventory
from annexd.aws import control_policy_in, encoded_in, errors, organization_remedy
from annexd.aws.errors import AWS_ERRORS
from annexd.workflow import Refused, Retry

ORDER: Final = "right to order"
END: Final = "right to end"
NO_PROOF: Final = "AWS's DryRun succeeds, which is no proof: it may not check iam:PassRole and ec2:RunInstances"
POLICIES: Final = "attach templates/policies/user.json to users who order, and daemon.json to annexd's own keys"
IMAGE: Final = "ami-00000000000000000"  # for a DryRun; AWS checks images only at launch


def right_to_order(view: View) -> Iterator[Finding]:
    """Try a DryRun of a Spot Fleet request like annexd's."""
    error = _dry_run(view.client("ec2").request_spot_fleet, SpotFleetRequestConfig=_config(view))
    yield _judged(view, ORDER, "RequestSpotFleet", error) if error else view.ok(ORDER, NO_PROOF)


def right_to_end(view: View) -> Iterator[Finding]:
    """Try a DryRun of -cancel on a living fleet: AWS authorizes by its tags."""
    try:
        inventory = take_inventory(view.client("ec2"))
    except (Retry, Refused) as error:
        raise AccountError(str(error)) from (error.__cause__ or error)
    living = inventory.living()
    if not living:
        yield view.ok(END, "there is no living annex to try CancelSpotFleetRequests and TerminateInstances on")
        return
    fleet_id = next(iter(living))
    instances = [each.instance_id for each in inventory.instances if each.fleet_id == fleet_id][:1]
    ec2 = view.client("ec2")
    calls: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "CancelSpotFleetRequests": (
            ec2.cancel_spot_fleet_requests,
            {"SpotFleetRequestIds": [fleet_id], "TerminateInstances": True},
        ),
        **({"TerminateInstances": (ec2.terminate_instances, {"InstanceIds": instances})} if instances else {}),
    }
    for operation, (call, asked) in calls.items():
        refusal = _dry_run(call, **asked)
        if refusal is not None:
            yield _judged(view, END, operation, refusal)
            return
    yield view.ok(END, f"AWS's DryRun of {' and '.join(calls)} succeeds for {fleet_id}")


def _dry_run(call: Callable[..., Any], **asked: Any) -> Exception | None:
    """Return AWS's refusal, or None.  A DryRun always returns an error.  Raises AccountError for any other response."""
    try:
        call(DryRun=True, **asked)
    except AWS_ERRORS as error:
        refusal: Exception = error
        return None if errors.is_dry_run_yes(refusal) else refusal
    raise AccountError("the endpoint does not support DryRun, and may have carried out the call")


def _config(view: View) -> dict[str, Any]:
    """Build the smallest request that needs every permission of an order: roles, and tags on fleet and instances."""
    tags = [{"Key": "htcondor:annex-id", "Value": "check-setup"}]
    role = f"arn:{view.partition}:iam::{view.identity['Account']}:role/{view.wanted_stack}-FleetRole-none"
    profile, group = _known(view, "INSTANCE_PROFILE_ARN"), _known(view, "SECURITY_GROUP_ID")
    subnets = _known(view, "SUBNET_IDS")
    specification = {
        "ImageId": IMAGE,
        "InstanceType": "t3.nano",
        "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}],
        **({"IamInstanceProfile": {"Arn": profile}} if profile else {}),
        **({"SecurityGroups": [{"GroupId": group}]} if group else {}),
        **({"SubnetId": subnets} if subnets not in (None, "default") else {}),
    }
    return {
        "IamFleetRole": _known(view, "FLEET_ROLE_ARN") or role,
        "TargetCapacity": 1,
        "Type": "request",
        "LaunchSpecifications": [specification],
        "TagSpecifications": [{"ResourceType": "spot-fleet-request", "Tags": tags}],
    }


def _known(view: View, name: str) -> str | None:
    """Return the stack's value, or HTCondor's configured one if these keys may not see the stack."""
    knob = f"ANNEX_DEFAULT_{name}"
    if view.may_see_stack:
        return view.visible.outputs.get(configuration.OUTPUTS[knob]) if view.visible else None
    return view.param(f"{configuration.local_name(view.region)}.{knob}") or view.param(knob)


def _judged(view: View, check: str, operation: str, error: Exception) -> Finding:
    """Return the finding for a refusal."""
    words = errors.describe(error, f"{operation} (DryRun)")
    if not errors.is_denied(error):
        return view.unknown(check, f"{words}, which does not concern permissions")
    message = str(error)
    if policy := control_policy_in(message):
        return view.fault(check, f"AWS denies {operation} to everybody here", organization_remedy(policy, operation))
    if _is_explicit(view, message):
        what = f"a policy denies {operation} explicitly; AWS does not name it; often it is the organization's"
        return view.fault(check, what, organization_remedy("a service control policy, perhaps", operation))
    if view.may_see_stack:
        return view.ok(
            check, f"these credentials are for -setup and may not order ({operation}); {POLICIES}, and check with those"
        )
    return view.fault(check, words, POLICIES)


def _is_explicit(view: View, message: str) -> bool:
    """Return whether an encoded message reports an explicit deny (STS API reference, DecodeAuthorizationMessage)."""
    encoded = encoded_in(message)
    if encoded is None or "not authorized to perform:" in message:
        return False  # AWS named the kind of policy itself
    try:
        told = view.client("sts").decode_authorization_message(EncodedMessage=encoded)
        return bool(json.loads(told["DecodedMessage"]).get("explicitDeny"))
    except (*AWS_ERRORS, ValueError, AttributeError):
        return False  # nothing more is known
