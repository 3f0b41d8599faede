"""Create and remove the service-linked roles that EC2 needs to start instances of fleets.

The console creates them at the first use; a request by the API fails if they are missing.  They belong to the account,
so existing ones are left alone: the description marks ours.
"""

import time
from collections.abc import Iterator
from typing import Any, Final

from annexd.account.changes import CREATED, DELETED, Changed, ignore
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
PAUSE_S: Final = 0.5
PATIENCE_S: Final = 60.0


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


def remove(iam: Any, say: Say, changed: Changed = ignore) -> None:
    """Remove those that we created, unless others use them now."""
    for name in NAMES.values():
        role = _role(iam, name)
        if role is None or role.get("Description") != DESCRIPTION:
            continue
        with translate_aws_errors(f"DeleteServiceLinkedRole {name}"):
            task = iam.delete_service_linked_role(RoleName=name)["DeletionTaskId"]
            status = _ended(iam, task)
        if status == "SUCCEEDED":
            changed(DELETED, name, str(role["Arn"]))
        say(f"removed {name}" if status == "SUCCEEDED" else f"kept {name}, which others use ({status})")


def _ended(iam: Any, task: str) -> str:
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        status = str(iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"])
        if status in ("SUCCEEDED", "FAILED") or time.monotonic() > deadline_s:
            return status
        time.sleep(PAUSE_S)


def _role(iam: Any, name: str) -> Any:
    with translate_aws_errors(f"GetRole {name}"):
        try:
            return iam.get_role(RoleName=name)["Role"]
        except AWS_ERRORS as error:
            if errors.is_not_found(error):
                return None
            raise
