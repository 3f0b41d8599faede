"""Check with AWS's DryRun whether these credentials may order an annex and end it, by both APIs for fleets.

A refusal is proof.  Success is not: whether a fleet's DryRun checks iam:PassRole and ec2:RunInstances is unknown.
Credentials for -setup need not order, so for them a refusal is a fault only if it concerns every principal: an
organization's policy applies to the whole account.  Keys that may not see the stack are for orders, and for them a
refusal is a fault.
A refusal of the API that ANNEX_FLEET_API does not name is not a fault: no order needs it.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from annexd.account import configuration
from annexd.account.checks.finding import OK, Finding
from annexd.account.checks.view import View
from annexd.account.errors import AccountError
from annexd.annex.fleet.inventory import Inventory, take_inventory
from annexd.annex.fleet.kinds import KINDS, FleetKind, kind_of
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.fleet_api import EC2_FLEET, OPTIONS, SPOT_FLEET, read_api
from annexd.aws import control_policy_in, encoded_in, errors, organization_remedy
from annexd.aws.errors import AWS_ERRORS
from annexd.workflow import Refused, Retry

ORDER: Final = "right to order"
END: Final = "right to end"
NO_PROOF: Final = "AWS's DryRun succeeds, but it may not check iam:PassRole and ec2:RunInstances"
POLICIES: Final = "attach templates/policies/user.json to users who order, and daemon.json to annexd's own keys"
TAGS: Final = [{"Key": "htcondor:annex-id", "Value": "check-setup"}]
NO_TEMPLATE: Final = "htcondor-annex-check-setup"  # no template has this name
IMAGE: Final = "ami-00000000000000000"  # for a DryRun; AWS checks images only at the launch


def right_to_order(view: View) -> Iterator[Finding]:
    """Try a DryRun of requests like annexd's."""
    first = read_api(view.param("ANNEX_FLEET_API") or "") or Defaults().fleet_api
    yield _order_by(view, first, ORDER)
    second = EC2_FLEET if first == SPOT_FLEET else SPOT_FLEET
    found = _order_by(view, second, f"{ORDER} by -fleet-api {OPTIONS[second]}")
    yield found._replace(status=OK, repair="") if found.is_fault else found


def _order_by(view: View, api: str, check: str) -> Finding:
    ec2 = view.client("ec2")
    calls: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = (
        {"RequestSpotFleet": (ec2.request_spot_fleet, {"SpotFleetRequestConfig": _config(view)})}
        if api == SPOT_FLEET
        else {
            "CreateLaunchTemplate": (ec2.create_launch_template, _template()),
            "CreateFleet": (ec2.create_fleet, _ec2_fleet()),
        }
    )
    refusals = {operation: _dry_run(call, **asked) for operation, (call, asked) in calls.items()}
    found = [
        _judged(view, check, operation, error)
        for operation, error in refusals.items()
        if error is not None and not errors.is_not_found(error)  # of a template that does not exist
    ]
    faults = [each for each in found if each.is_fault]
    return next(iter([*faults, *found]), view.ok(check, NO_PROOF))


def right_to_end(view: View) -> Iterator[Finding]:
    """Try a DryRun of -cancel on a living fleet: AWS authorizes by its tags."""
    try:
        inventory = take_inventory(view.client("ec2"))
    except (Retry, Refused) as error:
        raise AccountError(str(error)) from (error.__cause__ or error)
    living = inventory.living()
    if not living:
        yield view.ok(END, "no annex lives, so the end of a fleet and TerminateInstances cannot be tried")
        return
    for kind in KINDS:
        if fleet_id := next((each for each in living if kind_of(each) is kind), None):
            yield _end_of(view, kind, fleet_id, inventory)


def _end_of(view: View, kind: FleetKind, fleet_id: str, inventory: Inventory) -> Finding:
    instances = [each.instance_id for each in inventory.instances if each.fleet_id == fleet_id][:1]
    ec2 = view.client("ec2")
    calls: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        kind.end: (getattr(ec2, kind.end_method), {kind.ids: [fleet_id], "TerminateInstances": True}),
        **({"TerminateInstances": (ec2.terminate_instances, {"InstanceIds": instances})} if instances else {}),
    }
    for operation, (call, asked) in calls.items():
        refusal = _dry_run(call, **asked)
        if refusal is not None:
            return _judged(view, END, operation, refusal)
    return view.ok(END, f"AWS's DryRun of {' and '.join(calls)} succeeds for {fleet_id}")


