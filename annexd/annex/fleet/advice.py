"""The meaning of an event in a fleet's history, and the next step.

Sources: sub-types and their meanings from the EC2 user guide, "Monitor fleet events using Amazon EventBridge", and
botocore's EC2 model (EventInformation); wording of descriptions from recorded histories (test.cloud.fleet_troubles) and
from EC2's "Error codes".  AWS promises no wording, so what is not recognised is quoted and sent to the console.
"""

import re
from typing import Final

CONSOLE: Final = "the EC2 console has the whole history: Spot Requests, the request's ID, tab History"
LATER: Final = "AWS retries automatically"
# The first match counts.  Descriptions name image, system and zone of the launch specification in any case.
ADVICE: Final = {
    r"explicit deny|service control policy": (
        "a policy of the account or its organization (a service control policy) forbids what the fleet does: ask the "
        "administrators of the account to allow it"
    ),
    r"spotInstanceCountLimitExceeded|spot (max )?instance (max )?count|vcpu ?limit|InstanceLimitExceeded": (
        "the account's quota of Spot instances is used up: order less, wait until other instances end, or request a "
        "higher quota (Service Quotas, Amazon EC2, All ... Spot Instance Requests)"
    ),
    r"market price \$-": "this instance type is not available as Spot there: name other instance types or zones",
    r"launchSpecUnusable|fleetProgressHalted|SpotMaxPriceTooLow|price is (less|lower)": (
        "the maximum price is below the Spot price: leave SpotPrice out of the file, or raise it"
    ),
    r"iamFleetRoleInvalid": (
        "the role that IamFleetRole names cannot start or end instances: condor_annex -check-setup reports what it "
        "lacks, -setup creates a role that works"
    ),
    r"iam ?instance ?profile": (
        "the instance profile does not exist, or IamFleetRole may not pass its role on: condor_annex -check-setup "
        "checks both; a new profile can be used after some minutes"
    ),
    r"kms|client error on launch|Client\.InternalError|encrypt": (
        "often a volume is encrypted with a key that Spot may not use: grant the key to "
        "AWSServiceRoleForEC2SpotFleet and AWSServiceRoleForEC2Spot, or use another image or key"
    ),
    r"image id|InvalidAMI|architecture": (
        "the image does not exist in this region, is not shared with the account, or does not fit the instance type: "
        "correct ImageId in the file"
    ),
    r"key ?pair": "the key pair does not exist in this region: correct KeyName in the file, or leave it out",
    r"subnet|security ?group|InvalidGroup|\bvpc\b": (
        "subnet and security groups must exist in the same VPC, and the subnet needs free addresses: correct "
        "them in the file"
    ),
    r"not authorized|UnauthorizedOperation": (
        "IamFleetRole lacks a right, or a policy of the account forbids it: condor_annex -check-setup reports what is "
        "missing"
    ),
    r"capacity|Unfulfillable": (
        f"AWS has no such capacity there now: {LATER}; more instance types, more zones or On-Demand may help"
    ),
    r"spotFleetRequestConfigurationInvalid|invalid|not supported|unsupported": (
        "AWS refuses what the file asks for: correct it and order again"
    ),
}
GENERIC: Final = "allLaunchSpecsTemporarilyBlacklisted"  # AWS's own follow-up event, not a reason
DIED: Final = (  # EC2 user guide, "Instance terminates immediately": a key that cannot be used, a bad snapshot, a quota
    "usually a volume cannot be created: AWSServiceRoleForEC2SpotFleet and AWSServiceRoleForEC2Spot may not use its "
    "key, its snapshot is invalid, or a quota of volumes is used up; the EC2 console shows which: Instances, the "
    "terminated one, State transition message"
)
NO_REASON: Final = (
    f"AWS gives no reason; usually Spot capacity is short, or the maximum price is too low: {LATER}; name more "
    "instance types and zones in the file"
)


def advice(quoted: str) -> str:
    """Return the meaning of AWS's text and the next step, or where to look."""
    found = (advice for pattern, advice in ADVICE.items() if re.search(pattern, quoted, re.IGNORECASE))
    return next(found, CONSOLE)
