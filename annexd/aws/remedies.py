"""Explain AWS's refusals to the user, with the next step, if AWS's own message does not.

AWS's message for a denial names the kind of policy: IAM user guide, "Troubleshoot access denied error messages" (an
explicit deny in a, or because no, service control policy, resource control policy, ...), now and then with the policy's
ARN (github.com/ministryofjustice/aws-root-account/pull/1494).  EC2 puts the same before an encoded message
(github.com/aws/karpenter-provider-aws/issues/7370); older responses have only the encoded message.
"""

import re
from typing import Final

ENCODED: Final = re.compile(r"\s*Encoded authorization failure message:\s*(?P<encoded>[\w+/=-]+)\.?")
ORGANIZATION: Final = re.compile(
    r"(with an explicit deny in an?|because no) (?P<kind>(service|resource) control policy)"
    r"(: (?P<arn>arn:[\w:/-]*[\w]))?"
)
LEGACY: Final = "AWS Control Tower's control CT.EC2.PV.6 does so, since Spot Fleet is a legacy API"
NO_DEFAULT_VPC: Final = (
    "the account has no default VPC: name a SubnetId in the file, or let the administrator run condor_annex -setup -vpc"
)
DECODE: Final = "condor_annex -check-setup, or `aws sts decode-authorization-message` with the whole text, says more"


def encoded_in(message: str) -> str | None:
    """Return the part of a message that sts:DecodeAuthorizationMessage decodes."""
    found = ENCODED.search(message)
    return found["encoded"] if found else None


def without_encoded(message: str) -> str:
    """Remove the encoded authorization message, which is unreadable, and useless once truncated."""
    return ENCODED.sub("", message)


def control_policy_in(message: str) -> str | None:
    """Describe the organization's policy that denies; None if the message names no such policy."""
    found = ORGANIZATION.search(message)
    return " ".join(filter(None, (found["kind"], found["arn"]))) if found else None


def remedy_of(message: str, operation: str) -> str | None:
    """Return the next step; None if AWS's message is sufficient."""
    if policy := control_policy_in(message):
        return organization_remedy(policy, operation)
    if "No default VPC" in message:
        return NO_DEFAULT_VPC
    if encoded_in(message) and without_encoded(message).rstrip(". ").endswith("perform this operation"):
        return DECODE
    return None


def organization_remedy(policy: str, operation: str) -> str:
    """Return who can help, since nobody in the account can."""
    why = f"{LEGACY}; " if operation.startswith("RequestSpotFleet") else ""
    return (
        f"the organization of this account forbids it ({policy}), whatever the account's own policies allow: {why}ask "
        "the administrators of the organization (AWS Organizations, Control Tower) to exempt this account, or use "
        "another one"
    )
