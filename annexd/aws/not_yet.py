"""Distinguish AWS's "not yet" from its "no": a new resource is briefly unknown to the service that needs it.

The table says where such an error may occur, how long to wait, and on what evidence.  While annexd waits, the call is
repeated unchanged and nothing is undone: these errors have no effect.  Everything else is refused at once, as are the
rows without a time: those errors look alike, but nearly always mean a mistake, and other programs do not wait for them
either.

Faults that AWS reports only after it has accepted a fleet, such as an instance profile that Spot does not know yet, are
not errors of a call: annexd/annex/fleet/trouble.py reports them, and AWS retries automatically.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from botocore.exceptions import ClientError

PROPAGATION_S: Final = 120.0  # terraform-provider-aws, iamPropagationTimeout; S3 and EC2 have the same there
TAGGING_S: Final = 300.0  # terraform-provider-aws, internal/service/ec2/tags.go, eventualConsistencyTimeout
TERRAFORM: Final = "github.com/hashicorp/terraform-provider-aws"
EC2_GUIDE: Final = "EC2 developer guide, Eventual consistency in the Amazon EC2 API"
CHECK: Final = "condor_annex -check-setup"


@dataclass(frozen=True)
class NotYet:
    """An error of one operation: its code or the end of its code, and a part of its message.

    `what` is the resource that AWS does not know yet, with the caller's names in braces; `wait_s` 0: refused at once.
    `next_step` is for a user after an unsuccessful wait.  `evidence`: CERTAIN, LIKELY or SUSPECTED, and the source.
    """

    operation: str
    code: str
    says: str
    what: str
    wait_s: float
    next_step: str
    evidence: str

    def fits(self, operation: str, code: str, message: str) -> bool:
        """Return whether an error is this one."""
        is_code = code.endswith(self.code) if self.code.startswith(".") else code == self.code
        return operation == self.operation and is_code and self.says in message


SPOT_FLEET: Final = "RequestSpotFleet"
EC2_FLEET: Final = "CreateFleet"


def _of_both(code: str, says: str, what: str, wait_s: float, next_step: str, evidence: str) -> tuple[NotYet, NotYet]:
    """Return the errors of both APIs for a request for a fleet."""
    return (
        NotYet(SPOT_FLEET, code, says, what, wait_s, next_step, evidence),
        NotYet(EC2_FLEET, code, says, what, wait_s, next_step, evidence),
    )


TABLE: Final = (
    NotYet(
        SPOT_FLEET,
        "InvalidSpotFleetRequestConfig",
        "SpotFleetRequestConfig.IamFleetRole",  # in both messages: "is invalid", "does not have permission to call"
        "the fleet role {IamFleetRole}",
        PROPAGATION_S,
        f"either it does not exist, or it does not trust spotfleet.amazonaws.com, or it lacks a right: {CHECK} "
        "reports which, and -setup creates a role that works",
        f"CERTAIN: {TERRAFORM}, internal/service/ec2/ec2_spot_fleet_request.go, pull requests 14265 and 14358",
    ),
    NotYet(
        EC2_FLEET,
        "InvalidLaunchTemplateName.NotFoundException",
        "",
        "the launch template",  # annexd's own: a fleet refers to no other
        PROPAGATION_S,
        "order again: AWS has lost it, or somebody has deleted it",
        f"LIKELY: {EC2_GUIDE}, of any resource that was just made",
    ),
    NotYet(
        EC2_FLEET,
        "InvalidLaunchTemplateId.VersionNotFound",
        "",
        "a version of the launch template",
        PROPAGATION_S,
        "order again: AWS has lost it, or somebody has deleted it",
        f"LIKELY: {EC2_GUIDE}, of any resource that was just made",
    ),
    NotYet(
        "CreateLaunchTemplateVersion",
        "InvalidLaunchTemplateName.NotFoundException",
        "",
        "the launch template",
        PROPAGATION_S,
        "order again: AWS has lost it, or somebody has deleted it",
        f"LIKELY: {EC2_GUIDE}, of any resource that was just made",
    ),
    *_of_both(
        "InvalidParameterValue",
        "Invalid IAM Instance Profile",
        "the instance profile",
        PROPAGATION_S,
        f"correct IamInstanceProfile in the file; {CHECK} examines the profile",
        f"CERTAIN of RunInstances and RequestSpotInstances ({TERRAFORM}, ec2_instance.go, "
        "ec2_spot_instance_request.go) and of CreateFleet (github.com/hashicorp/packer/pull/9810); LIKELY here",
    ),
    *_of_both(
        "InvalidParameterValue",
        "has no associated IAM Roles",
        "the role of the instance profile",
        PROPAGATION_S,
        f"add a role to the instance profile that the file names; {CHECK} examines the profile",
        f"CERTAIN of RunInstances and RequestSpotInstances: {TERRAFORM}, the same two files; LIKELY here",
    ),
    *_of_both(
        "InvalidGroup.NotFound",
        "",
        "the security group",
        PROPAGATION_S,
        "correct SecurityGroups in the file: the group must exist in this region",
        f"CERTAIN: {EC2_GUIDE}, which names this code; github.com/hashicorp/packer/issues/3627",
    ),
    *_of_both(
        "InvalidSubnetID.NotFound",
        "",
        "the subnet",
        PROPAGATION_S,
        "correct SubnetId in the file: the subnet must exist in this region",
        "CERTAIN of DescribeSubnets: github.com/gardener/gardener-extension-provider-aws/issues/1947; LIKELY here",
    ),
    *_of_both(
        "InvalidKeyPair.NotFound",
        "",
        "the key pair",
        PROPAGATION_S,
        "correct KeyName in the file, or leave it out: the key pair must exist in this region",
        f"SUSPECTED: {EC2_GUIDE}, of any resource that was just made",
    ),
    NotYet(
        "PutObject",
        "NoSuchBucket",
        "",
        "the bucket {bucket}",
        PROPAGATION_S,
        f"name a bucket that exists (-s3-bucket, ANNEX_DEFAULT_S3_BUCKET); {CHECK} examines it",
        f"CERTAIN: {TERRAFORM}, internal/service/s3/bucket_versioning.go, issue 372; github.com/aws/aws-cli/issues/223",
    ),
    NotYet(
        "CreateTags",
        ".NotFound",
        "",
        "the fleet",
        TAGGING_S,
        "see condor_annex -status",
        f"CERTAIN: {TERRAFORM}, internal/service/ec2/tags.go: every code that ends so",
    ),
    NotYet(
        "TerminateInstances",
        "InvalidInstanceID.NotFound",
        "",
        "the instances",
        PROPAGATION_S,
        "see condor_annex -status",
        f'CERTAIN: {EC2_GUIDE}: "this does not mean that the instance has been, or will be, terminated"',
    ),
    *_of_both(
        "InvalidLaunchTemplateId.NotFound",
        "",
        "the launch template",
        0.0,
        "correct LaunchTemplateId in the file",
        f"SUSPECTED: {EC2_GUIDE}, of any resource; Terraform and Karpenter (pkg/errors) do not wait for it",
    ),
    *_of_both(
        "UnauthorizedOperation",
        "",
        "the right",
        0.0,
        f"{CHECK} says which is missing",
        "CERTAIN that rights, too, spread for some seconds (IAM user guide, Troubleshoot IAM: changes are not always "
        "immediately visible); a right that is missing for good looks the same, and Terraform does not wait",
    ),
    NotYet(
        "GetFunction",
        "ResourceNotFoundException",
        "",
        "the lease function",
        0.0,
        "condor_annex -setup creates it",
        "CloudFormation has seen the function before -setup passes on its ARN: SUSPECTED that it is unknown later",
    ),
)


def not_yet(error: Exception) -> NotYet | None:
    """Return the resource that AWS does not know yet, if the error may mean that and waiting is worthwhile."""
    if not isinstance(error, ClientError):
        return None
    body: Mapping[str, object] = error.response.get("Error", {})
    code, message = str(body.get("Code", "")), str(body.get("Message", ""))
    return next((row for row in TABLE if row.wait_s and row.fits(error.operation_name, code, message)), None)
