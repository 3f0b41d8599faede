"""Remove the service-linked roles that a rehearsal's -setup created, which -teardown keeps for other regions."""

import time
from typing import Any, Final

from annexd.account.service_roles import DESCRIPTION, NAMES
from annexd.account.session import translate_aws_errors
from annexd.aws import errors
from annexd.aws.errors import AWS_ERRORS
from test.live.account import Say

PAUSE_S: Final = 0.5
PATIENCE_S: Final = 60.0


def remove(iam: Any, say: Say) -> None:
    """Remove the roles with -setup's description, unless others use them now."""
    for name in NAMES.values():
        if _description(iam, name) != DESCRIPTION:
            continue
        with translate_aws_errors(f"DeleteServiceLinkedRole {name}"):
            status = _ended(iam, iam.delete_service_linked_role(RoleName=name)["DeletionTaskId"])
        say(f"removed {name}" if status == "SUCCEEDED" else f"kept {name}, which others use ({status})")


def _ended(iam: Any, task: str) -> str:
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        status = str(iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"])
        if status in ("SUCCEEDED", "FAILED") or time.monotonic() > deadline_s:
            return status
        time.sleep(PAUSE_S)


def _description(iam: Any, name: str) -> str | None:
    """Return the description of a role, or None if the role is missing."""
    with translate_aws_errors(f"GetRole {name}"):
        try:
            return str(iam.get_role(RoleName=name)["Role"].get("Description") or "")
        except AWS_ERRORS as error:
            if errors.is_not_found(error):
                return None
            raise