def _dry_run(call: Callable[..., Any], **asked: Any) -> Exception | None:
    """Return AWS's refusal, or None.  A DryRun always returns an error.  Raises AccountError for any other response."""
    try:
        call(DryRun=True, **asked)
    except AWS_ERRORS as error:
        refusal: Exception = error
        return None if errors.is_dry_run_yes(refusal) else refusal
    raise AccountError("the endpoint does not support DryRun, and may have carried out the call")


def _template() -> dict[str, Any]:
    """Build the smallest launch template that needs every right of one of annexd's."""
    tagged = [{"ResourceType": "launch-template", "Tags": TAGS}]
    return {"LaunchTemplateName": NO_TEMPLATE, "LaunchTemplateData": {"ImageId": IMAGE}, "TagSpecifications": tagged}


def _ec2_fleet() -> dict[str, Any]:
    named = {"LaunchTemplateName": NO_TEMPLATE, "Version": "1"}
    return {
        "Type": "request",
        "TargetCapacitySpecification": {"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"},
        "LaunchTemplateConfigs": [{"LaunchTemplateSpecification": named}],
        "TagSpecifications": [{"ResourceType": "fleet", "Tags": TAGS}],
    }


def _config(view: View) -> dict[str, Any]:
    """Build the smallest request that needs every permission of an order: roles, and tags on fleet and instances."""
    role = f"arn:{view.partition}:iam::{view.identity['Account']}:role/{view.wanted_stack}-FleetRole-none"
    profile, group = _known(view, "INSTANCE_PROFILE_ARN"), _known(view, "SECURITY_GROUP_ID")
    subnets = _known(view, "SUBNET_IDS")
    specification = {
        "ImageId": IMAGE,
        "InstanceType": "t3.nano",
        "TagSpecifications": [{"ResourceType": "instance", "Tags": TAGS}],
        **({"IamInstanceProfile": {"Arn": profile}} if profile else {}),
        **({"SecurityGroups": [{"GroupId": group}]} if group else {}),
        **({"SubnetId": subnets} if subnets not in (None, "default") else {}),
    }
    return {
        "IamFleetRole": _known(view, "FLEET_ROLE_ARN") or role,
        "TargetCapacity": 1,
        "Type": "request",
        "LaunchSpecifications": [specification],
        "TagSpecifications": [{"ResourceType": "spot-fleet-request", "Tags": TAGS}],
    }


def _known(view: View, name: str) -> str | None:
    """Return the stack's value, or HTCondor's configured one if these keys may not see the stack."""
    knob = f"ANNEX_DEFAULT_{name}"
    if view.may_see_stack:
        return view.visible.outputs.get(configuration.OUTPUTS[knob]) if view.visible else None
    return view.param(f"{configuration.local_name(view.region)}.{knob}") or view.param(knob)


def _judged(view: View, check: str, operation: str, error: Exception) -> Finding:
    """Return the finding for a refusal."""
    error_text = errors.describe(error, f"{operation} (DryRun)")
    if not errors.is_denied(error):
        return view.unknown(check, f"{error_text}, which does not concern permissions")
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
    return view.fault(check, error_text, POLICIES)


def _is_explicit(view: View, message: str) -> bool:
    """Return whether an encoded message reports an explicit deny (STS API reference, DecodeAuthorizationMessage)."""
    encoded = encoded_in(message)
    if encoded is None or "not authorized to perform:" in message:
        return False  # AWS named the kind of policy itself
    try:
        response = view.client("sts").decode_authorization_message(EncodedMessage=encoded)
        return bool(json.loads(response["DecodedMessage"]).get("explicitDeny"))
    except (*AWS_ERRORS, ValueError, AttributeError):
        return False  # nothing more is known
