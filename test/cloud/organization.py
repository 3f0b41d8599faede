"""An organization above the account, whose service control policy denies some actions to everybody in the account.

CERTAIN: AWS Organizations user guide, "Service control policies": they limit users, roles and the root user of a
member account, whatever its own policies allow.  AWS Control Tower's control CT.EC2.PV.6 denies RequestSpotFleet and
RequestSpotInstances this way (Control Tower controls reference).

The forms of EC2's message (`Behaviour.control_policy_words`):
  named    CERTAIN, recorded in github.com/aws/karpenter-provider-aws/issues/7370
  arn      the same with the policy's ARN: CERTAIN for RDS, github.com/ministryofjustice/aws-root-account/pull/1494;
           LIKELY for EC2
  encoded  CERTAIN for older responses, github.com/aws/karpenter-provider-aws/issues/1536: only a text that
           sts:DecodeAuthorizationMessage decodes
CERTAIN: the decoded text has whether an explicit deny matched, the principal, the action and the resource (STS API
reference, DecodeAuthorizationMessage).  LIKELY: it names no statement of a policy above the account.
"""

from __future__ import annotations

import base64
import json

from test.cloud import principals
from test.cloud.actions import needs
from test.cloud.errors import Answer, code_of, error_answer
from test.cloud.needs import Regions
from test.cloud.policies import Need
from test.cloud.request import Request
from test.cloud.views import ACCOUNT

POLICY = "arn:aws:organizations::999999999999:policy/o-exampleorg1/service_control_policy/p-examplescp1"
PREFIX = "You are not authorized to perform this operation."
DENIES = "with an explicit deny in a service control policy"


def refusal(request: Request, denied: tuple[str, ...], message: str, regions: Regions) -> Answer | None:
    """Return the error for a request that the organization denies; None for any other."""
    if not denied or not request.service:
        return None
    for need in needs(request, regions):
        if need.action in denied:
            status, code = code_of("denied", request.service)
            return error_answer(request.service, status, code, _message(request, need, message))
    return None


def _message(request: Request, need: Need, message: str) -> str:
    principal = principals.find(request.access_key_id)
    arn = principal.arn if principal else f"arn:aws:iam::{ACCOUNT}:root"
    encoded = f"Encoded authorization failure message: {_encoded(arn, need)}"
    if message == "encoded":
        return f"{PREFIX} {encoded}"
    what = f"User: {arn} is not authorized to perform: {need.action} on resource: {need.resource} {DENIES}"
    return f"{PREFIX} {what}{f': {POLICY}' if message == 'arn' else ''}. {encoded}"


def _encoded(arn: str, need: Need) -> str:
    response = {
        "allowed": False,
        "explicitDeny": True,
        "matchedStatements": {"items": []},
        "failures": {"items": []},
        "context": {"principal": {"arn": arn}, "action": need.action, "resource": need.resource},
    }
    return base64.urlsafe_b64encode(json.dumps(response).encode()).decode().rstrip("=")


def decoded(request: Request) -> Answer:
    """Perform DecodeAuthorizationMessage, which moto does not implement."""
    encoded = str(request.parameters()["EncodedMessage"])
    try:
        response = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        json.loads(response)
    except ValueError:
        return error_answer(
            "sts", 400, "InvalidAuthorizationMessageException", "The encoded authorization message is invalid"
        )
    body = (
        '<DecodeAuthorizationMessageResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<DecodeAuthorizationMessageResult><DecodedMessage>{response}</DecodedMessage></DecodeAuthorizationMessageResult>"
        "<ResponseMetadata><RequestId>one</RequestId></ResponseMetadata></DecodeAuthorizationMessageResponse>"
    )
    return Answer(200, body.encode(), {"Content-Type": "text/xml"})
