"""Create the service-linked roles that EC2 needs to start instances of fleets.

The console creates them at the first use; a request by the API fails if they are missing (EC2 user guide, "Spot Fleet
permissions": "If you use the AWS CLI or an API, you must ensure that these roles exist").  They belong to the account,
not to a region or a stack.  IAM deletes them whenever no instance uses them, even if the stack of another
region, another annexd or another program relies on them.  So -teardown keeps them: they cost nothing, and only EC2 can
use them.
"""

from collections.abc import Iterator
from typing import Any, Final

from annexd.account.changes import CREATED, Changed, ignore
from annexd.account.session import translate_aws_errors
from annexd.account.stack import Say
from annexd.aws import errors
from annexd.aws.errors import AWS_ERRORS

NAMES: Final = {
    "spot.amazonaws.com": "AWSServiceRoleForEC2Spot",
    "spotfleet.amazonaws.com": "AWSServiceRoleForEC2SpotFleet",
    "ec2fleet.amazonaws.com": "AWSServiceRoleForEC2Fleet",  # EC2 user guide, "EC2 Fleet prerequisites"
}
DESCRIPTION: Final = "Made by condor_annex -setup"


def arns(partition: str, account: str) -> dict[str, str]:
    """Return the ARNs of these roles, by name."""
    path = f"arn:{partition}:iam::{account}:role/aws-service-role"
    return {name: f"{path}/{service}/{name}" for service, name in NAMES.items()}


def missing(iam: Any) -> Iterator[str]:
    """Yield the services whose role is missing."""
    for service, name in NAMES.items():
        if _role(iam, name) is None:
            yield service


def make(iam: Any, say: Say, changed: Changed = ignore) -> None:
    for service in missing(iam):
        with translate_aws_errors(f"CreateServiceLinkedRole {service}"):
            try:
                role = iam.create_service_linked_role(AWSServiceName=service, Description=DESCRIPTION)["Role"]
                changed(CREATED, NAMES[service], str(role["Arn"]))
            except AWS_ERRORS as error:
                if not errors.is_existing(error):
                    raise
        say(f"created {NAMES[service]}, which EC2 needs to start instances of fleets")


def _role(iam: Any, name: str) -> Any:
    with translate_aws_errors(f"GetRole {name}"):
        try:
            return iam.get_role(RoleName=name)["Role"]
        except AWS_ERRORS as error:
            if errors.is_not_found(error):
                return None
            raise
